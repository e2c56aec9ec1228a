/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What real front ends say, in the order in which they say it: QEMU with its firmware and then
 * Linux on one connection, libblkio, Cloud Hypervisor. And what they get to hear.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { DISK_BYTES = 4 << 20, QUEUES = 2, QUEUE_SIZE = 128, WAIT_MS = 20000, CONFIG_BYTES = 60 };

struct fixture {
    struct backend_host host;
    struct vhost_frontend frontend;
    struct guest_ram ram;
    struct frontend_queue queue;
    char path[BACKEND_HOST_PATH_BYTES];
};

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct backend_host_params params;

    assert_non_null(fixture);
    assert_int_equal(test_disk_create(fixture->path, DISK_BYTES), 0);
    params = backend_host_defaults(fixture->path);
    params.device.queue_count = QUEUES;
    params.device.queue_size = QUEUE_SIZE;
    assert_int_equal(backend_host_start(&fixture->host, &params), 0);
    fixture->frontend.fd = -1;
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(backend_host_stop(&fixture->host), 0);
    test_disk_remove(fixture->path);
    free(fixture);
    return 0;
}

static int connect_front_end(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(vhost_frontend_connect(&fixture->frontend, fixture->host.socket_path, WAIT_MS),
                     0);
    return 0;
}

static int disconnect(void **state)
{
    struct fixture *fixture = *state;

    vhost_frontend_disconnect(&fixture->frontend);
    return 0;
}

static void make_guest(struct fixture *fixture, const struct guest_ram_spec *spec, bool event_idx)
{
    assert_int_equal(guest_ram_init(&fixture->ram, spec, 1), 0);
    assert_int_equal(
        frontend_queue_init(&fixture->queue, &fixture->ram, 0, 0, QUEUE_SIZE, event_idx), 0);
}

static void free_guest(struct fixture *fixture)
{
    frontend_queue_deinit(&fixture->queue);
    guest_ram_deinit(&fixture->ram);
}

/* One GET_ID on the queue. */
static void check_get_id(struct fixture *fixture)
{
    uint64_t gpa = guest_ram_alloc(&fixture->ram, 0, 64, 16, 0);
    struct virtio_blk_outhdr *header = guest_ram_host(&fixture->ram, gpa, 64);
    uint8_t *id = (uint8_t *)(header + 1);
    struct virtq_segment segments[3] = {
        {gpa, 16, false}, {gpa + 16, 20, true}, {gpa + 36, 1, true}};
    struct virtq_completion completion;

    *header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_GET_ID};
    id[20] = 0xff;
    assert_int_equal(virtq_driver_add(&fixture->queue.driver, segments, 3, 1, NULL), 0);
    virtq_driver_publish_and_kick(&fixture->queue.driver);
    assert_int_equal(virtq_driver_wait(&fixture->queue.driver, WAIT_MS), 1);
    assert_int_equal(virtq_driver_reap(&fixture->queue.driver, &completion, 1), 1);
    assert_int_equal(completion.used_len, 21);
    assert_int_equal(id[20], VIRTIO_BLK_S_OK);
    assert_memory_equal(id, "ubiblk\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
}

static void offers_the_features_it_implements(void **state)
{
    struct vhost_frontend *frontend = &((struct fixture *)*state)->frontend;
    uint64_t value;

    assert_int_equal(vhost_frontend_get_u64(frontend, FRONTEND_GET_FEATURES, &value), 0);
    assert_int_equal(value, 0x170001e46);
    assert_int_equal(vhost_frontend_get_u64(frontend, FRONTEND_GET_PROTOCOL_FEATURES, &value), 0);
    assert_int_equal(value, 0x8209);
}

static void says_how_many_queues_and_regions_it_takes(void **state)
{
    struct vhost_frontend *frontend = &((struct fixture *)*state)->frontend;
    uint64_t value;

    assert_int_equal(
        vhost_frontend_negotiate(frontend, BLK_CLIENT_FEATURES, BLK_CLIENT_PROTOCOL_FEATURES), 0);
    assert_int_equal(vhost_frontend_get_u64(frontend, FRONTEND_GET_QUEUE_NUM, &value), 0);
    assert_int_equal(value, QUEUES);
    assert_int_equal(vhost_frontend_get_u64(frontend, FRONTEND_GET_MAX_MEM_SLOTS, &value), 0);
    assert_true(value >= 32);
}

