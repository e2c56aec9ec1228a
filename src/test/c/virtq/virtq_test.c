/* SPDX-License-Identifier: AGPL-3.0-only */
/* A ring in the test's own memory; the test is the driver. */
#include "virtq/virtq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { SIZE = 8 };

/* Guard bytes around the parts: nothing may be written there. */
enum { GUARD = 64, GUARD_BYTE = 0xc3 };

struct ring {
    uint8_t *avail_memory;
    uint8_t *used_memory;
    uint16_t *avail; /* flags, idx, ring, used_event */
    uint16_t *used;  /* flags, idx, elements, avail_event */
    struct virtq_desc desc[SIZE];
    struct virtq_parts parts;
    struct virtq vq;
};

static bool publish_and_ask(struct virtq *vq)
{
    virtq_publish(vq);
    return virtq_need_signal(vq);
}

static uint8_t *guarded(uint64_t byte_len)
{
    uint8_t *memory = malloc(byte_len + 2 * GUARD);
    assert_non_null(memory);
    memset(memory, GUARD_BYTE, byte_len + 2 * GUARD);
    memset(memory + GUARD, 0, byte_len);
    return memory;
}

static void assert_guards(const uint8_t *memory, uint64_t byte_len)
{
    for (uint32_t i = 0; i < GUARD; i++) {
        assert_int_equal(GUARD_BYTE, memory[i]);
        assert_int_equal(GUARD_BYTE, memory[GUARD + byte_len + i]);
    }
}

static int setup(void **state)
{
    struct ring *ring = calloc(1, sizeof(*ring));
    assert_non_null(ring);
    ring->avail_memory = guarded(virtq_avail_bytes(SIZE));
    ring->used_memory = guarded(virtq_used_bytes(SIZE));
    ring->avail = (uint16_t *)(void *)(ring->avail_memory + GUARD);
    ring->used = (uint16_t *)(void *)(ring->used_memory + GUARD);
    ring->parts =
        (struct virtq_parts){.desc = ring->desc, .avail = ring->avail, .used = ring->used};
    *state = ring;
    return 0;
}

static int teardown(void **state)
{
    struct ring *ring = *state;
    assert_guards(ring->avail_memory, virtq_avail_bytes(SIZE));
    assert_guards(ring->used_memory, virtq_used_bytes(SIZE));
    free(ring->avail_memory);
    free(ring->used_memory);
    free(ring);
    return 0;
}

static void start(struct ring *ring, uint16_t base, bool event_idx)
{
    virtq_init(&ring->vq, &ring->parts, SIZE, base, event_idx);
}

static void set_avail_idx(struct ring *ring, uint16_t idx)
{
    ring->avail[1] = idx;
}

static void make_available(struct ring *ring, uint16_t head)
{
    ring->avail[2 + ring->avail[1] % SIZE] = head;
    ring->avail[1]++;
}

static void set_used_event(struct ring *ring, uint16_t event)
{
    ring->avail[2 + SIZE] = event;
}

static uint16_t avail_event(const struct ring *ring)
{
    return ring->used[2 + 4 * SIZE];
}

static struct virtq_used_elem used_elem(const struct ring *ring, uint16_t index)
{
    struct virtq_used_elem elem;
    memcpy(&elem, ring->used + 2 + 4 * (size_t)(index % SIZE), sizeof(elem));
    return elem;
}

static void set_used_elem(struct ring *ring, uint16_t index, struct virtq_used_elem elem)
{
    memcpy(ring->used + 2 + 4 * (size_t)(index % SIZE), &elem, sizeof(elem));
}

static void hands_out_heads_in_order(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, false);
    assert_int_equal(0, virtq_avail_count(&ring->vq));
    make_available(ring, 5);
    make_available(ring, 2);
    make_available(ring, 0xffff); /* out of range is the caller's to find */
    assert_int_equal(3, virtq_avail_count(&ring->vq));
    assert_int_equal(5, virtq_pop(&ring->vq));
    assert_int_equal(2, virtq_pop(&ring->vq));
    assert_int_equal(1, virtq_avail_count(&ring->vq));
    assert_int_equal(0xffff, virtq_pop(&ring->vq));
    assert_int_equal(0, virtq_avail_count(&ring->vq));
}

