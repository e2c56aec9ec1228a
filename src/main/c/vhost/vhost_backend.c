/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The session thread waits for three things: a message of the front end it serves, another front
 * end, and the end. It is the only one that commands the queues, so stopping is an ordinary event
 * of its loop.
 */
#include "vhost_backend.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "vhost/vhost_cache.h"
#include "vhost/vhost_queue.h"
#include "vhost/vhost_session.h"
#include "vhost/vhost_socket.h"

enum { ACCEPT_PAUSE_MS = 100 };

struct vhost_backend {
    struct blk_device *device;
    struct log *log;
    char *socket_path;
    struct stat socket_status; /* of the inode that we bound */
    int listen_fd;
    int done_fd;
    int stop_fd;
    uint32_t stop_timeout_ms;
    struct guest_guard *guard;
    struct vhost_cache cache;
    struct vhost_queue *queues[BLK_QUEUE_COUNT_MAX];
    struct vhost_session *session; /* NULL: no front end */
    _Atomic bool connected;
    int stop_result;
    pthread_t thread;
};

static void session_end(struct vhost_backend *backend, int result, const struct error *error)
{
    vhost_session_destroy(backend->session);
    backend->session = NULL;
    atomic_store(&backend->connected, false);
    if (result == -ECONNRESET)
        log_write(backend->log, LOG_INFO, "front end disconnected");
    else
        log_write(backend->log, LOG_WARN, "front end dropped: %s", error->message);
}

static void session_handle(struct vhost_backend *backend)
{
    struct error error = {0};
    int result = vhost_session_handle(backend->session, &error);
    if (result < 0)
        session_end(backend, result, &error);
}

static void session_begin(struct vhost_backend *backend, int conn_fd)
{
    const struct vhost_rings_params params = {
        .device = backend->device,
        .queues = backend->queues,
        .cache = &backend->cache,
        .log = backend->log,
        .guard = backend->guard,
        .done_fd = backend->done_fd,
        .stop_timeout_ms = backend->stop_timeout_ms,
    };
    backend->session = vhost_session_create(&params, conn_fd);
    if (!backend->session) {
        log_write(backend->log, LOG_ERROR, "front end dropped: no memory for a session");
        close(conn_fd);
        return;
    }
    atomic_store(&backend->connected, true);
    log_write(backend->log, LOG_INFO, "front end connected");
}

static void accept_one(struct vhost_backend *backend)
{
    /* A front end that left and came back at once: its old connection ends first. */
    if (backend->session)
        session_handle(backend);
    int fd = accept4(backend->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
            return;
        /* Out of descriptors, for instance: the connection stays in the backlog and would wake us
         * at once again. */
        log_write(backend->log, LOG_WARN, "cannot accept a front end: errno %d", errno);
        poll(NULL, 0, ACCEPT_PAUSE_MS);
        return;
    }
    if (!backend->session) {
        session_begin(backend, fd);
        return;
    }
    log_write(backend->log, LOG_WARN, "another front end was turned away: one is connected");
    close(fd);
}

static void *session_main(void *argument)
{
    struct vhost_backend *backend = argument;
    for (;;) {
        struct pollfd events[3] = {
            {.fd = backend->stop_fd, .events = POLLIN},
            {.fd = backend->session ? vhost_session_fd(backend->session) : -1, .events = POLLIN},
            {.fd = backend->listen_fd, .events = POLLIN},
        };
        if (poll(events, 3, -1) < 0)
            continue;
        if (events[0].revents)
            break;
        if (events[1].revents)
            session_handle(backend);
        if (events[2].revents)
            accept_one(backend);
    }
    vhost_session_destroy(backend->session);
    backend->session = NULL;
    atomic_store(&backend->connected, false);
    backend->stop_result = blk_device_sync(backend->device);
    return NULL;
}

/* Only a socket that is still the one we bound is removed: a successor may have replaced it. */
static void remove_socket(const struct vhost_backend *backend)
{
    struct stat status;
    if (lstat(backend->socket_path, &status) == 0 &&
        status.st_ino == backend->socket_status.st_ino &&
        status.st_dev == backend->socket_status.st_dev)
        unlink(backend->socket_path);
}

static void backend_free(struct vhost_backend *backend)
{
    for (uint32_t i = 0; i < backend->device->queue_count; i++)
        vhost_queue_destroy(backend->queues[i]);
    if (backend->listen_fd >= 0) {
        remove_socket(backend);
        close(backend->listen_fd);
    }
    if (backend->done_fd >= 0)
        close(backend->done_fd);
    if (backend->stop_fd >= 0)
        close(backend->stop_fd);
    free(backend->socket_path);
    free(backend);
}

static int backend_open(struct vhost_backend *backend, const struct vhost_backend_params *params,
                        struct error *error)
{
    backend->socket_path = strdup(params->socket_path);
    backend->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    backend->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!backend->socket_path || backend->done_fd < 0 || backend->stop_fd < 0)
        return error_set(error, -ENOMEM, "no memory or descriptors for the back end");
    for (uint32_t i = 0; i < backend->device->queue_count; i++) {
        int cpu = params->cpus ? params->cpus[i] : -1;
        int result = vhost_queue_create(backend->device, i, cpu, backend->done_fd,
                                        &backend->queues[i], error);
        if (result < 0)
            return result;
    }
    int fd = vhost_socket_listen(params->socket_path, error);
    if (fd < 0)
        return fd;
    backend->listen_fd = fd;
    if (lstat(params->socket_path, &backend->socket_status) < 0) {
        int result = error_set_errno(error, -errno, "socket %s", params->socket_path);
        unlink(params->socket_path); /* later it could not be told from a successor's */
        return result;
    }
    return 0;
}

static int session_thread_start(struct vhost_backend *backend, struct error *error)
{
    int result = thread_start(&backend->thread, "vhost-session", session_main, backend);
    return result < 0 ? error_set_errno(error, result, "cannot start the session thread") : 0;
}

int vhost_backend_start(struct blk_device *device, const struct vhost_backend_params *params,
                        struct log *log, struct vhost_backend **out, struct error *error)
{
    struct vhost_backend *backend = calloc(1, sizeof(*backend));
    if (!backend)
        return error_set(error, -ENOMEM, "no memory for the back end");
    backend->device = device;
    backend->log = log;
    backend->stop_timeout_ms = params->stop_timeout_ms;
    backend->guard = params->guard;
    backend->listen_fd = backend->done_fd = backend->stop_fd = -1;
    vhost_cache_init(&backend->cache, device->write_through);
    int result = backend_open(backend, params, error);
    if (result == 0)
        result = session_thread_start(backend, error);
    if (result < 0) {
        backend_free(backend);
        return result;
    }
    *out = backend;
    return 0;
}

int vhost_backend_stop(struct vhost_backend *backend)
{
    uint64_t one = 1;
    if (write(backend->stop_fd, &one, sizeof(one)) < 0)
        return -errno;
    pthread_join(backend->thread, NULL);
    int result = backend->stop_result;
    backend_free(backend);
    return result;
}

bool vhost_backend_connected(const struct vhost_backend *backend)
{
    return atomic_load(&backend->connected);
}
