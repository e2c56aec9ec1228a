/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The driver side of a ring against a small device in the same memory, which behaves or does not.
 */
#include "support/virtq_driver.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { SIZE = 8 };

/* The ring memory, the driver, and a device that pops and pushes. */
struct loop {
    _Alignas(16) uint8_t desc[4096], avail[4096], used[4096];
    struct vring_desc table[16];
    struct virtq_driver driver;
    uint16_t device_avail, device_used;
};

static int loop_setup(void **state, bool event_idx)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    assert_non_null(loop);
    assert_int_equal(
        virtq_driver_init(&loop->driver, SIZE, loop->desc, loop->avail, loop->used, event_idx), 0);
    loop->driver.kick_fd = eventfd(0, EFD_NONBLOCK);
    loop->driver.call_fd = eventfd(0, EFD_NONBLOCK);
    *state = loop;
    return 0;
}

static int setup(void **state)
{
    return loop_setup(state, false);
}

static int setup_event_idx(void **state)
{
    return loop_setup(state, true);
}

static int teardown(void **state)
{
    struct loop *loop = *state;

    close(loop->driver.kick_fd);
    close(loop->driver.call_fd);
    virtq_driver_deinit(&loop->driver);
    free(loop);
    return 0;
}

static bool device_pop(struct loop *loop, uint16_t *head)
{
    if (loop->device_avail == __atomic_load_n(&loop->driver.avail->idx, __ATOMIC_ACQUIRE)) {
        return false;
    }
    *head = loop->driver.avail->ring[loop->device_avail % SIZE];
    loop->device_avail++;
    return true;
}

static void device_push(struct loop *loop, uint32_t head, uint32_t used_len)
{
    loop->driver.used->ring[loop->device_used % SIZE] =
        (struct vring_used_elem){.id = head, .len = used_len};
    loop->device_used++;
    __atomic_store_n(&loop->driver.used->idx, loop->device_used, __ATOMIC_RELEASE);
}

static void device_signal(struct loop *loop)
{
    uint64_t one = 1;

    assert_int_equal(write(loop->driver.call_fd, &one, sizeof(one)), sizeof(one));
}

static uint16_t add_read(struct loop *loop, uint64_t token)
{
    struct virtq_segment segments[3] = {
        {0x1000, 16, false}, {0x2000, 512, true}, {0x3000, 1, true}};
    uint16_t head;

    assert_int_equal(virtq_driver_add(&loop->driver, segments, 3, token, &head), 0);
    return head;
}