static void refuses_an_available_index_that_is_further_ahead_than_the_ring_is_long(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, false);
    set_avail_idx(ring, SIZE);
    assert_int_equal(SIZE, virtq_avail_count(&ring->vq));
    set_avail_idx(ring, SIZE + 1);
    assert_int_equal(-EPROTO, virtq_avail_count(&ring->vq));
    set_avail_idx(ring, 0xffff); /* one step back */
    assert_int_equal(-EPROTO, virtq_avail_count(&ring->vq));
}

static void counts_across_the_wrap_of_the_available_index(void **state)
{
    struct ring *ring = *state;
    ring->used[1] = 0xfffe;
    start(ring, 0xfffe, false);
    set_avail_idx(ring, 0xfffe);
    for (uint32_t i = 0; i < SIZE; i++) {
        make_available(ring, (uint16_t)i);
    }
    assert_int_equal(6, ring->avail[1]);
    assert_int_equal(SIZE, virtq_avail_count(&ring->vq));
    for (uint32_t i = 0; i < SIZE; i++) {
        assert_int_equal(i, virtq_pop(&ring->vq));
    }
    assert_int_equal(0, virtq_avail_count(&ring->vq));
    assert_int_equal(6, ring->vq.next_avail);
}

static void shows_used_elements_only_when_it_publishes(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, false);
    virtq_push(&ring->vq, 3, 513);
    virtq_push(&ring->vq, 1, 1);
    assert_int_equal(0, ring->used[1]);
    publish_and_ask(&ring->vq);
    assert_int_equal(2, ring->used[1]);
    assert_int_equal(3, used_elem(ring, 0).id);
    assert_int_equal(513, used_elem(ring, 0).len);
    assert_int_equal(1, used_elem(ring, 1).id);
    assert_int_equal(1, used_elem(ring, 1).len);
}

static void pushes_across_the_wrap_of_the_used_index(void **state)
{
    struct ring *ring = *state;
    ring->used[1] = 0xffff;
    start(ring, 0xffff, false);
    for (uint16_t i = 0; i < 3; i++) {
        virtq_push(&ring->vq, i, 100u + i);
    }
    publish_and_ask(&ring->vq);
    assert_int_equal(2, ring->used[1]);
    assert_int_equal(100, used_elem(ring, 0xffff).len);
    assert_int_equal(101, used_elem(ring, 0).len);
    assert_int_equal(102, used_elem(ring, 1).len);
}

static void signals_always_without_event_idx_unless_the_driver_says_no(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, false);
    set_used_event(ring, 100); /* means nothing here */
    virtq_push(&ring->vq, 0, 0);
    assert_true(publish_and_ask(&ring->vq));
    ring->avail[0] = VIRTQ_AVAIL_F_NO_INTERRUPT;
    virtq_push(&ring->vq, 1, 0);
    assert_false(publish_and_ask(&ring->vq));
    ring->avail[0] = (uint16_t)~VIRTQ_AVAIL_F_NO_INTERRUPT; /* bits that mean nothing yet */
    virtq_push(&ring->vq, 2, 0);
    assert_true(publish_and_ask(&ring->vq));
}

static void signals_the_first_time_whatever_the_event_index_says(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, true);
    set_used_event(ring, 100);
    virtq_push(&ring->vq, 0, 0);
    assert_true(publish_and_ask(&ring->vq));
    virtq_push(&ring->vq, 1, 0);
    assert_false(publish_and_ask(&ring->vq));
}

static void ignores_no_interrupt_with_event_idx(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, true);
    publish_and_ask(&ring->vq);
    ring->avail[0] = VIRTQ_AVAIL_F_NO_INTERRUPT;
    set_used_event(ring, 0);
    virtq_push(&ring->vq, 0, 0);
    assert_true(publish_and_ask(&ring->vq));
}

/* Publishes count elements with the driver's wish at event; the index before is known. */
static bool signalled(struct ring *ring, uint16_t event, uint16_t count)
{
    set_used_event(ring, event);
    for (uint16_t i = 0; i < count; i++) {
        virtq_push(&ring->vq, i, 0);
    }
    return publish_and_ask(&ring->vq);
}

