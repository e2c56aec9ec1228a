/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: io_engine_create */
/*
 * The back end of this build on engines that complete every transfer at once: what the ring, the
 * descriptor walk and the request path cost without any storage.
 *
 *   null_backend PATH SOCKET [sync]
 *
 * PATH gives the disk its size and is not read. The thread sleeps in an io_uring, or with "sync" in
 * ppoll, which valgrind needs. Runs until SIGTERM.
 */
#include <signal.h>
#include <stdio.h>

#include "io/io_engine.h"
#include "support/backend_host.h"
#include "support/null_engine.h"
#include "vhost/vhost_backend.h"

enum { QUEUE_SIZE = 256 };

int __real_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);
int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);

/* Queue threads make their engines by this call; the real one is left the waiting. */
int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error)
{
    struct io_engine *inner;
    int result = __real_io_engine_create(params, &inner, error);

    if (result == 0) {
        *out = null_engine_create(inner);
    }
    return result;
}

static int serve(const char *path, const char *socket_path, enum io_engine_kind inner,
                 const sigset_t *end)
{
    struct backend_host_params host = backend_host_defaults(path);
    struct vhost_backend_params params = {.socket_path = socket_path, .stop_timeout_ms = 1000};
    struct blk_device *device;
    struct vhost_backend *backend;
    struct error error = {0};
    int signal_number, result;

    host.device.direct_io = DIRECT_IO_FALSE;
    host.device.queue_size = QUEUE_SIZE;
    host.device.io_engine = inner;
    if (blk_device_open(&host.device, NULL, NULL, &device, &error) < 0 ||
        vhost_backend_start(device, &params, NULL, &backend, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    sigwait(end, &signal_number);
    result = vhost_backend_stop(backend);
    blk_device_close(device);
    return result == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    sigset_t end;

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s PATH SOCKET [sync]\n", argv[0]);
        return 2;
    }
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    sigprocmask(SIG_BLOCK, &end, NULL);
    return serve(argv[1], argv[2], argc == 4 ? IO_ENGINE_SYNC : IO_ENGINE_URING, &end);
}