static void expected_config(uint8_t config[256])
{
    static const uint8_t known[] = {
        0x00, 0x20, 0, 0, 0, 0, 0, 0, /* capacity: 8192 sectors */
        0x00, 0x00, 1, 0,             /* size_max: 65536 */
        4,    0,    0, 0,             /* seg_max */
        0,    0,    0, 0,             /* geometry */
        0x00, 0x02, 0, 0,             /* blk_size: 512 */
        0,    0,    1, 0,             /* topology: exponent, alignment, min_io_size */
        1,    0,    0, 0,             /* opt_io_size */
        1,    0,                      /* writeback */
        2,    0,                      /* num_queues */
    };

    memset(config, 0, 256);
    memcpy(config, known, sizeof(known));
}

static void answers_get_config_as_each_front_end_asks(void **state)
{
    struct vhost_frontend *frontend = &((struct fixture *)*state)->frontend;
    const struct {
        uint32_t offset, size, first;
    } asked[] = {
        {0, 57, 0},     /* QEMU */
        {0, 60, 0},     /* libblkio */
        {0x100, 60, 0}, /* Cloud Hypervisor */
        {0, 8, 0},       {8, 4, 8},        {32, 1, 32},          {34, 2, 34},  {59, 1, 59},
        {0, 256, 0},     {60, 10, 60},     {200, 56, 200},       {58, 40, 58}, {0x100 + 20, 4, 20},
        {0x100, 256, 0}, {0x1000, 8, 100}, {0xfffffff0, 4, 100},
    };
    uint8_t wanted[512] = {0}, got[256];

    expected_config(wanted);
    assert_int_equal(
        vhost_frontend_negotiate(frontend, BLK_CLIENT_FEATURES, BLK_CLIENT_PROTOCOL_FEATURES), 0);
    for (uint32_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        memset(got, 0xcc, sizeof(got));
        assert_int_equal(vhost_frontend_get_config(frontend, asked[i].offset, asked[i].size, got),
                         0);
        assert_memory_equal(got, wanted + asked[i].first, asked[i].size);
    }
}

static void lets_the_driver_write_the_cache_mode_and_nothing_else(void **state)
{
    struct vhost_frontend *frontend = &((struct fixture *)*state)->frontend;
    uint8_t config[CONFIG_BYTES], before[CONFIG_BYTES], mode = 0;

    assert_int_equal(
        vhost_frontend_negotiate(frontend, BLK_CLIENT_FEATURES, BLK_CLIENT_PROTOCOL_FEATURES), 0);
    frontend->need_reply = true;
    assert_int_equal(vhost_frontend_get_config(frontend, 0, CONFIG_BYTES, before), 0);
    for (uint32_t offset = 0; offset < 64; offset++) {
        if (offset != 32) {
            assert_int_equal(vhost_frontend_set_config(frontend, offset, 1, &mode), -EREMOTEIO);
        }
    }
    memset(config, 0, sizeof(config));
    assert_int_equal(vhost_frontend_set_config(frontend, 0, CONFIG_BYTES, config), -EREMOTEIO);
    assert_int_equal(vhost_frontend_set_config(frontend, 32, 2, config), -EREMOTEIO);
    assert_int_equal(vhost_frontend_get_config(frontend, 0, CONFIG_BYTES, config), 0);
    assert_memory_equal(config, before, CONFIG_BYTES);
    for (mode = 0; mode < 2; mode++) {
        assert_int_equal(vhost_frontend_set_config(frontend, 32, 1, &mode), 0);
        assert_int_equal(vhost_frontend_get_config(frontend, 0, CONFIG_BYTES, config), 0);
        before[32] = mode;
        assert_memory_equal(config, before, CONFIG_BYTES);
    }
}

static void acknowledges_only_what_it_was_asked_to(void **state)
{
    struct vhost_frontend *frontend = &((struct fixture *)*state)->frontend;
    struct frontend_reply reply;
    uint64_t features = FRONTEND_BIT(32) | FRONTEND_BIT(FRONTEND_F_PROTOCOL_FEATURES);

    /* Not negotiated yet: the flag means nothing. The next answer is that of GET_FEATURES. */
    assert_int_equal(vhost_frontend_send(frontend, FRONTEND_SET_FEATURES, FRONTEND_FLAG_NEED_REPLY,
                                         &features, sizeof(features), NULL, 0),
                     0);
    assert_int_equal(vhost_frontend_sync(frontend), 0);
    assert_int_equal(
        vhost_frontend_negotiate(frontend, features, FRONTEND_BIT(FRONTEND_PROTOCOL_REPLY_ACK)), 0);
    assert_int_equal(vhost_frontend_set_u64(frontend, FRONTEND_SET_FEATURES, features), 0);
    assert_int_equal(vhost_frontend_sync(frontend), 0);
    assert_int_equal(vhost_frontend_send(frontend, FRONTEND_SET_FEATURES, FRONTEND_FLAG_NEED_REPLY,
                                         &features, sizeof(features), NULL, 0),
                     0);
    assert_int_equal(vhost_frontend_receive(frontend, &reply), 0);
    assert_int_equal(reply.header.request, FRONTEND_SET_FEATURES);
    assert_int_equal(reply.header.size, 8);
    /* A query's answer is its acknowledgement. */
    assert_int_equal(vhost_frontend_send(frontend, FRONTEND_GET_FEATURES, FRONTEND_FLAG_NEED_REPLY,
                                         NULL, 0, NULL, 0),
                     0);
    assert_int_equal(vhost_frontend_receive(frontend, &reply), 0);
    assert_int_equal(vhost_frontend_sync(frontend), 0);
}