static void signals_when_the_used_index_passes_the_event(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, true);
    assert_true(signalled(ring, 0, 1));   /* used.idx 1: passed 0 */
    assert_false(signalled(ring, 2, 1));  /* 2: element 2 is not there yet */
    assert_true(signalled(ring, 2, 1));   /* 3: it is */
    assert_false(signalled(ring, 2, 1));  /* 4: it was before */
    assert_true(signalled(ring, 5, 4));   /* 8: in the middle of a batch */
    assert_true(signalled(ring, 8, 4));   /* 12: the first of a batch */
    assert_true(signalled(ring, 15, 4));  /* 16: the last of a batch */
    assert_false(signalled(ring, 20, 4)); /* 20: the next batch's */
}

static void does_not_signal_for_nothing(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, true);
    assert_true(signalled(ring, 0, 1));
    for (uint32_t event = 0; event <= UINT16_MAX; event++) {
        assert_false(signalled(ring, (uint16_t)event, 0));
    }
}

/* Against the arithmetic in wide integers, from every place near the wrap. */
static void decides_the_same_across_the_wrap_of_the_index(void **state)
{
    struct ring *ring = *state;
    uint32_t used_idx = 0xffe0;
    ring->used[1] = (uint16_t)used_idx;
    start(ring, (uint16_t)used_idx, true);
    publish_and_ask(&ring->vq);
    struct test_random random = {test_seed()};
    const uint64_t count = test_count(2000, 100000);
    test_print_scale(count, "batches");
    for (uint64_t i = 0; i < count; i++) {
        uint16_t batch = (uint16_t)test_random_below(&random, SIZE + 1);
        /* the event as a distance from the index before the batch */
        int32_t distance = (int32_t)test_random_below(&random, 40) - 20;
        bool expected = distance >= 0 && distance < batch;
        assert_int_equal(expected,
                         signalled(ring, (uint16_t)(used_idx + (uint32_t)distance), batch));
        used_idx += batch;
    }
}

static void begins_at_the_base(void **state)
{
    struct ring *ring = *state;
    start(ring, 3, false);
    set_avail_idx(ring, 3);
    make_available(ring, 6);
    assert_int_equal(1, virtq_avail_count(&ring->vq));
    assert_int_equal(6, virtq_pop(&ring->vq));
}

static void begins_at_the_used_index_when_the_base_is_behind_it(void **state)
{
    struct ring *ring = *state;
    ring->used[1] = 5;
    start(ring, 0, false);
    assert_int_equal(5, ring->vq.next_avail);
    assert_int_equal(5, ring->vq.next_used);
    start(ring, 4, false);
    assert_int_equal(5, ring->vq.next_avail);
    start(ring, 5, false);
    assert_int_equal(5, ring->vq.next_avail);
    start(ring, 7, false); /* popped, never pushed: those two are not run again */
    assert_int_equal(7, ring->vq.next_avail);
    assert_int_equal(5, ring->vq.next_used);
}

static void compares_base_and_used_index_across_the_wrap(void **state)
{
    struct ring *ring = *state;
    ring->used[1] = 2;
    start(ring, 0xfffe, false);
    assert_int_equal(2, ring->vq.next_avail);
    ring->used[1] = 0xfffe;
    start(ring, 2, false);
    assert_int_equal(2, ring->vq.next_avail);
    assert_int_equal(0xfffe, ring->vq.next_used);
}

static void asks_for_kicks_when_it_starts(void **state)
{
    struct ring *ring = *state;
    ring->used[0] = VIRTQ_USED_F_NO_NOTIFY;
    start(ring, 3, false);
    assert_int_equal(0, ring->used[0]);
    start(ring, 3, true);
    assert_int_equal(3, avail_event(ring));
}

static void sets_and_clears_no_notify_without_event_idx(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, false);
    virtq_notify_disable(&ring->vq);
    assert_int_equal(VIRTQ_USED_F_NO_NOTIFY, ring->used[0]);
    virtq_notify_disable(&ring->vq);
    assert_int_equal(VIRTQ_USED_F_NO_NOTIFY, ring->used[0]);
    assert_false(virtq_notify_enable(&ring->vq));
    assert_int_equal(0, ring->used[0]);
}

static void moves_the_available_event_with_event_idx(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, true);
    make_available(ring, 0);
    virtq_pop(&ring->vq);
    virtq_notify_disable(&ring->vq);
    assert_int_equal(0, avail_event(ring));
    assert_int_equal(0, ring->used[0]); /* the flag must stay 0 (virtio 1.2, 2.7.10) */
    assert_false(virtq_notify_enable(&ring->vq));
    assert_int_equal(1, avail_event(ring));
    assert_int_equal(0, ring->used[0]);
}

