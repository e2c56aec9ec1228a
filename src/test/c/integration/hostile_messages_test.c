/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Messages that no honest front end sends. The worst that may happen is that this connection ends:
 * the process lives, keeps no descriptor and no mapping, and serves the next front end.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { DISK_BYTES = 16 << 20, QUEUES = 2, QUEUE_SIZE = 64, WAIT_MS = 20000, PAGE = 4096 };

struct fixture {
    struct backend_host host;
    struct vhost_frontend frontend;
    struct guest_ram ram;
    struct frontend_queue queue;
    uint32_t fd_count; /* of the back end when nobody is connected */
    char path[BACKEND_HOST_PATH_BYTES];
};

/* --- a connection in three stages ------------------------------------------------------------- */

static void open_connection(struct fixture *fixture)
{
    assert_int_equal(vhost_frontend_connect(&fixture->frontend, fixture->host.socket_path, WAIT_MS),
                     0);
}

static void negotiate(struct fixture *fixture)
{
    open_connection(fixture);
    assert_int_equal(vhost_frontend_negotiate(&fixture->frontend, BLK_CLIENT_FEATURES,
                                              BLK_CLIENT_PROTOCOL_FEATURES),
                     0);
    fixture->frontend.need_reply = true;
}

static void start_queue(struct fixture *fixture)
{
    virtq_driver_reset(&fixture->queue.driver);
    assert_int_equal(vhost_frontend_share(&fixture->frontend, &fixture->ram), 0);
    assert_int_equal(frontend_queue_start(&fixture->frontend, &fixture->ram, &fixture->queue, 0),
                     0);
}

static void hang_up(struct fixture *fixture)
{
    vhost_frontend_disconnect(&fixture->frontend);
}

/* Another front end comes, is served, and the back end is as it was before. The connection is
 * closed by the time that the next one is answered, so the count is exact. */
static void check_served_and_clean(struct fixture *fixture)
{
    struct blk_client_params params = {.socket_path = fixture->host.socket_path,
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = QUEUES,
                                       .queue_size = QUEUE_SIZE,
                                       .depth = 1,
                                       .slot_bytes = PAGE,
                                       .connect_timeout_ms = WAIT_MS};
    struct blk_client client;
    uint8_t bytes[PAGE];

    assert_int_equal(blk_client_open(&client, &params), 0);
    memset(bytes, 0x3c, sizeof(bytes));
    for (uint32_t queue = 0; queue < QUEUES; queue++) {
        assert_int_equal(
            blk_client_execute(&client, queue, VIRTIO_BLK_T_OUT, 8, bytes, sizeof(bytes)), 0);
        memset(bytes, 0, sizeof(bytes));
        assert_int_equal(
            blk_client_execute(&client, queue, VIRTIO_BLK_T_IN, 8, bytes, sizeof(bytes)), 0);
        assert_int_equal(bytes[77], 0x3c);
    }
    blk_client_close(&client);
    open_connection(fixture);
    assert_int_equal(vhost_frontend_sync(&fixture->frontend), 0);
    /* One descriptor is that of this connection. */
    assert_int_equal(backend_host_fd_count(&fixture->host), fixture->fd_count + 1);
    assert_int_equal(backend_host_mapping_count(&fixture->host), 0);
    hang_up(fixture);
}

/* The message that was sent ends this connection. */
static void check_dropped(struct fixture *fixture)
{
    assert_int_equal(vhost_frontend_await_close(&fixture->frontend, WAIT_MS), 0);
    hang_up(fixture);
    check_served_and_clean(fixture);
}

/* It was refused, or ended the connection; it was not obeyed. */
static void check_refused(struct fixture *fixture, int result)
{
    assert_true(result == -EREMOTEIO || result == -ECONNRESET);
    hang_up(fixture);
    check_served_and_clean(fixture);
}

