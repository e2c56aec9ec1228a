/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Control commands carry 32 bytes, which only entries of double size have room for, so they get a
 * ring of their own. The kernel hands those that may sleep to a worker; waiting is a poll on the
 * ring, beside whatever else may end the wait.
 */
#include "ublk_ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { RING_ENTRIES = 4 };

static const char control_path[] = "/dev/ublk-control";

static int refuse_control(int result, struct error *error)
{
    switch (result) {
    case -ENOENT:
    case -ENODEV:
    case -ENXIO:
        return error_set(error, -ENOTSUP,
                         "this kernel has no ublk: there is no %s. It comes with the module "
                         "ublk_drv (modprobe ublk_drv), which Linux 6.0 and later can have; on "
                         "Debian 12 linux-image-6.12-amd64 has it, linux-image-amd64 (6.1) has not",
                         control_path);
    case -EACCES:
    case -EPERM:
        return error_set(error, result,
                         "cannot open %s: no permission; ublk devices are made by root, or with "
                         "CAP_SYS_ADMIN",
                         control_path);
    default:
        return error_set_errno(error, result, "cannot open %s", control_path);
    }
}

int ublk_ring_open(struct ublk_ring *ring, struct error *error)
{
    ring->fd = open(control_path, O_RDWR | O_CLOEXEC);
    if (ring->fd < 0)
        return refuse_control(-errno, error);
    int result = io_uring_queue_init(RING_ENTRIES, &ring->ring, IORING_SETUP_SQE128);
    if (result < 0) {
        close(ring->fd);
        return error_set_errno(error, result, "ublk needs io_uring, which cannot be used");
    }
    return 0;
}

void ublk_ring_close(struct ublk_ring *ring)
{
    io_uring_queue_exit(&ring->ring);
    close(ring->fd);
}

int ublk_ring_begin(struct ublk_ring *ring, uint32_t command,
                    const struct ublksrv_ctrl_cmd *argument)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);
    assert(sqe);
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, ring->fd, NULL, 0, 0);
    sqe->cmd_op = command;
    memcpy(sqe->cmd, argument, sizeof(*argument));
    int result;
    do {
        result = io_uring_submit(&ring->ring);
    } while (result == -EINTR || result == -EAGAIN);
    return result < 0 ? result : 0;
}

int ublk_ring_wait(struct ublk_ring *ring, const int *fds, uint32_t count, int32_t *result)
{
    assert(count <= UBLK_RING_FDS_MAX);
    struct pollfd events[UBLK_RING_FDS_MAX + 1];
    for (uint32_t i = 0; i < count; i++)
        events[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    events[count] = (struct pollfd){.fd = ring->ring.ring_fd, .events = POLLIN};
    for (;;) {
        struct io_uring_cqe *cqe;
        if (io_uring_peek_cqe(&ring->ring, &cqe) == 0) {
            *result = cqe->res;
            io_uring_cqe_seen(&ring->ring, cqe);
            return -1;
        }
        if (poll(events, count + 1, -1) < 0)
            continue;
        for (uint32_t i = 0; i < count; i++)
            if (events[i].revents)
                return (int)i;
    }
}
