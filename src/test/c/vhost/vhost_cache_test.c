/* SPDX-License-Identifier: AGPL-3.0-only */
/* The cache mode as a truth table over everything that has a say. */
#include "vhost/vhost_cache.h"

#include "blk/virtio_blk.h"
#include "support/cmocka_test.h"

static const uint64_t flush = 1ull << VIRTIO_BLK_F_FLUSH;

/* Bits of a line of the table. */
enum {
    WRITE_THROUGH = 1, /* configured */
    FLUSH_ACKED = 2,
    RESUMED = 4,      /* a ring with used elements starts */
    DRIVER_WROTE = 8, /* the driver wrote the mode, */
    WROTE_BACK = 16,  /* and that is what it wrote */
    LINES = 32,
};

static void begin(struct vhost_cache *cache, unsigned line)
{
    vhost_cache_init(cache, line & WRITE_THROUGH);
    vhost_cache_session_begins(cache);
    vhost_cache_features(cache, line & FLUSH_ACKED ? flush : ~flush);
    vhost_cache_ring_starts(cache, 0, !(line & RESUMED));
    if (line & DRIVER_WROTE) {
        vhost_cache_driver_writes(cache, line & WROTE_BACK);
    }
}

static void follows_its_truth_table(void **state)
{
    (void)state;
    for (unsigned line = 0; line < LINES; line++) {
        struct vhost_cache cache;
        begin(&cache, line);
        bool chosen = line & DRIVER_WROTE ? (line & WROTE_BACK) != 0 : !(line & RESUMED);
        bool config = !(line & WRITE_THROUGH) && chosen;
        assert_int_equal(config, vhost_cache_config_writeback(&cache));
        assert_int_equal(config && (line & FLUSH_ACKED), vhost_cache_write_back(&cache));
    }
}

static void is_durable_before_anything_is_acked(void **state)
{
    (void)state;
    struct vhost_cache cache;
    vhost_cache_init(&cache, false);
    assert_false(vhost_cache_write_back(&cache));
    assert_true(vhost_cache_config_writeback(&cache)); /* what a driver reads to decide */
}

static void keeps_what_the_driver_wrote_across_connections(void **state)
{
    (void)state;
    struct vhost_cache cache;
    vhost_cache_init(&cache, false);
    vhost_cache_features(&cache, flush);
    vhost_cache_ring_starts(&cache, 0, true);
    assert_true(vhost_cache_write_back(&cache));
    vhost_cache_driver_writes(&cache, false);
    assert_false(vhost_cache_write_back(&cache));
    vhost_cache_session_begins(&cache);
    assert_false(vhost_cache_config_writeback(&cache));
    vhost_cache_features(&cache, flush);
    vhost_cache_ring_starts(&cache, 0, false);
    assert_false(vhost_cache_write_back(&cache));
    vhost_cache_driver_writes(&cache, true);
    assert_true(vhost_cache_write_back(&cache));
}

static void does_not_carry_acked_features_into_the_next_connection(void **state)
{
    (void)state;
    struct vhost_cache cache;
    vhost_cache_init(&cache, false);
    vhost_cache_features(&cache, flush);
    vhost_cache_session_begins(&cache);
    assert_false(vhost_cache_write_back(&cache));
    vhost_cache_features(&cache, flush);
    assert_true(vhost_cache_write_back(&cache));
    vhost_cache_features(&cache, 0);
    assert_false(vhost_cache_write_back(&cache));
}

static void trusts_a_ring_that_it_has_seen_from_its_beginning(void **state)
{
    (void)state;
    struct vhost_cache cache;
    vhost_cache_init(&cache, false);
    vhost_cache_features(&cache, flush);
    vhost_cache_ring_starts(&cache, 3, true);
    vhost_cache_session_begins(&cache);
    vhost_cache_features(&cache, flush);
    vhost_cache_ring_starts(&cache, 3, false); /* resumed, but in this process' time */
    assert_true(vhost_cache_write_back(&cache));
}

static void distrusts_as_long_as_one_ring_is_resumed_from_before(void **state)
{
    (void)state;
    struct vhost_cache cache;
    vhost_cache_init(&cache, false);
    vhost_cache_features(&cache, flush);
    vhost_cache_ring_starts(&cache, 0, true);
    vhost_cache_ring_starts(&cache, BLK_QUEUE_COUNT_MAX - 1, false);
    assert_false(vhost_cache_write_back(&cache));
    vhost_cache_ring_starts(&cache, BLK_QUEUE_COUNT_MAX - 1, true); /* the driver starts afresh */
    assert_true(vhost_cache_write_back(&cache));
}

static void forgets_resumed_rings_with_their_connection(void **state)
{
    (void)state;
    struct vhost_cache cache;
    vhost_cache_init(&cache, false);
    vhost_cache_features(&cache, flush);
    vhost_cache_ring_starts(&cache, 1, false);
    vhost_cache_session_begins(&cache);
    vhost_cache_features(&cache, flush);
    vhost_cache_ring_starts(&cache, 0, true);
    assert_true(vhost_cache_write_back(&cache)); /* ring 1 is not used this time */
    vhost_cache_ring_starts(&cache, 1, false);
    assert_false(vhost_cache_write_back(&cache));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_its_truth_table),
        cmocka_unit_test(is_durable_before_anything_is_acked),
        cmocka_unit_test(keeps_what_the_driver_wrote_across_connections),
        cmocka_unit_test(does_not_carry_acked_features_into_the_next_connection),
        cmocka_unit_test(trusts_a_ring_that_it_has_seen_from_its_beginning),
        cmocka_unit_test(distrusts_as_long_as_one_ring_is_resumed_from_before),
        cmocka_unit_test(forgets_resumed_rings_with_their_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