/* SeaBIOS reads from the disk without FLUSH and EVENT_IDX and enables a queue that it never set up;
 * then Linux starts afresh with other features, on the same connection. */
static void serves_firmware_and_then_linux_on_one_connection(void **state)
{
    struct fixture *fixture = *state;
    struct vhost_frontend *frontend = &fixture->frontend;
    struct guest_ram_spec spec = {.gpa = 0, .size = 1 << 20, .sealed = true};
    uint64_t firmware =
        FRONTEND_BIT(1) | FRONTEND_BIT(2) | FRONTEND_BIT(6) | FRONTEND_BIT(30) | FRONTEND_BIT(32);
    uint32_t base;

    make_guest(fixture, &spec, false);
    assert_int_equal(vhost_frontend_negotiate(frontend, firmware, BLK_CLIENT_PROTOCOL_FEATURES), 0);
    assert_int_equal(vhost_frontend_share(frontend, &fixture->ram), 0);
    assert_int_equal(vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_ENABLE, 1, 1), 0);
    assert_int_equal(frontend_queue_start(frontend, &fixture->ram, &fixture->queue, 0), 0);
    check_get_id(fixture);
    assert_int_equal(vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_ENABLE, 1, 0), 0);
    assert_int_equal(frontend_queue_stop(frontend, &fixture->queue, &base), 0);
    assert_int_equal(base, 1);
    assert_int_equal(vhost_frontend_get_vring_base(frontend, 1, &base), 0);
    virtq_driver_reset(&fixture->queue.driver);
    fixture->queue.driver.event_idx = true;
    assert_int_equal(vhost_frontend_set_u64(frontend, FRONTEND_SET_FEATURES, BLK_CLIENT_FEATURES),
                     0);
    frontend->need_reply = true; /* QEMU 10 wants SET_VRING_ENABLE acknowledged */
    assert_int_equal(frontend_queue_start(frontend, &fixture->ram, &fixture->queue, 0), 0);
    check_get_id(fixture);
    check_get_id(fixture);
    free_guest(fixture);
}

/* libblkio: guest addresses are its own, a region is as long as it likes, KICK before CALL, and
 * every message acknowledged. It leaves by closing the socket. */
static void serves_libblkio(void **state)
{
    struct fixture *fixture = *state;
    struct vhost_frontend *frontend = &fixture->frontend;
    struct guest_ram_spec spec = {
        .gpa = 0x7f0000001000, .size = 100000, .file_offset = 4096, .identity = true};
    const struct frontend_queue *queue = &fixture->queue;

    make_guest(fixture, &spec, true);
    assert_int_equal(vhost_frontend_negotiate(
                         frontend, BLK_CLIENT_FEATURES & ~FRONTEND_BIT(VIRTIO_RING_F_INDIRECT_DESC),
                         BLK_CLIENT_PROTOCOL_FEATURES),
                     0);
    frontend->need_reply = true;
    assert_int_equal(vhost_frontend_add_mem_reg(frontend, &fixture->ram.regions[0]), 0);
    assert_int_equal(vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_NUM, 0, QUEUE_SIZE), 0);
    assert_int_equal(vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_BASE, 0, 0), 0);
    assert_int_equal(vhost_frontend_set_vring_addr(frontend, 0, queue->desc_gpa, queue->avail_gpa,
                                                   queue->used_gpa),
                     0);
    assert_int_equal(
        vhost_frontend_set_vring_fd(frontend, FRONTEND_SET_VRING_KICK, 0, queue->kick_fd), 0);
    assert_int_equal(
        vhost_frontend_set_vring_fd(frontend, FRONTEND_SET_VRING_CALL, 0, queue->call_fd), 0);
    assert_int_equal(vhost_frontend_set_vring(frontend, FRONTEND_SET_VRING_ENABLE, 0, 1), 0);
    check_get_id(fixture);
    free_guest(fixture);
}

