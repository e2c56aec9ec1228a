/* SPDX-License-Identifier: AGPL-3.0-only */
/* Each message of a connection, its answer, and what ends it. The test is the front end, sends a
 * message and has it handled in the same thread; queue threads are real. */
#include "vhost/vhost_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/test_device.h"
#include "support/vhost_frontend.h"

enum { QUEUES = 2, SIZE = 16, RAM_BYTES = 1 << 16 };

#define RAM_UADDR UINT64_C(0x7f0000000000)

static const uint64_t protocol_features = 0x8209; /* MQ, REPLY_ACK, CONFIG, CONFIGURE_MEM_SLOTS */
static const uint64_t device_features = 0x170001e46;

struct fixture {
    struct test_device *test;
    struct vhost_queue *queues[QUEUES];
    struct vhost_cache cache;
    int done_fd;
    int ram_fd;
    struct vhost_session *session;
    struct vhost_frontend frontend;
    struct frontend_reply reply;
    struct error error;
};

static void connect_session(struct fixture *f)
{
    const struct vhost_rings_params params = {
        .device = &f->test->device,
        .queues = f->queues,
        .cache = &f->cache,
        .log = f->test->log,
        .done_fd = f->done_fd,
        .stop_timeout_ms = 10000,
    };
    int pair[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    f->frontend = (struct vhost_frontend){.fd = pair[0], .timeout_ms = 20000};
    f->session = vhost_session_create(&params, pair[1]);
    assert_non_null(f->session);
    assert_int_equal(pair[1], vhost_session_fd(f->session));
}

static int setup(void **state)
{
    const struct test_device_params params = {
        .queue_count = QUEUES, .queue_size = SIZE, .sync_engine = true};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->test = test_device_create(&params);
    f->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->ram_fd = memfd_create("ram", MFD_CLOEXEC);
    assert_int_equal(0, ftruncate(f->ram_fd, RAM_BYTES));
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(
            0, vhost_queue_create(&f->test->device, i, -1, f->done_fd, &f->queues[i], &f->error));
    }
    vhost_cache_init(&f->cache, false);
    connect_session(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vhost_session_destroy(f->session);
    vhost_frontend_disconnect(&f->frontend);
    for (uint32_t i = 0; i < QUEUES; i++) {
        vhost_queue_destroy(f->queues[i]);
    }
    close(f->ram_fd);
    close(f->done_fd);
    test_device_destroy(f->test);
    free(f);
    return 0;
}

static int handle(struct fixture *f)
{
    f->error = (struct error){0};
    int result = vhost_session_handle(f->session, &f->error);
    assert_true(result >= 0 || result == -ECONNRESET || strlen(f->error.message) > 0);
    return result;
}

/* Sends a message with copies of fd beside it and has it handled. */
static int tell(struct fixture *f, uint32_t request, const void *payload, uint32_t byte_len, int fd,
                uint32_t fd_count)
{
    const int fds[] = {fd, fd, fd};
    assert_int_equal(
        0, vhost_frontend_send(&f->frontend, request, 0, payload, byte_len, fds, fd_count));
    return handle(f);
}

static int tell_u64(struct fixture *f, uint32_t request, uint64_t value)
{
    return tell(f, request, &value, sizeof(value), -1, 0);
}

static int tell_ring(struct fixture *f, uint32_t request, uint32_t index, uint32_t value)
{
    const struct frontend_vring_state state = {.index = index, .num = value};
    return tell(f, request, &state, sizeof(state), -1, 0);
}

static void assert_reply(struct fixture *f, uint32_t request, uint32_t byte_len)
{
    assert_int_equal(0, vhost_frontend_receive(&f->frontend, &f->reply));
    assert_int_equal(request, f->reply.header.request);
    assert_int_equal(FRONTEND_VERSION | FRONTEND_FLAG_REPLY, f->reply.header.flags);
    assert_int_equal(byte_len, f->reply.header.size);
}

static uint64_t ask(struct fixture *f, uint32_t request)
{
    uint64_t value;
    assert_int_equal(0, tell(f, request, NULL, 0, -1, 0));
    assert_reply(f, request, sizeof(value));
    memcpy(&value, f->reply.payload, sizeof(value));
    return value;
}

/* Whether the connection is as it should be after a refusal: another one works. */
static void reconnect(struct fixture *f)
{
    vhost_session_destroy(f->session);
    vhost_frontend_disconnect(&f->frontend);
    connect_session(f);
    assert_true(ask(f, FRONTEND_GET_FEATURES) == device_features);
}

static struct frontend_mem_region region(uint64_t offset, uint64_t byte_len)
{
    return (struct frontend_mem_region){
        .gpa = offset, .size = byte_len, .uaddr = RAM_UADDR + offset, .mmap_offset = offset};
}

static int set_mem_table(struct fixture *f, uint32_t count, uint32_t fd_count, uint32_t byte_len)
{
    struct frontend_mem_table table = {.region_count = count};
    for (uint32_t i = 0; i < 3; i++) {
        table.regions[i] = region(0x4000 * (uint64_t)i, 0x4000);
    }
    return tell(f, FRONTEND_SET_MEM_TABLE, &table, byte_len, f->ram_fd, fd_count);
}

static void answers_what_it_offers(void **state)
{
    struct fixture *f = *state;
    assert_true(ask(f, FRONTEND_GET_FEATURES) == device_features);
    assert_true(ask(f, FRONTEND_GET_PROTOCOL_FEATURES) == protocol_features);
    assert_int_equal(QUEUES, ask(f, FRONTEND_GET_QUEUE_NUM));
    assert_int_equal(509, ask(f, FRONTEND_GET_MAX_MEM_SLOTS));
    assert_int_equal(0, tell(f, FRONTEND_SET_OWNER, NULL, 0, -1, 0));
    assert_int_equal(0, tell(f, FRONTEND_RESET_OWNER, NULL, 0, -1, 0));
}

static void accepts_no_feature_that_it_does_not_offer(void **state)
{
    struct fixture *f = *state;
    for (uint32_t bit = 0; bit < 64; bit++) {
        bool offered = device_features >> bit & 1;
        assert_int_equal(offered ? 0 : -EPROTO, tell_u64(f, FRONTEND_SET_FEATURES, 1ull << bit));
        offered = protocol_features >> bit & 1;
        assert_int_equal(offered ? 0 : -EPROTO,
                         tell_u64(f, FRONTEND_SET_PROTOCOL_FEATURES, 1ull << bit));
    }
}

static void ends_with_requests_that_it_does_not_know(void **state)
{
    struct fixture *f = *state;
    const uint32_t unknown[] = {0,
                                FRONTEND_SET_LOG_BASE,
                                FRONTEND_SET_LOG_FD,
                                FRONTEND_GET_INFLIGHT_FD,
                                FRONTEND_SET_INFLIGHT_FD,
                                FRONTEND_RESET_DEVICE,
                                39,
                                1000,
                                UINT32_MAX};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(-EPROTO, tell_u64(f, unknown[i], 0));
        reconnect(f);
    }
}