static int start(void **state, enum io_engine_kind engine)
{
    struct guest_ram_spec spec = {.gpa = 0x100000, .size = 1 << 20};
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct backend_host_params params;

    assert_non_null(fixture);
    assert_int_equal(test_disk_create(fixture->path, DISK_BYTES), 0);
    params = backend_host_defaults(fixture->path);
    params.device.queue_count = QUEUES;
    params.device.queue_size = QUEUE_SIZE;
    params.device.io_engine = engine;
    /* Before there is guest memory that the child would inherit. */
    assert_int_equal(backend_host_start(&fixture->host, &params), 0);
    assert_int_equal(guest_ram_init(&fixture->ram, &spec, 1), 0);
    assert_int_equal(frontend_queue_init(&fixture->queue, &fixture->ram, 0, 0, QUEUE_SIZE, true),
                     0);
    open_connection(fixture);
    assert_int_equal(vhost_frontend_sync(&fixture->frontend), 0);
    fixture->fd_count = backend_host_fd_count(&fixture->host) - 1;
    hang_up(fixture);
    *state = fixture;
    return 0;
}

static int start_uring(void **state)
{
    return start(state, IO_ENGINE_URING);
}

static int start_sync(void **state)
{
    return start(state, IO_ENGINE_SYNC);
}

static int leave(void **state)
{
    hang_up(*state);
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(backend_host_stop(&fixture->host), 0);
    frontend_queue_deinit(&fixture->queue);
    guest_ram_deinit(&fixture->ram);
    test_disk_remove(fixture->path);
    free(fixture);
    return 0;
}

/* --- headers and sizes ------------------------------------------------------------------------ */

static void outlives_a_message_that_stops_anywhere(void **state)
{
    struct fixture *fixture = *state;
    struct {
        struct frontend_header header;
        struct frontend_mem_table table;
    } message = {.header = {FRONTEND_SET_MEM_TABLE, FRONTEND_VERSION, 8 + 2 * 32},
                 .table = {.region_count = 2}};

    for (size_t length = 0; length < sizeof(message.header) + 8 + 2 * 32; length += 5) {
        open_connection(fixture);
        assert_int_equal(vhost_frontend_send_raw(&fixture->frontend, &message, length,
                                                 (int[]){fixture->ram.regions[0].fd}, length > 0),
                         0);
        hang_up(fixture);
    }
    check_served_and_clean(fixture);
}

static void serves_a_message_that_comes_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    struct frontend_header header = {FRONTEND_GET_FEATURES, FRONTEND_VERSION, 0};
    struct frontend_reply reply;

    open_connection(fixture);
    for (size_t i = 0; i < sizeof(header); i++) {
        assert_int_equal(
            vhost_frontend_send_raw(&fixture->frontend, (const uint8_t *)&header + i, 1, NULL, 0),
            0);
    }
    assert_int_equal(vhost_frontend_receive(&fixture->frontend, &reply), 0);
    assert_int_equal(reply.header.request, FRONTEND_GET_FEATURES);
    hang_up(fixture);
}

static void drops_a_front_end_that_announces_too_much(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t sizes[] = {UINT32_MAX, 0x80000000, 1 << 20, 4096 + 1};

    for (uint32_t i = 0; i < 4; i++) {
        struct frontend_header header = {FRONTEND_SET_MEM_TABLE, FRONTEND_VERSION, sizes[i]};

        negotiate(fixture);
        assert_int_equal(
            vhost_frontend_send_raw(&fixture->frontend, &header, sizeof(header), NULL, 0), 0);
        check_dropped(fixture);
    }
}

static void drops_a_front_end_of_another_version(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t versions[] = {0, 2, 3};

    for (uint32_t i = 0; i < 3; i++) {
        struct frontend_header header = {FRONTEND_GET_FEATURES, versions[i], 0};

        open_connection(fixture);
        assert_int_equal(
            vhost_frontend_send_raw(&fixture->frontend, &header, sizeof(header), NULL, 0), 0);
        check_dropped(fixture);
    }
}

static void drops_a_front_end_with_a_request_that_was_not_negotiated(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t requests[] = {0,  6,  7,  19, 20, 21, 22, 23, 26,  27,         28,
                                 31, 32, 33, 34, 35, 39, 40, 41, 255, 0x7fffffff, UINT32_MAX};
    uint8_t payload[64] = {0};

    for (uint32_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        negotiate(fixture);
        assert_int_equal(vhost_frontend_send(&fixture->frontend, requests[i], 0, payload,
                                             sizeof(payload), NULL, 0),
                         0);
        check_dropped(fixture);
    }
}

