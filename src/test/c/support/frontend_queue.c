/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One virtqueue of a front end.
 */
#include "support/frontend_queue.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int frontend_queue_init(struct frontend_queue *queue, struct guest_ram *ram, uint32_t region,
                        uint32_t index, uint16_t size, bool event_idx)
{
    int error;

    *queue = (struct frontend_queue){.index = index, .kick_fd = -1, .call_fd = -1};
    queue->desc_gpa = guest_ram_alloc(ram, region, virtq_driver_desc_bytes(size), 16, 0);
    queue->avail_gpa = guest_ram_alloc(ram, region, virtq_driver_avail_bytes(size), 2, 0);
    queue->used_gpa = guest_ram_alloc(ram, region, virtq_driver_used_bytes(size), 4, 0);
    if (queue->used_gpa == GUEST_RAM_NONE) {
        return -ENOSPC;
    }
    error = virtq_driver_init(
        &queue->driver, size, guest_ram_host(ram, queue->desc_gpa, virtq_driver_desc_bytes(size)),
        guest_ram_host(ram, queue->avail_gpa, virtq_driver_avail_bytes(size)),
        guest_ram_host(ram, queue->used_gpa, virtq_driver_used_bytes(size)), event_idx);
    if (error < 0) {
        return error;
    }
    queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->kick_fd < 0 || queue->call_fd < 0) {
        error = -errno;
        frontend_queue_deinit(queue);
        return error;
    }
    queue->driver.kick_fd = queue->kick_fd;
    queue->driver.call_fd = queue->call_fd;
    return 0;
}

void frontend_queue_deinit(struct frontend_queue *queue)
{
    virtq_driver_deinit(&queue->driver);
    if (queue->kick_fd >= 0) {
        close(queue->kick_fd);
    }
    if (queue->call_fd >= 0) {
        close(queue->call_fd);
    }
    queue->kick_fd = -1;
    queue->call_fd = -1;
}

int frontend_queue_start(struct vhost_frontend *frontend, const struct guest_ram *ram,
                         struct frontend_queue *queue, uint32_t base)
{
    uint32_t index = queue->index;
    int error;

    if ((error = vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_NUM, index,
                                          queue->driver.size)) < 0 ||
        (error = vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_BASE, index, base)) < 0 ||
        (error = vhost_frontend_set_vring_addr(
             frontend, index, guest_ram_uaddr(ram, queue->desc_gpa),
             guest_ram_uaddr(ram, queue->avail_gpa), guest_ram_uaddr(ram, queue->used_gpa))) < 0 ||
        (error = vhost_frontend_set_vring_fd(frontend, FRONTEND_SET_VRING_CALL, index,
                                             queue->call_fd)) < 0 ||
        (error = vhost_frontend_set_vring_fd(frontend, FRONTEND_SET_VRING_KICK, index,
                                             queue->kick_fd)) < 0) {
        return error;
    }
    if (!vhost_frontend_has(frontend, FRONTEND_F_PROTOCOL_FEATURES)) {
        return 0;
    }
    return vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_ENABLE, index, 1);
}

int frontend_queue_stop(struct vhost_frontend *frontend, struct frontend_queue *queue,
                        uint32_t *base)
{
    if (vhost_frontend_has(frontend, FRONTEND_F_PROTOCOL_FEATURES)) {
        int error = vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_ENABLE, queue->index, 0);

        if (error < 0) {
            return error;
        }
    }
    return vhost_frontend_get_vring_base(frontend, queue->index, base);
}