static void ends_with_payloads_that_are_too_short(void **state)
{
    struct fixture *f = *state;
    const struct {
        uint32_t request;
        uint32_t byte_len;
    } least[] = {
        {FRONTEND_SET_FEATURES, 8},     {FRONTEND_SET_PROTOCOL_FEATURES, 8},
        {FRONTEND_SET_MEM_TABLE, 8},    {FRONTEND_SET_VRING_NUM, 8},
        {FRONTEND_SET_VRING_ADDR, 40},  {FRONTEND_SET_VRING_BASE, 8},
        {FRONTEND_GET_VRING_BASE, 8},   {FRONTEND_SET_VRING_KICK, 8},
        {FRONTEND_SET_VRING_CALL, 8},   {FRONTEND_SET_VRING_ERR, 8},
        {FRONTEND_SET_VRING_ENABLE, 8}, {FRONTEND_ADD_MEM_REG, 40},
        {FRONTEND_REM_MEM_REG, 40},     {FRONTEND_SET_CONFIG, 12},
    };
    const uint8_t payload[64] = {0};
    for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++) {
        assert_int_equal(-EPROTO, tell(f, least[i].request, payload, least[i].byte_len - 1, -1, 0));
        reconnect(f);
    }
}

static void ends_when_the_front_end_leaves(void **state)
{
    struct fixture *f = *state;
    vhost_frontend_disconnect(&f->frontend);
    assert_int_equal(-ECONNRESET, handle(f));
    vhost_session_destroy(NULL);
}