static const uint32_t with_payload[] = {
    FRONTEND_SET_FEATURES,   FRONTEND_SET_PROTOCOL_FEATURES, FRONTEND_SET_MEM_TABLE,
    FRONTEND_SET_VRING_NUM,  FRONTEND_SET_VRING_ADDR,        FRONTEND_SET_VRING_BASE,
    FRONTEND_GET_VRING_BASE, FRONTEND_SET_VRING_KICK,        FRONTEND_SET_VRING_CALL,
    FRONTEND_SET_VRING_ERR,  FRONTEND_SET_VRING_ENABLE,      FRONTEND_SET_CONFIG,
    FRONTEND_ADD_MEM_REG,    FRONTEND_REM_MEM_REG,
};

static void drops_a_front_end_whose_payload_is_too_short(void **state)
{
    struct fixture *fixture = *state;
    uint8_t payload[8] = {0};

    for (uint32_t i = 0; i < sizeof(with_payload) / sizeof(with_payload[0]); i++) {
        for (uint32_t size = 0; size < 8; size += 7) {
            negotiate(fixture);
            assert_int_equal(
                vhost_frontend_send(&fixture->frontend, with_payload[i], 0, payload, size, NULL, 0),
                0);
            check_dropped(fixture);
        }
    }
}

static void refuses_a_configuration_message_that_lies_about_its_size(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t sizes[] = {2, 60, 256, 257, 0x10000, UINT32_MAX};

    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct frontend_config config = {.size = sizes[i]};
        struct frontend_reply reply;

        negotiate(fixture); /* one byte of configuration follows, not sizes[i] */
        assert_int_equal(
            vhost_frontend_query(&fixture->frontend, FRONTEND_GET_CONFIG, &config, 13, &reply), 0);
        assert_int_equal(reply.header.size, 0);
        assert_int_equal(
            vhost_frontend_command(&fixture->frontend, FRONTEND_SET_CONFIG, &config, 13, NULL, 0),
            -EREMOTEIO);
        check_dropped(fixture);
    }
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void keeps_none_of_the_surplus_descriptors(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t counts[] = {1, 2, 9, 33, FRONTEND_FDS_MAX};
    uint8_t payload[64] = {0};
    int fds[FRONTEND_FDS_MAX];

    for (uint32_t i = 0; i < FRONTEND_FDS_MAX; i++) {
        fds[i] = fixture->ram.regions[0].fd;
    }
    for (uint32_t request = 1; request <= FRONTEND_REM_MEM_REG; request++) {
        for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            negotiate(fixture);
            assert_int_equal(vhost_frontend_send(&fixture->frontend, request, 0, payload,
                                                 sizeof(payload), fds, counts[i]),
                             0);
            hang_up(fixture);
        }
        check_served_and_clean(fixture);
    }
}

static void keeps_one_descriptor_of_each_kind_however_often_it_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t requests[] = {FRONTEND_SET_VRING_KICK, FRONTEND_SET_VRING_CALL,
                                 FRONTEND_SET_VRING_ERR};
    uint32_t before;

    negotiate(fixture);
    start_queue(fixture);
    assert_int_equal(vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_ERR, 0,
                                                 fixture->queue.call_fd),
                     0);
    before = backend_host_fd_count(&fixture->host);
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(vhost_frontend_set_vring_fd(&fixture->frontend, requests[i % 3], 0,
                                                     fixture->queue.kick_fd),
                         0);
        assert_int_equal(backend_host_fd_count(&fixture->host), before);
    }
    hang_up(fixture);
    check_served_and_clean(fixture);
}

static void refuses_a_started_ring_without_a_kick_descriptor(void **state)
{
    struct fixture *fixture = *state;

    negotiate(fixture);
    check_refused(fixture,
                  vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_KICK, 0, -1));
}

