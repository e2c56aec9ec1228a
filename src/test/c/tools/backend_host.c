/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Runs the back end of this build, without Java, until SIGTERM: for debuggers, sanitizers, tracers
 * and benchmarks.
 *
 *   backend_host PATH SOCKET [name=value]...
 *
 * Names: queues, queue_size, seg_size_max, seg_count_max, poll_us, block_size, bounce_bytes,
 * write_through, encrypted (0 or 1), xts_engine (auto, aesni), direct_io (auto, true, false),
 * io_engine (io_uring, sync), stop_ms, cpu (of queue 0). Prints "listening" once the socket accepts
 * connections.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/backend_host.h"
#include "vhost/vhost_backend.h"

struct settings {
    struct backend_host_params host;
    const char *socket_path;
    enum xts_engine_kind xts_engine;
    int cpu; /* -1: any */
};

static int direct_io_of(const char *value)
{
    return strcmp(value, "auto") == 0   ? DIRECT_IO_AUTO
           : strcmp(value, "true") == 0 ? DIRECT_IO_TRUE
                                        : DIRECT_IO_FALSE;
}

/* Whether the name is known. */
static bool set(struct settings *settings, const char *name, const char *value)
{
    struct blk_device_params *device = &settings->host.device;
    struct {
        const char *name;
        uint32_t *place;
    } numbers[] = {
        {"queues", &device->queue_count},
        {"queue_size", &device->queue_size},
        {"seg_size_max", &device->seg_size_max},
        {"seg_count_max", &device->seg_count_max},
        {"poll_us", &device->poll_timeout_us},
        {"block_size", &device->logical_block_size},
        {"stop_ms", &settings->host.stop_timeout_ms},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].place = (uint32_t)strtoul(value, NULL, 10);
            return true;
        }
    }
    if (strcmp(name, "bounce_bytes") == 0) {
        device->bounce_bytes = strtoull(value, NULL, 10);
    } else if (strcmp(name, "write_through") == 0) {
        device->write_through = value[0] == '1';
    } else if (strcmp(name, "encrypted") == 0) {
        settings->host.encrypted = value[0] == '1';
    } else if (strcmp(name, "xts_engine") == 0) {
        settings->xts_engine = strcmp(value, "aesni") == 0 ? XTS_ENGINE_AESNI : XTS_ENGINE_AUTO;
    } else if (strcmp(name, "direct_io") == 0) {
        device->direct_io = (enum direct_io)direct_io_of(value);
    } else if (strcmp(name, "io_engine") == 0) {
        device->io_engine = strcmp(value, "sync") == 0 ? IO_ENGINE_SYNC : IO_ENGINE_URING;
    } else if (strcmp(name, "cpu") == 0) {
        settings->cpu = (int)strtol(value, NULL, 10);
    } else {
        return false;
    }
    return true;
}

static bool parse(struct settings *settings, int argc, char **argv)
{
    if (argc < 3) {
        return false;
    }
    settings->host = backend_host_defaults(argv[1]);
    settings->host.stop_timeout_ms = 10000;
    settings->socket_path = argv[2];
    settings->xts_engine = XTS_ENGINE_AUTO;
    settings->cpu = -1;
    for (int i = 3; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (value == NULL) {
            return false;
        }
        *value = '\0';
        if (!set(settings, argv[i], value + 1)) {
            return false;
        }
    }
    return true;
}

static int fail(const struct error *error)
{
    fprintf(stderr, "%s\n", error->message);
    return 1;
}

static int serve(const struct settings *settings, const sigset_t *end)
{
    int cpus[BLK_QUEUE_COUNT_MAX];
    struct vhost_backend_params params = {.socket_path = settings->socket_path,
                                          .cpus = settings->cpu >= 0 ? cpus : NULL,
                                          .stop_timeout_ms = settings->host.stop_timeout_ms};
    struct blk_device *device;
    struct vhost_backend *backend;
    struct xts *xts = NULL;
    struct error error = {0};
    int signal_number, result;

    for (size_t i = 0; i < BLK_QUEUE_COUNT_MAX; i++) {
        cpus[i] = settings->cpu;
    }
    if (settings->host.encrypted && xts_create(backend_host_data_key, backend_host_tweak_key,
                                               settings->xts_engine, NULL, &xts, &error) < 0) {
        return fail(&error);
    }
    if (blk_device_open(&settings->host.device, xts, NULL, &device, &error) < 0) {
        return fail(&error);
    }
    if (vhost_backend_start(device, &params, NULL, &backend, &error) < 0) {
        return fail(&error);
    }
    printf("listening\n");
    fflush(stdout);
    sigwait(end, &signal_number);
    result = vhost_backend_stop(backend);
    blk_device_close(device);
    xts_destroy(xts);
    return result == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct settings settings;
    sigset_t end;

    if (!parse(&settings, argc, argv)) {
        fprintf(stderr, "usage: %s PATH SOCKET [name=value]...\n", argv[0]);
        return 2;
    }
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    sigprocmask(SIG_BLOCK, &end, NULL);
    return serve(&settings, &end);
}