static void acknowledges_when_it_is_asked_to(void **state)
{
    struct fixture *f = *state;
    const uint64_t none = 0;
    const struct frontend_vring_state bad = {.index = 0, .num = 3};
    /* before REPLY_ACK is acked the flag means nothing */
    assert_int_equal(0, vhost_frontend_send(&f->frontend, FRONTEND_SET_OWNER,
                                            FRONTEND_FLAG_NEED_REPLY, NULL, 0, NULL, 0));
    assert_int_equal(0, handle(f));
    assert_int_equal(0, tell_u64(f, FRONTEND_SET_PROTOCOL_FEATURES, protocol_features));
    assert_int_equal(0, vhost_frontend_send(&f->frontend, FRONTEND_SET_FEATURES,
                                            FRONTEND_FLAG_NEED_REPLY, &none, 8, NULL, 0));
    assert_int_equal(0, handle(f));
    assert_reply(f, FRONTEND_SET_FEATURES, 8);
    assert_int_equal(0, f->reply.payload[0]);
    /* an answer of its own is the only one */
    assert_int_equal(0, vhost_frontend_send(&f->frontend, FRONTEND_GET_FEATURES,
                                            FRONTEND_FLAG_NEED_REPLY, NULL, 0, NULL, 0));
    assert_int_equal(0, handle(f));
    assert_reply(f, FRONTEND_GET_FEATURES, 8);
    /* a violation is acknowledged, and then the connection ends */
    assert_int_equal(0, vhost_frontend_send(&f->frontend, FRONTEND_SET_VRING_NUM,
                                            FRONTEND_FLAG_NEED_REPLY, &bad, sizeof(bad), NULL, 0));
    assert_int_equal(-EPROTO, handle(f));
    assert_reply(f, FRONTEND_SET_VRING_NUM, 8);
    assert_int_equal(1, f->reply.payload[0]);
}

static void takes_memory_tables_that_add_up(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, set_mem_table(f, 1, 1, 8 + 32));
    assert_int_equal(0, set_mem_table(f, 3, 3, 8 + 3 * 32));
    const struct {
        uint32_t count;
        uint32_t fd_count;
        uint32_t byte_len;
    } bad[] = {{0, 0, 8}, {2, 1, 8 + 2 * 32}, {1, 2, 8 + 32}, {3, 3, 8 + 3 * 32 - 1}, {33, 3, 200}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(-EPROTO, set_mem_table(f, bad[i].count, bad[i].fd_count, bad[i].byte_len));
        reconnect(f);
    }
    struct frontend_mem_table overlapping = {.region_count = 2};
    overlapping.regions[0] = overlapping.regions[1] = region(0, 0x1000);
    assert_int_equal(-EEXIST,
                     tell(f, FRONTEND_SET_MEM_TABLE, &overlapping, 8 + 2 * 32, f->ram_fd, 2));
}

static void adds_and_removes_regions(void **state)
{
    struct fixture *f = *state;
    struct frontend_single_region single = {.region = region(0, 0x1000)};
    assert_int_equal(0, tell(f, FRONTEND_ADD_MEM_REG, &single, sizeof(single), f->ram_fd, 1));
    /* valid but not possible: the connection goes on */
    assert_int_equal(0, tell(f, FRONTEND_ADD_MEM_REG, &single, sizeof(single), f->ram_fd, 1));
    assert_true(test_device_logged(f->test, "refused"));
    assert_int_equal(0, tell(f, FRONTEND_REM_MEM_REG, &single, sizeof(single), -1, 0));
    assert_int_equal(0, tell(f, FRONTEND_REM_MEM_REG, &single, sizeof(single), -1, 0));
    assert_true(test_device_logged(f->test, "refused"));
    assert_int_equal(0, tell(f, FRONTEND_ADD_MEM_REG, &single, sizeof(single), f->ram_fd, 1));
    assert_int_equal(-EPROTO, tell(f, FRONTEND_ADD_MEM_REG, &single, sizeof(single), -1, 0));
    reconnect(f);
    assert_int_equal(-EPROTO, tell(f, FRONTEND_ADD_MEM_REG, &single, sizeof(single), f->ram_fd, 2));
}

static void ends_with_rings_that_do_not_exist(void **state)
{
    struct fixture *f = *state;
    const uint32_t requests[] = {FRONTEND_SET_VRING_NUM, FRONTEND_SET_VRING_BASE,
                                 FRONTEND_GET_VRING_BASE, FRONTEND_SET_VRING_ENABLE};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(-EPROTO, tell_ring(f, requests[i], QUEUES, 0));
        reconnect(f);
        assert_int_equal(-EPROTO, tell_ring(f, requests[i], UINT32_MAX, 0));
        reconnect(f);
    }
    const struct frontend_vring_addr addr = {.index = QUEUES};
    assert_int_equal(-EPROTO, tell(f, FRONTEND_SET_VRING_ADDR, &addr, sizeof(addr), -1, 0));
    reconnect(f);
    assert_int_equal(-EPROTO, tell_u64(f, FRONTEND_SET_VRING_CALL, QUEUES | FRONTEND_VRING_NO_FD));
}

