/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A guest made by hand.
 */
#include "support/raw_guest.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/cmocka_test.h"

enum { WAIT_MS = 20000, SECTOR = 512, CONNECT_MS = 20000 };

void raw_guest_open(struct raw_guest *guest, const char *socket_path, uint64_t features)
{
    struct guest_ram_spec specs[2] = {
        {.gpa = RAW_GUEST_LOW, .size = RAW_GUEST_HIGH - RAW_GUEST_LOW},
        {.gpa = RAW_GUEST_HIGH, .size = RAW_GUEST_END - RAW_GUEST_HIGH, .file_offset = 1 << 20}};

    features |= FRONTEND_BIT(FRONTEND_F_PROTOCOL_FEATURES) | FRONTEND_BIT(32) |
                FRONTEND_BIT(VIRTIO_RING_F_INDIRECT_DESC);
    assert_int_equal(guest_ram_init(&guest->ram, specs, 2), 0);
    assert_int_equal(frontend_queue_init(&guest->queue, &guest->ram, 0, 0, RAW_GUEST_QUEUE_SIZE,
                                         (features & FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX)) != 0),
                     0);
    assert_int_equal(vhost_frontend_connect(&guest->frontend, socket_path, CONNECT_MS), 0);
    assert_int_equal(vhost_frontend_negotiate(&guest->frontend, features,
                                              FRONTEND_BIT(FRONTEND_PROTOCOL_REPLY_ACK) |
                                                  FRONTEND_BIT(FRONTEND_PROTOCOL_CONFIG)),
                     0);
    guest->frontend.need_reply = true;
    assert_int_equal(vhost_frontend_share(&guest->frontend, &guest->ram), 0);
    guest->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(
        vhost_frontend_set_vring_fd(&guest->frontend, FRONTEND_SET_VRING_ERR, 0, guest->err_fd), 0);
    assert_int_equal(frontend_queue_start(&guest->frontend, &guest->ram, &guest->queue, 0), 0);
}

void raw_guest_close(struct raw_guest *guest)
{
    vhost_frontend_disconnect(&guest->frontend);
    frontend_queue_deinit(&guest->queue);
    guest_ram_deinit(&guest->ram);
    close(guest->err_fd);
}

void *raw_guest_at(const struct raw_guest *guest, uint64_t gpa)
{
    return guest_ram_host(&guest->ram, gpa, 1);
}

void raw_guest_header(struct raw_guest *guest, uint32_t type, uint64_t sector)
{
    struct virtio_blk_outhdr header = {.type = type, .sector = sector};

    memcpy(raw_guest_at(guest, RAW_GUEST_HEADER), &header, sizeof(header));
    *(uint8_t *)raw_guest_at(guest, RAW_GUEST_STATUS) = RAW_STATUS_UNSET;
}

void raw_guest_desc(struct raw_guest *guest, uint16_t index, uint64_t gpa, uint32_t len,
                    uint16_t flags, uint16_t next)
{
    guest->queue.driver.desc[index] =
        (struct vring_desc){.addr = gpa, .len = len, .flags = flags, .next = next};
}

void raw_guest_table(struct raw_guest *guest, uint16_t index, uint64_t gpa, uint32_t len,
                     uint16_t flags, uint16_t next)
{
    struct vring_desc *table = raw_guest_at(guest, RAW_GUEST_TABLE);

    table[index] = (struct vring_desc){.addr = gpa, .len = len, .flags = flags, .next = next};
}

void raw_guest_submit(struct raw_guest *guest, uint16_t head)
{
    virtq_driver_add_raw(&guest->queue.driver, head, UINT32_MAX, head);
    virtq_driver_publish_and_kick(&guest->queue.driver);
}

uint32_t raw_guest_await(struct raw_guest *guest, uint16_t head)
{
    struct virtq_completion completion;

    assert_int_equal(virtq_driver_wait(&guest->queue.driver, WAIT_MS), 1);
    assert_int_equal(virtq_driver_reap(&guest->queue.driver, &completion, 1), 1);
    assert_int_equal(completion.head, head);
    assert_int_equal(guest->queue.driver.in_flight_count, 0);
    return completion.used_len;
}

void raw_guest_expect(struct raw_guest *guest, uint16_t head, int status, uint32_t used_len)
{
    uint32_t found;

    raw_guest_submit(guest, head);
    found = raw_guest_await(guest, head);
    assert_int_equal(*(uint8_t *)raw_guest_at(guest, RAW_GUEST_STATUS),
                     status == RAW_NO_STATUS ? RAW_STATUS_UNSET : status);
    assert_int_equal(found, used_len);
}

void raw_guest_request(struct raw_guest *guest, uint32_t type, uint64_t sector, uint32_t byte_len)
{
    uint16_t direction = type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_F_WRITE;

    raw_guest_header(guest, type, sector);
    raw_guest_desc(guest, 0, RAW_GUEST_HEADER, 16, VRING_DESC_F_NEXT, 1);
    raw_guest_desc(guest, 1, RAW_GUEST_DATA, byte_len, VRING_DESC_F_NEXT | direction, 2);
    raw_guest_desc(guest, 2, RAW_GUEST_STATUS, 1, VRING_DESC_F_WRITE, 0);
}

void raw_guest_check_served(struct raw_guest *guest)
{
    uint8_t *data = raw_guest_at(guest, RAW_GUEST_DATA);
    uint8_t written[SECTOR];

    for (uint32_t i = 0; i < SECTOR; i++) {
        written[i] = (uint8_t)(i * 31 + guest->queue.driver.used_index);
    }
    memcpy(data, written, SECTOR);
    raw_guest_request(guest, VIRTIO_BLK_T_OUT, 8, SECTOR);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1);
    memset(data, 0, SECTOR);
    raw_guest_request(guest, VIRTIO_BLK_T_IN, 8, SECTOR);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, SECTOR + 1);
    assert_memory_equal(data, written, SECTOR);
}

void raw_guest_await_ring_fault(struct raw_guest *guest)
{
    struct pollfd fault = {.fd = guest->err_fd, .events = POLLIN};

    assert_int_equal(poll(&fault, 1, WAIT_MS), 1);
}