/* Kick descriptors that are no eventfds: the ring may be refused, nothing may spin or hang. */
static void survives_kick_descriptors_of_other_kinds(void **state)
{
    struct fixture *fixture = *state;
    int pipe_fds[2], odd[4];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    close(pipe_fds[1]); /* hung up: readable for ever */
    odd[0] = pipe_fds[0];
    odd[1] = fcntl(fixture->ram.regions[0].fd, F_DUPFD_CLOEXEC, 0);
    odd[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    odd[3] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t cpu_ms;
        int result;

        negotiate(fixture);
        start_queue(fixture);
        result =
            vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_KICK, 0, odd[i]);
        assert_true(result == 0 || result == -EREMOTEIO || result == -ECONNRESET);
        cpu_ms = backend_host_cpu_ms(&fixture->host);
        assert_int_equal(vhost_frontend_await_close(&fixture->frontend, 300),
                         result == 0 ? -ETIMEDOUT : 0);
        assert_in_range(backend_host_cpu_ms(&fixture->host) - cpu_ms, 0, 150);
        hang_up(fixture);
        check_served_and_clean(fixture);
        close(odd[i]);
    }
}

/* Signals must not end the process (a pipe that nobody reads) or block it (a full one, or a full
 * eventfd in blocking mode). */
static void survives_call_descriptors_that_break_or_block(void **state)
{
    struct fixture *fixture = *state;
    int broken[2], full[2], odd[3];

    assert_int_equal(pipe2(broken, O_CLOEXEC), 0);
    close(broken[0]);
    assert_int_equal(pipe2(full, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(full[1], &(uint64_t){1}, 8) == 8) {
    }
    assert_int_equal(fcntl(full[1], F_SETFL, 0), 0);
    odd[0] = broken[1];
    odd[1] = full[1];
    odd[2] = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(write(odd[2], &(uint64_t){UINT64_MAX - 1}, 8), 8);
    for (uint32_t i = 0; i < 3; i++) {
        negotiate(fixture);
        start_queue(fixture);
        assert_int_equal(
            vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_CALL, 0, odd[i]), 0);
        fixture->queue.driver.avail_index = 1; /* one chain of an empty descriptor: goes back */
        virtq_driver_publish_and_kick(&fixture->queue.driver);
        assert_int_equal(virtq_driver_poll(&fixture->queue.driver, WAIT_MS), 1);
        hang_up(fixture);
        check_served_and_clean(fixture);
        close(odd[i]);
    }
    close(full[0]);
}

/* --- virtqueues ------------------------------------------------------------------------------- */

static void refuses_queues_that_do_not_exist(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t indices[] = {QUEUES, QUEUES + 1, 63, 254};
    const uint32_t states[] = {FRONTEND_SET_VRING_NUM, FRONTEND_SET_VRING_BASE,
                               FRONTEND_SET_VRING_ENABLE};

    for (uint32_t i = 0; i < 4; i++) {
        uint32_t base;

        for (uint32_t k = 0; k < 3; k++) {
            negotiate(fixture);
            check_refused(fixture,
                          vhost_frontend_set_vring(&fixture->frontend, states[k],
                                                   indices[i] | (i == 1 ? 1u << 31 : 0), 1));
        }
        negotiate(fixture);
        check_refused(fixture,
                      vhost_frontend_get_vring_base(&fixture->frontend, indices[i], &base));
        negotiate(fixture);
        check_refused(fixture,
                      vhost_frontend_set_vring_addr(&fixture->frontend, indices[i], 0, 0, 0));
        negotiate(fixture);
        check_refused(fixture,
                      vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_CALL,
                                                  indices[i], fixture->queue.call_fd));
    }
}

static void refuses_ring_sizes_that_cannot_be(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t sizes[] = {0, 3, QUEUE_SIZE - 1, QUEUE_SIZE * 2, 32768, 65536, UINT32_MAX};

    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        negotiate(fixture);
        check_refused(fixture, vhost_frontend_set_vring(&fixture->frontend, FRONTEND_SET_VRING_NUM,
                                                        0, sizes[i]));
    }
}