static void ends_with_descriptors_that_do_not_match(void **state)
{
    struct fixture *f = *state;
    const uint64_t ring = 0;
    const uint64_t ring_no_fd = FRONTEND_VRING_NO_FD;
    const uint32_t requests[] = {FRONTEND_SET_VRING_KICK, FRONTEND_SET_VRING_CALL,
                                 FRONTEND_SET_VRING_ERR};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(-EPROTO, tell(f, requests[i], &ring, 8, -1, 0));
        reconnect(f);
        assert_int_equal(-EPROTO, tell(f, requests[i], &ring, 8, f->done_fd, 2));
        reconnect(f);
        assert_int_equal(-EPROTO, tell(f, requests[i], &ring_no_fd, 8, f->done_fd, 1));
        reconnect(f);
    }
    assert_int_equal(0, tell_u64(f, FRONTEND_SET_VRING_CALL, FRONTEND_VRING_NO_FD));
    assert_int_equal(0, tell_u64(f, FRONTEND_SET_VRING_ERR, 1 | FRONTEND_VRING_NO_FD));
    assert_int_equal(-EPROTO, tell_u64(f, FRONTEND_SET_VRING_KICK, FRONTEND_VRING_NO_FD));
}

static void starts_and_stops_a_ring(void **state)
{
    struct fixture *f = *state;
    const uint64_t ring = 1;
    const struct frontend_vring_addr addr = {.index = 1,
                                             .desc_uaddr = RAM_UADDR,
                                             .avail_uaddr = RAM_UADDR + 0x1000,
                                             .used_uaddr = RAM_UADDR + 0x2000};
    int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(0, tell_u64(f, FRONTEND_SET_FEATURES, device_features));
    assert_int_equal(0, set_mem_table(f, 1, 1, 8 + 32));
    assert_int_equal(0, tell_ring(f, FRONTEND_SET_VRING_NUM, 1, SIZE));
    assert_int_equal(0, tell_ring(f, FRONTEND_SET_VRING_BASE, 1, 7));
    assert_int_equal(0, tell(f, FRONTEND_SET_VRING_ADDR, &addr, sizeof(addr), -1, 0));
    assert_int_equal(0, tell(f, FRONTEND_SET_VRING_KICK, &ring, 8, kick, 1));
    assert_int_equal(0, tell_ring(f, FRONTEND_SET_VRING_ENABLE, 1, 1));
    assert_int_equal(0, tell_ring(f, FRONTEND_GET_VRING_BASE, 1, 0));
    assert_reply(f, FRONTEND_GET_VRING_BASE, 8);
    struct frontend_vring_state state_of_ring;
    memcpy(&state_of_ring, f->reply.payload, sizeof(state_of_ring));
    assert_int_equal(1, state_of_ring.index);
    assert_int_equal(7, state_of_ring.num);
    assert_int_equal(0, tell(f, FRONTEND_SET_VRING_KICK, &ring, 8, kick, 1)); /* left to the end */
    close(kick);
}

static void get_config(struct fixture *f, uint32_t offset, uint32_t byte_len)
{
    const struct frontend_config config = {.offset = offset, .size = byte_len};
    assert_int_equal(0, tell(f, FRONTEND_GET_CONFIG, &config, 12 + byte_len, -1, 0));
}

static const uint8_t *config_bytes(struct fixture *f, uint32_t byte_len)
{
    assert_reply(f, FRONTEND_GET_CONFIG, 12 + byte_len);
    return f->reply.payload + 12;
}

static void shows_any_part_of_the_configuration_space(void **state)
{
    struct fixture *f = *state;
    uint8_t whole[60];
    const uint8_t zeroes[256] = {0};
    get_config(f, 0, 60);
    memcpy(whole, config_bytes(f, 60), 60);
    assert_int_equal(f->test->device.capacity & 0xff, whole[0]);
    assert_int_equal(1, whole[32]);
    assert_int_equal(QUEUES, whole[34]);
    get_config(f, 0, 8);
    assert_memory_equal(whole, config_bytes(f, 8), 8);
    get_config(f, 20, 16);
    assert_memory_equal(whole + 20, config_bytes(f, 16), 16);
    get_config(f, 0x100, 60); /* Cloud Hypervisor's place */
    assert_memory_equal(whole, config_bytes(f, 60), 60);
    get_config(f, 0x120, 1);
    assert_memory_equal(whole + 32, config_bytes(f, 1), 1);
    get_config(f, 0, 256);
    assert_memory_equal(whole, config_bytes(f, 256), 60);
    assert_memory_equal(zeroes, f->reply.payload + 12 + 60, 196);
    get_config(f, 50, 20);
    assert_memory_equal(whole + 50, config_bytes(f, 20), 10);
    assert_memory_equal(zeroes, f->reply.payload + 12 + 10, 10);
    get_config(f, 60, 4);
    assert_memory_equal(zeroes, config_bytes(f, 4), 4);
    get_config(f, UINT32_MAX, 4);
    assert_memory_equal(zeroes, config_bytes(f, 4), 4);
    get_config(f, 0, 0);
    config_bytes(f, 0);
}