static void says_that_heads_wait_already_when_it_asks_for_kicks(void **state)
{
    struct ring *ring = *state;
    for (int event_idx = 0; event_idx <= 1; event_idx++) {
        memset(ring->avail, 0, virtq_avail_bytes(SIZE));
        memset(ring->used, 0, virtq_used_bytes(SIZE));
        start(ring, 0, event_idx);
        virtq_notify_disable(&ring->vq);
        assert_false(virtq_notify_enable(&ring->vq));
        virtq_notify_disable(&ring->vq);
        make_available(ring, 0);
        assert_true(virtq_notify_enable(&ring->vq));
        virtq_pop(&ring->vq);
        assert_false(virtq_notify_enable(&ring->vq));
    }
}

static void goes_on_at_another_place_after_a_move(void **state)
{
    struct ring *ring = *state;
    start(ring, 0, false);
    make_available(ring, 4);
    make_available(ring, 6);
    assert_int_equal(4, virtq_pop(&ring->vq));
    virtq_push(&ring->vq, 4, 1);
    _Alignas(16) uint8_t avail[64];
    _Alignas(16) uint8_t used[128];
    memcpy(avail, ring->avail, virtq_avail_bytes(SIZE));
    memcpy(used, ring->used, virtq_used_bytes(SIZE));
    struct virtq_desc desc[SIZE];
    virtq_move(&ring->vq, &(struct virtq_parts){desc, avail, used});
    assert_ptr_equal(desc, ring->vq.desc);
    assert_int_equal(1, virtq_avail_count(&ring->vq));
    assert_int_equal(6, virtq_pop(&ring->vq));
    publish_and_ask(&ring->vq);
    assert_int_equal(0, ring->used[1]);
    uint16_t used_idx;
    memcpy(&used_idx, used + 2, sizeof(used_idx));
    assert_int_equal(1, used_idx);
}

static void takes_a_ring_without_used_elements_for_fresh(void **state)
{
    struct ring *ring = *state;
    assert_true(virtq_parts_fresh(&ring->parts, SIZE));
    make_available(ring, 0); /* heads may wait: the driver did not wait for us */
    assert_true(virtq_parts_fresh(&ring->parts, SIZE));
    ring->used[1] = 1;
    assert_false(virtq_parts_fresh(&ring->parts, SIZE));
}

static void does_not_take_a_ring_whose_index_wrapped_to_0_for_fresh(void **state)
{
    struct ring *ring = *state;
    set_used_elem(ring, SIZE - 1, (struct virtq_used_elem){.id = 0, .len = 1});
    assert_false(virtq_parts_fresh(&ring->parts, SIZE));
}

static void knows_the_bytes_of_its_parts(void **state)
{
    (void)state;
    assert_int_equal(6 + 2 * 256, virtq_avail_bytes(256));
    assert_int_equal(6 + 8 * 256, virtq_used_bytes(256));
    assert_int_equal(6 + 8 * 32768, virtq_used_bytes(VIRTQ_SIZE_MAX));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hands_out_heads_in_order),
        TEST(refuses_an_available_index_that_is_further_ahead_than_the_ring_is_long),
        TEST(counts_across_the_wrap_of_the_available_index),
        TEST(shows_used_elements_only_when_it_publishes),
        TEST(pushes_across_the_wrap_of_the_used_index),
        TEST(signals_always_without_event_idx_unless_the_driver_says_no),
        TEST(signals_the_first_time_whatever_the_event_index_says),
        TEST(ignores_no_interrupt_with_event_idx),
        TEST(signals_when_the_used_index_passes_the_event),
        TEST(does_not_signal_for_nothing),
        TEST(decides_the_same_across_the_wrap_of_the_index),
        TEST(begins_at_the_base),
        TEST(begins_at_the_used_index_when_the_base_is_behind_it),
        TEST(compares_base_and_used_index_across_the_wrap),
        TEST(asks_for_kicks_when_it_starts),
        TEST(sets_and_clears_no_notify_without_event_idx),
        TEST(moves_the_available_event_with_event_idx),
        TEST(says_that_heads_wait_already_when_it_asks_for_kicks),
        TEST(goes_on_at_another_place_after_a_move),
        TEST(takes_a_ring_without_used_elements_for_fresh),
        TEST(does_not_take_a_ring_whose_index_wrapped_to_0_for_fresh),
        TEST(knows_the_bytes_of_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