static void links_a_chain_and_flags_what_the_device_may_write(void **state)
{
    struct loop *loop = *state;
    uint16_t head = add_read(loop, 7);
    struct vring_desc *first = &loop->driver.desc[head];
    struct vring_desc *second = &loop->driver.desc[first->next];
    struct vring_desc *third = &loop->driver.desc[second->next];

    assert_int_equal(first->addr, 0x1000);
    assert_int_equal(first->len, 16);
    assert_int_equal(first->flags, VRING_DESC_F_NEXT);
    assert_int_equal(second->addr, 0x2000);
    assert_int_equal(second->flags, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
    assert_int_equal(third->len, 1);
    assert_int_equal(third->flags, VRING_DESC_F_WRITE);
}

static void shows_nothing_before_it_publishes(void **state)
{
    struct loop *loop = *state;
    uint16_t head = add_read(loop, 7), popped;

    assert_false(device_pop(loop, &popped));
    assert_true(virtq_driver_publish(&loop->driver));
    assert_true(device_pop(loop, &popped));
    assert_int_equal(popped, head);
    assert_false(virtq_driver_publish(&loop->driver)); /* nothing new */
}

static void returns_token_and_length_once_and_frees_the_descriptors(void **state)
{
    struct loop *loop = *state;
    struct virtq_completion done[2];
    uint16_t head = add_read(loop, 99);

    virtq_driver_publish(&loop->driver);
    assert_int_equal(loop->driver.free_count, SIZE - 3);
    device_push(loop, head, 513);
    assert_int_equal(virtq_driver_reap(&loop->driver, done, 2), 1);
    assert_int_equal(done[0].token, 99);
    assert_int_equal(done[0].used_len, 513);
    assert_int_equal(done[0].head, head);
    assert_int_equal(loop->driver.free_count, SIZE);
    assert_int_equal(loop->driver.in_flight_count, 0);
    assert_int_equal(virtq_driver_reap(&loop->driver, done, 2), 0);
}

static void refuses_a_chain_longer_than_the_free_descriptors(void **state)
{
    struct loop *loop = *state;
    struct virtq_segment segments[3] = {{0x1000, 16, false}};

    add_read(loop, 1);
    add_read(loop, 2);
    assert_int_equal(virtq_driver_add(&loop->driver, segments, 3, 3, NULL), -ENOSPC);
    assert_int_equal(virtq_driver_add(&loop->driver, segments, 2, 3, NULL), 0);
}

static void holds_one_ring_descriptor_for_an_indirect_chain(void **state)
{
    struct loop *loop = *state;
    struct virtq_segment segments[12] = {{0x1000, 16, false}};
    struct virtq_completion done[1];
    uint16_t head;

    segments[11] = (struct virtq_segment){0x3000, 1, true};
    assert_int_equal(
        virtq_driver_add_indirect(&loop->driver, segments, 12, 0, loop->table, 0x9000, 5, &head),
        0);
    assert_int_equal(loop->driver.desc[head].flags, VRING_DESC_F_INDIRECT);
    assert_int_equal(loop->driver.desc[head].addr, 0x9000);
    assert_int_equal(loop->driver.desc[head].len, 12 * 16);
    assert_int_equal(loop->table[0].flags, VRING_DESC_F_NEXT);
    assert_int_equal(loop->table[0].next, 1);
    assert_int_equal(loop->table[11].flags, VRING_DESC_F_WRITE);
    assert_int_equal(loop->driver.free_count, SIZE - 1);
    virtq_driver_publish(&loop->driver);
    device_push(loop, head, 1);
    assert_int_equal(virtq_driver_reap(&loop->driver, done, 1), 1);
    assert_int_equal(loop->driver.free_count, SIZE);
}

static void puts_direct_descriptors_before_an_indirect_one(void **state)
{
    struct loop *loop = *state;
    struct virtq_segment segments[4] = {
        {0x1000, 8, false}, {0x1008, 8, false}, {0x2000, 512, true}, {0x3000, 1, true}};
    uint16_t head;

    assert_int_equal(
        virtq_driver_add_indirect(&loop->driver, segments, 4, 2, loop->table, 0x9000, 5, &head), 0);
    head = loop->driver.desc[head].next;
    assert_int_equal(loop->driver.desc[head].addr, 0x1008);
    assert_int_equal(loop->driver.desc[head].flags, VRING_DESC_F_NEXT);
    head = loop->driver.desc[head].next;
    assert_int_equal(loop->driver.desc[head].flags, VRING_DESC_F_INDIRECT);
    assert_int_equal(loop->driver.desc[head].len, 2 * 16);
    assert_int_equal(loop->driver.free_count, SIZE - 3);
}

static void finds_a_double_completion(void **state)
{
    struct loop *loop = *state;
    struct virtq_completion done[2];
    uint16_t head = add_read(loop, 1);

    add_read(loop, 2);
    virtq_driver_publish(&loop->driver);
    device_push(loop, head, 0);
    device_push(loop, head, 0);
    assert_int_equal(virtq_driver_reap(&loop->driver, done, 2), -EPROTO);
    assert_non_null(strstr(virtq_driver_fault(&loop->driver), "not in flight"));
}

static void finds_a_completion_that_nothing_was_in_flight_for(void **state)
{
    struct loop *loop = *state;
    struct virtq_completion done[2];

    device_push(loop, 0, 0);
    assert_int_equal(virtq_driver_reap(&loop->driver, done, 2), -EPROTO);
    assert_non_null(strstr(virtq_driver_fault(&loop->driver), "more entries"));
}

static void finds_a_foreign_head(void **state)
{
    struct loop *loop = *state;
    struct virtq_completion done[2];

    add_read(loop, 1);
    virtq_driver_publish(&loop->driver);
    device_push(loop, 0x10000, 0); /* a head is 16 bits; the entry has 32 */
    assert_int_equal(virtq_driver_reap(&loop->driver, done, 2), -EPROTO);
    assert_non_null(strstr(virtq_driver_fault(&loop->driver), "beyond the ring"));
}

static void finds_a_length_above_the_writable_bytes(void **state)
{
    struct loop *loop = *state;
    struct virtq_completion done[2];
    uint16_t head = add_read(loop, 1);

    virtq_driver_publish(&loop->driver);
    device_push(loop, head, 514);
    assert_int_equal(virtq_driver_reap(&loop->driver, done, 2), -EPROTO);
    assert_non_null(strstr(virtq_driver_fault(&loop->driver), "writable"));
}

static void sees_a_lost_head_as_one_still_in_flight(void **state)
{
    struct loop *loop = *state;
    struct virtq_completion done[2];
    uint16_t kept = add_read(loop, 1);

    add_read(loop, 2);
    virtq_driver_publish(&loop->driver);
    device_push(loop, kept, 1);
    assert_int_equal(virtq_driver_reap(&loop->driver, done, 2), 1);
    assert_int_equal(loop->driver.in_flight_count, 1);
}

static void wants_a_kick_when_the_device_asks_for_its_index(void **state)
{
    struct loop *loop = *state;
    uint16_t *avail_event = (uint16_t *)(void *)&loop->driver.used->ring[SIZE];

    *avail_event = 1;
    add_read(loop, 1);
    assert_false(virtq_driver_publish(&loop->driver)); /* index 0 was not asked for */
    add_read(loop, 2);
    assert_true(virtq_driver_publish(&loop->driver)); /* index 1 was */
}

static void wants_no_kick_when_the_device_says_so(void **state)
{
    struct loop *loop = *state;

    loop->driver.used->flags = VRING_USED_F_NO_NOTIFY;
    add_read(loop, 1);
    assert_false(virtq_driver_publish(&loop->driver));
}

static void tells_the_device_when_to_signal(void **state)
{
    struct loop *loop = *state;
    uint16_t *used_event = &loop->driver.avail->ring[SIZE];

    loop->driver.used_index = 5;
    virtq_driver_enable_signals(&loop->driver);
    assert_int_equal(*used_event, 5);
    virtq_driver_disable_signals(&loop->driver);
    assert_false(vring_need_event(*used_event, 5 + SIZE, 5));
}

static void sets_no_interrupt_without_event_idx(void **state)
{
    struct loop *loop = *state;

    virtq_driver_disable_signals(&loop->driver);
    assert_int_equal(loop->driver.avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
    virtq_driver_enable_signals(&loop->driver);
    assert_int_equal(loop->driver.avail->flags, 0);
}

static void wakes_on_a_signal_and_sleeps_over_a_stale_one(void **state)
{
    struct loop *loop = *state;
    uint16_t head = add_read(loop, 1);

    virtq_driver_publish(&loop->driver);
    device_signal(loop); /* no entry with it */
    assert_int_equal(virtq_driver_wait(&loop->driver, 20), 0);
    device_push(loop, head, 1);
    assert_int_equal(virtq_driver_wait(&loop->driver, 20), 1);
}

static void keeps_account_over_many_rounds_of_the_index(void **state)
{
    struct loop *loop = *state;
    struct test_random random = {test_seed()};
    uint64_t rounds = test_count(200000, 2000000), added = 0, reaped = 0, token_sum = 0;
    struct virtq_completion done[SIZE];

    test_print_scale(rounds, "rounds");
    for (uint64_t i = 0; i < rounds; i++) {
        struct virtq_segment segment = {0x1000, 1, true};
        uint16_t held[SIZE], count = 0;
        int got;

        while (test_random_below(&random, 4) != 0 &&
               virtq_driver_add(&loop->driver, &segment, 1, added + 1, NULL) == 0) {
            added++;
        }
        virtq_driver_publish(&loop->driver);
        while (count < SIZE && device_pop(loop, &held[count])) {
            count++;
        }
        while (count > 0) { /* completes in reverse order */
            device_push(loop, held[--count], 1);
        }
        got = virtq_driver_reap(&loop->driver, done, SIZE);
        assert_true(got >= 0);
        for (int k = 0; k < got; k++) {
            token_sum += done[k].token;
        }
        reaped += (uint64_t)got;
    }
    assert_int_equal(reaped, added);
    assert_int_equal(token_sum, added * (added + 1) / 2);
    assert_int_equal(loop->driver.free_count, SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(links_a_chain_and_flags_what_the_device_may_write, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(shows_nothing_before_it_publishes, setup, teardown),
        cmocka_unit_test_setup_teardown(returns_token_and_length_once_and_frees_the_descriptors,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_chain_longer_than_the_free_descriptors, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(holds_one_ring_descriptor_for_an_indirect_chain, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(puts_direct_descriptors_before_an_indirect_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(finds_a_double_completion, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_a_completion_that_nothing_was_in_flight_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(finds_a_foreign_head, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_a_length_above_the_writable_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(sees_a_lost_head_as_one_still_in_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(wants_a_kick_when_the_device_asks_for_its_index,
                                        setup_event_idx, teardown),
        cmocka_unit_test_setup_teardown(wants_no_kick_when_the_device_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_the_device_when_to_signal, setup_event_idx, teardown),
        cmocka_unit_test_setup_teardown(sets_no_interrupt_without_event_idx, setup, teardown),
        cmocka_unit_test_setup_teardown(wakes_on_a_signal_and_sleeps_over_a_stale_one,
                                        setup_event_idx, teardown),
        cmocka_unit_test_setup_teardown(keeps_account_over_many_rounds_of_the_index,
                                        setup_event_idx, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