static void refuses_bases_that_do_not_fit_an_index(void **state)
{
    struct fixture *fixture = *state;

    negotiate(fixture);
    check_refused(fixture,
                  vhost_frontend_set_vring(&fixture->frontend, FRONTEND_SET_VRING_BASE, 0, 65536));
}

/* The ring cannot start where its memory is not: the refusal comes with the kick at the latest. */
static void refuses_rings_outside_of_guest_memory(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t good = guest_ram_uaddr(&fixture->ram, fixture->queue.desc_gpa);
    const uint64_t end = fixture->ram.regions[0].uaddr + fixture->ram.regions[0].size;
    const uint64_t bad[] = {
        0, end, end - 16, good + 1, UINT64_MAX, UINT64_MAX - 15, fixture->queue.desc_gpa};

    for (uint32_t part = 0; part < 3; part++) {
        for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            int result;

            negotiate(fixture);
            assert_int_equal(vhost_frontend_share(&fixture->frontend, &fixture->ram), 0);
            assert_int_equal(
                vhost_frontend_set_vring(&fixture->frontend, FRONTEND_SET_VRING_NUM, 0, QUEUE_SIZE),
                0);
            result = vhost_frontend_set_vring_addr(&fixture->frontend, 0, part == 0 ? bad[i] : good,
                                                   part == 1 ? bad[i] : good + 2048,
                                                   part == 2 ? bad[i] : good + 4096);
            if (result == 0) {
                result = vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_KICK, 0,
                                                     fixture->queue.kick_fd);
            }
            check_refused(fixture, result);
        }
    }
}

static void refuses_a_kick_before_anything_else(void **state)
{
    struct fixture *fixture = *state;

    open_connection(fixture);
    assert_int_equal(vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_KICK, 0,
                                                 fixture->queue.kick_fd),
                     0);
    check_dropped(fixture);
    negotiate(fixture);
    check_refused(fixture, vhost_frontend_set_vring_fd(&fixture->frontend, FRONTEND_SET_VRING_KICK,
                                                       0, fixture->queue.kick_fd));
}

static void refuses_features_that_it_does_not_offer(void **state)
{
    struct fixture *fixture = *state;

    negotiate(fixture);
    check_refused(fixture, vhost_frontend_set_u64(&fixture->frontend, FRONTEND_SET_FEATURES,
                                                  FRONTEND_BIT(34 /* RING_PACKED */)));
    negotiate(fixture);
    check_refused(fixture, vhost_frontend_set_u64(&fixture->frontend,
                                                  FRONTEND_SET_PROTOCOL_FEATURES, UINT64_MAX));
}

static void refuses_to_enable_a_ring_without_protocol_features(void **state)
{
    struct fixture *fixture = *state;

    open_connection(fixture);
    assert_int_equal(vhost_frontend_negotiate(&fixture->frontend, FRONTEND_BIT(32), 0), 0);
    assert_int_equal(vhost_frontend_set_vring(&fixture->frontend, FRONTEND_SET_VRING_ENABLE, 0, 1),
                     0);
    check_dropped(fixture);
}

/* --- memory ----------------------------------------------------------------------------------- */

static int share_one(struct fixture *fixture, const struct frontend_mem_region *region, int fd,
                     bool table)
{
    struct frontend_single_region single = {.region = *region};
    struct frontend_mem_table all = {.region_count = 1, .regions = {*region}};

    return table ? vhost_frontend_command(&fixture->frontend, FRONTEND_SET_MEM_TABLE, &all, 40, &fd,
                                          1)
                 : vhost_frontend_command(&fixture->frontend, FRONTEND_ADD_MEM_REG, &single,
                                          sizeof(single), &fd, 1);
}