/* Without the feature bit of protocol features, rings are enabled from the start. */
static void serves_a_front_end_without_protocol_features(void **state)
{
    struct fixture *fixture = *state;
    struct guest_ram_spec spec = {.gpa = 0x1000, .size = 1 << 20};

    make_guest(fixture, &spec, false);
    assert_int_equal(vhost_frontend_negotiate(&fixture->frontend, FRONTEND_BIT(32), 0), 0);
    assert_int_equal(vhost_frontend_set_mem_table(&fixture->frontend, &fixture->ram), 0);
    assert_int_equal(frontend_queue_start(&fixture->frontend, &fixture->ram, &fixture->queue, 0),
                     0);
    check_get_id(fixture);
    free_guest(fixture);
}

/* A driver that polls: no call descriptor, no signal. */
static void serves_a_queue_without_a_call_descriptor(void **state)
{
    struct fixture *fixture = *state;
    struct guest_ram_spec spec = {.gpa = 0x1000, .size = 1 << 20};
    uint64_t count;

    make_guest(fixture, &spec, false);
    assert_int_equal(vhost_frontend_negotiate(&fixture->frontend, BLK_CLIENT_FEATURES,
                                              BLK_CLIENT_PROTOCOL_FEATURES),
                     0);
    assert_int_equal(vhost_frontend_share(&fixture->frontend, &fixture->ram), 0);
    assert_int_equal(frontend_queue_start(&fixture->frontend, &fixture->ram, &fixture->queue, 0),
                     0);
    assert_int_equal(
        vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_CALL, 0, -1), 0);
    assert_int_equal(vhost_frontend_sync(&fixture->frontend), 0);
    (void)!read(fixture->queue.call_fd, &count, sizeof(count));
    fixture->queue.driver.avail_index = 1; /* an empty descriptor: goes back */
    virtq_driver_publish_and_kick(&fixture->queue.driver);
    assert_int_equal(virtq_driver_poll(&fixture->queue.driver, WAIT_MS), 1);
    assert_int_equal(read(fixture->queue.call_fd, &count, sizeof(count)), -1);
    assert_int_equal(errno, EAGAIN);
    free_guest(fixture);
}

static void await_readable(int fd)
{
    struct pollfd event = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&event, 1, WAIT_MS), 1);
    assert_int_equal(event.revents, POLLIN);
}

/* A completion that was told to a call descriptor that was taken away before anybody looked. */
static void tells_a_new_call_descriptor_what_the_last_one_was_told(void **state)
{
    struct fixture *fixture = *state;
    struct vhost_frontend *frontend = &fixture->frontend;
    struct guest_ram_spec spec = {.gpa = 0x1000, .size = 1 << 20};
    int other_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    make_guest(fixture, &spec, true);
    assert_int_equal(
        vhost_frontend_negotiate(frontend, BLK_CLIENT_FEATURES, BLK_CLIENT_PROTOCOL_FEATURES), 0);
    assert_int_equal(vhost_frontend_share(frontend, &fixture->ram), 0);
    virtq_driver_add_raw(&fixture->queue.driver, 0, 0, 0); /* an empty descriptor: goes back */
    virtq_driver_publish(&fixture->queue.driver);
    assert_int_equal(frontend_queue_start(frontend, &fixture->ram, &fixture->queue, 0), 0);
    await_readable(fixture->queue.call_fd);
    assert_true(virtq_driver_has_used(&fixture->queue.driver));
    assert_int_equal(vhost_frontend_set_vring_fd(frontend, FRONTEND_SET_VRING_CALL, 0, other_fd),
                     0);
    await_readable(other_fd);
    close(other_fd);
    free_guest(fixture);
}

static uint64_t signals_of(struct fixture *fixture)
{
    uint64_t count = 0;

    (void)!read(fixture->queue.call_fd, &count, sizeof(count));
    return count;
}