static void answers_nothing_where_it_cannot_show_the_configuration_space(void **state)
{
    struct fixture *f = *state;
    struct frontend_config config = {.offset = 0, .size = 257};
    assert_int_equal(0, tell(f, FRONTEND_GET_CONFIG, &config, sizeof(config), -1, 0));
    assert_reply(f, FRONTEND_GET_CONFIG, 0);
    config.size = 60; /* more than the payload has room for */
    assert_int_equal(0, tell(f, FRONTEND_GET_CONFIG, &config, 12 + 59, -1, 0));
    assert_reply(f, FRONTEND_GET_CONFIG, 0);
    assert_int_equal(0, tell(f, FRONTEND_GET_CONFIG, &config, 11, -1, 0));
    assert_reply(f, FRONTEND_GET_CONFIG, 0);
}

static int set_config(struct fixture *f, uint32_t offset, uint32_t byte_len, uint8_t value)
{
    const struct frontend_config config = {.offset = offset, .size = byte_len, .bytes = {value}};
    return tell(f, FRONTEND_SET_CONFIG, &config, 12 + byte_len, -1, 0);
}

static uint8_t writeback(struct fixture *f)
{
    get_config(f, 32, 1);
    return *config_bytes(f, 1);
}

static void lets_the_driver_write_the_cache_mode_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, tell_u64(f, FRONTEND_SET_FEATURES, device_features));
    assert_true(atomic_load(&f->test->device.write_back));
    assert_int_equal(0, set_config(f, 32, 1, 0));
    assert_false(atomic_load(&f->test->device.write_back));
    assert_int_equal(0, writeback(f));
    assert_true(test_device_logged(f->test, "write-through"));
    assert_int_equal(0, set_config(f, 0x120, 1, 7));
    assert_true(atomic_load(&f->test->device.write_back));
    assert_int_equal(1, writeback(f));
    assert_true(test_device_logged(f->test, "write-back"));
    const uint32_t elsewhere[][2] = {{0, 1}, {31, 1}, {33, 1}, {32, 2}, {31, 2}, {32, 0}, {0, 60}};
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        assert_int_equal(0, set_config(f, elsewhere[i][0], elsewhere[i][1], 0));
        assert_true(test_device_logged(f->test, "refused"));
    }
    assert_int_equal(1, writeback(f));
    const struct frontend_config short_one = {.offset = 32, .size = 1};
    assert_int_equal(-EPROTO, tell(f, FRONTEND_SET_CONFIG, &short_one, 12, -1, 0));
}

static void refuses_a_cache_mode_that_could_not_be_made_durable(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, tell_u64(f, FRONTEND_SET_FEATURES, device_features));
    blk_device_fsync_failed(&f->test->device, EIO);
    test_device_logged(f->test, "");
    assert_int_equal(0, set_config(f, 32, 1, 0));
    assert_true(test_device_logged(f->test, "could not be synced"));
}

static void handles_several_messages_at_once(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(
            0, vhost_frontend_send(&f->frontend, FRONTEND_GET_FEATURES, 0, NULL, 0, NULL, 0));
    }
    assert_int_equal(0, handle(f));
    for (int i = 0; i < 5; i++) {
        assert_reply(f, FRONTEND_GET_FEATURES, 8);
    }
    assert_int_equal(0, handle(f)); /* nothing is there */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_what_it_offers),
        TEST(accepts_no_feature_that_it_does_not_offer),
        TEST(ends_with_requests_that_it_does_not_know),
        TEST(ends_with_payloads_that_are_too_short),
        TEST(ends_when_the_front_end_leaves),
        TEST(acknowledges_when_it_is_asked_to),
        TEST(takes_memory_tables_that_add_up),
        TEST(adds_and_removes_regions),
        TEST(ends_with_rings_that_do_not_exist),
        TEST(ends_with_descriptors_that_do_not_match),
        TEST(starts_and_stops_a_ring),
        TEST(shows_any_part_of_the_configuration_space),
        TEST(answers_nothing_where_it_cannot_show_the_configuration_space),
        TEST(lets_the_driver_write_the_cache_mode_and_nothing_else),
        TEST(refuses_a_cache_mode_that_could_not_be_made_durable),
        TEST(handles_several_messages_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