static void refuses_regions_that_cannot_be(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t size = fixture->ram.regions[0].size;
    const struct frontend_mem_region regions[] = {
        {0x100000, 0, 0x500000, 0},        /* nothing */
        {0x100000, size + 1, 0x500000, 0}, /* longer than the file */
        {0x100000, UINT64_MAX, 0x500000, 0},
        {0x100000, size, 0x500000, PAGE},              /* its end is beyond the file */
        {0x100000, size, 0x500000, UINT64_MAX - 4095}, /* offset and size wrap */
        {0x100000, size, 0x500000, UINT64_C(1) << 63},
        {UINT64_MAX - 100, size, 0x500000, 0}, /* guest addresses wrap */
        {0x100000, size, UINT64_MAX - 100, 0}, /* front-end addresses wrap */
    };

    for (uint32_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        for (uint32_t table = 0; table < 2; table++) {
            negotiate(fixture);
            check_refused(fixture,
                          share_one(fixture, &regions[i], fixture->ram.regions[0].fd, table == 1));
        }
    }
}

static void refuses_memory_that_cannot_be_mapped(void **state)
{
    struct fixture *fixture = *state;
    const struct frontend_mem_region region = {0x100000, PAGE, 0x500000, 0};
    int odd[4], pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    odd[0] = pipe_fds[0];
    odd[1] = fixture->queue.kick_fd;
    odd[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
    odd[3] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint32_t i = 0; i < 4; i++) {
        negotiate(fixture);
        check_refused(fixture, share_one(fixture, &region, odd[i], i % 2 == 0));
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(odd[2]);
    close(odd[3]);
}

static void refuses_overlapping_regions(void **state)
{
    struct fixture *fixture = *state;
    const struct frontend_mem_region first = {0x100000, 4 * PAGE, 0x500000, 0},
                                     second = {0x101000, PAGE, 0x900000, 0};
    int fd = fixture->ram.regions[0].fd;

    negotiate(fixture);
    assert_int_equal(share_one(fixture, &first, fd, false), 0);
    check_refused(fixture, share_one(fixture, &second, fd, false));
}

static void refuses_tables_whose_counts_do_not_agree(void **state)
{
    struct fixture *fixture = *state;
    struct frontend_mem_table table = {
        .regions = {{0x100000, PAGE, 0x500000, 0}, {0x200000, PAGE, 0x600000, 0}}};
    const struct {
        uint32_t regions, payload_regions, fds;
    } cases[] = {{0, 0, 0}, {0, 1, 1},    {2, 1, 2},          {2, 2, 1},
                 {1, 2, 2}, {33, 33, 33}, {UINT32_MAX, 2, 2}, {0x8000001, 1, 1}};
    int fds[FRONTEND_FDS_MAX];

    for (uint32_t i = 0; i < FRONTEND_FDS_MAX; i++) {
        fds[i] = fixture->ram.regions[0].fd;
    }
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t payload[8 + 33 * 32] = {0};

        table.region_count = cases[i].regions;
        memcpy(payload, &table, 8 + 2 * 32);
        negotiate(fixture);
        check_refused(fixture,
                      vhost_frontend_command(&fixture->frontend, FRONTEND_SET_MEM_TABLE, payload,
                                             8 + cases[i].payload_regions * 32, fds, cases[i].fds));
    }
}

static void refuses_to_remove_memory_that_it_does_not_have(void **state)
{
    struct fixture *fixture = *state;
    struct guest_ram_region other = fixture->ram.regions[0];

    other.gpa += PAGE;
    negotiate(fixture);
    assert_int_equal(vhost_frontend_share(&fixture->frontend, &fixture->ram), 0);
    check_refused(fixture, vhost_frontend_rem_mem_reg(&fixture->frontend, &other));
    negotiate(fixture);
    check_refused(fixture,
                  vhost_frontend_rem_mem_reg(&fixture->frontend, &fixture->ram.regions[0]));
}

static void stops_a_ring_whose_memory_is_taken_away(void **state)
{
    struct fixture *fixture = *state;

    negotiate(fixture);
    start_queue(fixture);
    assert_int_equal(vhost_frontend_rem_mem_reg(&fixture->frontend, &fixture->ram.regions[0]), 0);
    fixture->queue.driver.avail_index = 1;
    virtq_driver_publish_and_kick(&fixture->queue.driver);
    assert_int_equal(vhost_frontend_sync(&fixture->frontend), 0);
    assert_int_equal(backend_host_mapping_count(&fixture->host), 0);
    assert_int_equal(vhost_frontend_add_mem_reg(&fixture->frontend, &fixture->ram.regions[0]), 0);
    assert_false(virtq_driver_has_used(&fixture->queue.driver));
    hang_up(fixture);
    check_served_and_clean(fixture);
}