/* NO_INTERRUPT and a used_event that is far away are honoured; asking again brings signals back. */
static void signals_only_when_it_is_asked_to(void **state)
{
    struct fixture *fixture = *state;
    struct virtq_driver *driver = &fixture->queue.driver;
    struct guest_ram_spec spec = {.gpa = 0x1000, .size = 1 << 20};

    for (uint32_t event_idx = 0; event_idx < 2; event_idx++) {
        uint64_t features = BLK_CLIENT_FEATURES;

        if (event_idx == 0) {
            features &= ~FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX);
        } else {
            disconnect(state);
            connect_front_end(state);
        }
        make_guest(fixture, &spec, event_idx == 1);
        assert_int_equal(
            vhost_frontend_negotiate(&fixture->frontend, features, BLK_CLIENT_PROTOCOL_FEATURES),
            0);
        assert_int_equal(vhost_frontend_share(&fixture->frontend, &fixture->ram), 0);
        virtq_driver_disable_signals(driver);
        assert_int_equal(
            frontend_queue_start(&fixture->frontend, &fixture->ram, &fixture->queue, 0), 0);
        assert_int_equal(vhost_frontend_sync(&fixture->frontend), 0);
        if (event_idx == 1) { /* the very first entry may be signalled in any case */
            struct virtq_completion completion;

            virtq_driver_add_raw(driver, 0, 0, 0);
            virtq_driver_publish_and_kick(driver);
            assert_int_equal(virtq_driver_poll(driver, WAIT_MS), 1);
            assert_int_equal(virtq_driver_reap(driver, &completion, 1), 1);
            assert_int_equal(vhost_frontend_sync(&fixture->frontend), 0);
            virtq_driver_disable_signals(driver);
        }
        signals_of(fixture);
        for (uint32_t i = 0; i < 200; i++) {
            struct virtq_completion completion;

            virtq_driver_add_raw(driver, (uint16_t)(i % QUEUE_SIZE), 0, 0);
            virtq_driver_publish_and_kick(driver);
            assert_int_equal(virtq_driver_poll(driver, WAIT_MS), 1);
            assert_int_equal(virtq_driver_reap(driver, &completion, 1), 1);
        }
        assert_int_equal(signals_of(fixture), 0);
        check_get_id(fixture); /* waits for a signal */
        free_guest(fixture);
    }
}

/* The socket is for owner and group, stays in place, and serves one front end after the other. */
static void serves_one_front_end_after_the_other_on_one_socket(void **state)
{
    struct fixture *fixture = *state;
    uint64_t rounds = test_count(100, 1000);
    struct stat before, after;

    test_print_scale(rounds, "front ends in turn");
    assert_int_equal(stat(fixture->host.socket_path, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0660);
    vhost_frontend_disconnect(&fixture->frontend);
    for (uint64_t round = 0; round < rounds; round++) {
        struct blk_client_params params = {.socket_path = fixture->host.socket_path,
                                           .features = BLK_CLIENT_FEATURES,
                                           .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                           .queue_count = QUEUES,
                                           .queue_size = QUEUE_SIZE,
                                           .depth = 1,
                                           .slot_bytes = 4096,
                                           .connect_timeout_ms = WAIT_MS};
        struct blk_client client;
        uint64_t word = round * 0x9e3779b97f4a7c15, found[64] = {0};

        assert_int_equal(blk_client_open(&client, &params), 0);
        found[0] = word;
        assert_int_equal(blk_client_execute(&client, 0, VIRTIO_BLK_T_OUT, 3, found, 512), 0);
        found[0] = 0;
        assert_int_equal(blk_client_execute(&client, 1, VIRTIO_BLK_T_IN, 3, found, 512), 0);
        assert_int_equal(found[0], word);
        if (round % 2 == 0) {
            blk_client_close(&client);
        } else {
            blk_client_vanish(&client);
        }
    }
    assert_int_equal(stat(fixture->host.socket_path, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
}

#define PROTOCOL_TEST(name) cmocka_unit_test_setup_teardown(name, connect_front_end, disconnect)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(offers_the_features_it_implements),
        PROTOCOL_TEST(says_how_many_queues_and_regions_it_takes),
        PROTOCOL_TEST(answers_get_config_as_each_front_end_asks),
        PROTOCOL_TEST(lets_the_driver_write_the_cache_mode_and_nothing_else),
        PROTOCOL_TEST(acknowledges_only_what_it_was_asked_to),
        PROTOCOL_TEST(serves_firmware_and_then_linux_on_one_connection),
        PROTOCOL_TEST(serves_libblkio),
        PROTOCOL_TEST(serves_a_front_end_without_protocol_features),
        PROTOCOL_TEST(serves_a_queue_without_a_call_descriptor),
        PROTOCOL_TEST(tells_a_new_call_descriptor_what_the_last_one_was_told),
        PROTOCOL_TEST(signals_only_when_it_is_asked_to),
        PROTOCOL_TEST(serves_one_front_end_after_the_other_on_one_socket),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
