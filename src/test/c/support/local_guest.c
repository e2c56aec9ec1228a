/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/local_guest.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/faulty_kernel.h"

enum { DISK_BYTES = 1 << 20, SECTOR = 512, QUEUE_SIZE = 16, WAIT_MS = 20000 };
enum { PLACE_BYTES = 8192, STATUS_AT = 16, DATA_AT = 4096 };

void local_guest_start_backend(struct local_guest *guest, bool write_through)
{
    struct backend_host_params params = backend_host_defaults(guest->path);
    struct vhost_backend_params listen = {.socket_path = guest->socket_path,
                                          .stop_timeout_ms = 10000};
    struct error error;

    params.device.queue_count = LOCAL_GUEST_QUEUES;
    params.device.queue_size = QUEUE_SIZE;
    params.device.io_engine = guest->engine;
    params.device.write_through = write_through;
    params.device.direct_io = guest->cached ? DIRECT_IO_FALSE : DIRECT_IO_AUTO;
    assert_int_equal(blk_device_open(&params.device, NULL, NULL, &guest->device, &error), 0);
    assert_int_equal(vhost_backend_start(guest->device, &listen, NULL, &guest->backend, &error), 0);
}

int local_guest_stop_backend(struct local_guest *guest)
{
    int result = vhost_backend_stop(guest->backend);

    blk_device_close(guest->device);
    guest->backend = NULL;
    return result;
}

void local_guest_connect(struct local_guest *guest, uint64_t features)
{
    assert_int_equal(vhost_frontend_connect(&guest->frontend, guest->socket_path, WAIT_MS), 0);
    assert_int_equal(
        vhost_frontend_negotiate(&guest->frontend, features, BLK_CLIENT_PROTOCOL_FEATURES), 0);
    guest->frontend.need_reply = true;
    assert_int_equal(vhost_frontend_share(&guest->frontend, &guest->ram), 0);
    for (uint32_t i = 0; i < LOCAL_GUEST_QUEUES; i++) {
        assert_int_equal(frontend_queue_start(&guest->frontend, &guest->ram, &guest->queues[i],
                                              guest->queues[i].driver.used_index),
                         0);
    }
}

void local_guest_reset_queues(struct local_guest *guest)
{
    for (uint32_t i = 0; i < LOCAL_GUEST_QUEUES; i++) {
        virtq_driver_reset(&guest->queues[i].driver);
    }
}

static int make_guest(void **state, enum io_engine_kind engine, bool write_through, bool cached)
{
    struct guest_ram_spec spec = {.gpa = 0x1000, .size = 1 << 20};
    struct local_guest *guest = calloc(1, sizeof(*guest));

    assert_non_null(guest);
    guest->engine = engine;
    guest->cached = cached;
    kernel_reset();
    assert_int_equal(test_disk_create(guest->path, DISK_BYTES), 0);
    snprintf(guest->socket_path, sizeof(guest->socket_path), "%s.sock", guest->path);
    local_guest_start_backend(guest, write_through);
    assert_int_equal(guest_ram_init(&guest->ram, &spec, 1), 0);
    for (uint32_t i = 0; i < LOCAL_GUEST_QUEUES; i++) {
        assert_int_equal(
            frontend_queue_init(&guest->queues[i], &guest->ram, 0, i, QUEUE_SIZE, true), 0);
    }
    guest->place = guest_ram_alloc(&guest->ram, 0, LOCAL_GUEST_QUEUES * PLACE_BYTES, 4096, 0);
    guest->frontend.fd = -1;
    *state = guest;
    return 0;
}

int local_guest_setup(void **state)
{
    return make_guest(state, IO_ENGINE_SYNC, false, false);
}

int local_guest_setup_uring(void **state)
{
    return make_guest(state, IO_ENGINE_URING, false, false);
}

int local_guest_setup_write_through(void **state)
{
    return make_guest(state, IO_ENGINE_SYNC, true, false);
}

int local_guest_setup_cached(void **state)
{
    return make_guest(state, IO_ENGINE_SYNC, true, true);
}

int local_guest_teardown(void **state)
{
    struct local_guest *guest = *state;

    vhost_frontend_disconnect(&guest->frontend);
    if (guest->backend != NULL) {
        (void)local_guest_stop_backend(guest);
    }
    for (uint32_t i = 0; i < LOCAL_GUEST_QUEUES; i++) {
        frontend_queue_deinit(&guest->queues[i]);
    }
    guest_ram_deinit(&guest->ram);
    test_disk_remove(guest->path);
    free(guest);
    return 0;
}

uint8_t *local_guest_data(struct local_guest *guest, uint32_t queue)
{
    return guest_ram_host(&guest->ram, guest->place + queue * PLACE_BYTES + DATA_AT, SECTOR);
}

void local_guest_submit(struct local_guest *guest, uint32_t queue, uint32_t type, uint64_t sector)
{
    uint64_t gpa = guest->place + queue * PLACE_BYTES;
    struct virtq_driver *driver = &guest->queues[queue].driver;
    struct virtio_blk_outhdr *header = guest_ram_host(&guest->ram, gpa, sizeof(*header));
    struct virtq_segment segments[3] = {
        {gpa, sizeof(*header), false},
        {gpa + DATA_AT, type == VIRTIO_BLK_T_FLUSH ? 0 : 2 * SECTOR, type == VIRTIO_BLK_T_IN},
        {gpa + STATUS_AT, 1, true}};

    *header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
    *(uint8_t *)guest_ram_host(&guest->ram, gpa + STATUS_AT, 1) = 0xff;
    assert_int_equal(virtq_driver_add(driver, segments, 3, 0, NULL), 0);
    virtq_driver_publish_and_kick(driver);
}

uint8_t local_guest_complete(struct local_guest *guest, uint32_t queue)
{
    struct virtq_driver *driver = &guest->queues[queue].driver;
    struct virtq_completion completion;

    assert_int_equal(virtq_driver_wait(driver, WAIT_MS), 1);
    assert_int_equal(virtq_driver_reap(driver, &completion, 1), 1);
    return *(uint8_t *)guest_ram_host(&guest->ram, guest->place + queue * PLACE_BYTES + STATUS_AT,
                                      1);
}

uint8_t local_guest_execute(struct local_guest *guest, uint32_t type, uint64_t sector)
{
    local_guest_submit(guest, 0, type, sector);
    return local_guest_complete(guest, 0);
}

uint8_t local_guest_cache_mode(struct local_guest *guest)
{
    uint8_t mode = 0xff;

    assert_int_equal(vhost_frontend_get_config(&guest->frontend, 32, 1, &mode), 0);
    return mode;
}

int local_guest_set_cache_mode(struct local_guest *guest, uint8_t mode)
{
    return vhost_frontend_set_config(&guest->frontend, 32, 1, &mode);
}