/* --- anything --------------------------------------------------------------------------------- */

static void send_at_random(struct fixture *fixture, struct test_random *random)
{
    uint8_t payload[128];
    uint32_t request = 1 + (uint32_t)test_random_below(random, 40);
    uint32_t size = (uint32_t)test_random_below(random, sizeof(payload));
    int fds[4] = {fixture->ram.regions[0].fd, fixture->queue.kick_fd, fixture->queue.call_fd,
                  fixture->ram.regions[0].fd};

    for (uint32_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)(test_random_below(random, 4) == 0 ? test_random_next(random)
                                                                 : test_random_below(random, 2));
    }
    (void)vhost_frontend_send(&fixture->frontend, request,
                              (uint32_t)test_random_below(random, 4) << 2, payload, size, fds,
                              (uint32_t)test_random_below(random, 5));
}

static void outlives_random_messages(void **state)
{
    struct fixture *fixture = *state;
    struct test_random random = {test_seed()};
    uint64_t rounds = test_count_long(500, 20000);

    test_print_scale(rounds, "connections of random messages");
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t messages = 1 + test_random_below(&random, 8);

        switch (test_random_below(&random, 3)) {
        case 0:
            open_connection(fixture);
            break;
        case 1:
            negotiate(fixture);
            break;
        default:
            negotiate(fixture);
            start_queue(fixture);
        }
        for (uint64_t i = 0; i < messages; i++) {
            send_at_random(fixture, &random);
        }
        hang_up(fixture);
    }
    check_served_and_clean(fixture);
}

#define MESSAGE_TEST(name) cmocka_unit_test_teardown(name, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MESSAGE_TEST(outlives_a_message_that_stops_anywhere),
        MESSAGE_TEST(serves_a_message_that_comes_in_pieces),
        MESSAGE_TEST(drops_a_front_end_that_announces_too_much),
        MESSAGE_TEST(drops_a_front_end_of_another_version),
        MESSAGE_TEST(drops_a_front_end_with_a_request_that_was_not_negotiated),
        MESSAGE_TEST(drops_a_front_end_whose_payload_is_too_short),
        MESSAGE_TEST(refuses_a_configuration_message_that_lies_about_its_size),
        MESSAGE_TEST(keeps_none_of_the_surplus_descriptors),
        MESSAGE_TEST(keeps_one_descriptor_of_each_kind_however_often_it_is_replaced),
        MESSAGE_TEST(refuses_a_started_ring_without_a_kick_descriptor),
        MESSAGE_TEST(survives_kick_descriptors_of_other_kinds),
        MESSAGE_TEST(survives_call_descriptors_that_break_or_block),
        MESSAGE_TEST(refuses_queues_that_do_not_exist),
        MESSAGE_TEST(refuses_ring_sizes_that_cannot_be),
        MESSAGE_TEST(refuses_bases_that_do_not_fit_an_index),
        MESSAGE_TEST(refuses_rings_outside_of_guest_memory),
        MESSAGE_TEST(refuses_a_kick_before_anything_else),
        MESSAGE_TEST(refuses_features_that_it_does_not_offer),
        MESSAGE_TEST(refuses_to_enable_a_ring_without_protocol_features),
        MESSAGE_TEST(refuses_regions_that_cannot_be),
        MESSAGE_TEST(refuses_memory_that_cannot_be_mapped),
        MESSAGE_TEST(refuses_overlapping_regions),
        MESSAGE_TEST(refuses_tables_whose_counts_do_not_agree),
        MESSAGE_TEST(refuses_to_remove_memory_that_it_does_not_have),
        MESSAGE_TEST(stops_a_ring_whose_memory_is_taken_away),
        MESSAGE_TEST(outlives_random_messages),
    };
    int failed = cmocka_run_group_tests_name("io_uring", tests, start_uring, stop);

    return failed + cmocka_run_group_tests_name("sync", tests, start_sync, stop);
}
