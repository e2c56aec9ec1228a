/* SPDX-License-Identifier: AGPL-3.0-only */
/* A stripe map for tests: small stripes, all in the same state. */
#ifndef UBIBLK_SUPPORT_TEST_STRIPES_H
#define UBIBLK_SUPPORT_TEST_STRIPES_H

#include "support/cmocka_test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "stripe/stripe_map.h"

enum { TEST_STRIPE_SHIFT = STRIPE_SHIFT_MIN, TEST_STRIPE_SECTORS = 1 << TEST_STRIPE_SHIFT };

struct test_stripes_params {
    uint32_t stripe_count;
    uint32_t queue_count; /* 0: one */
    uint8_t flags;        /* of every stripe */
    bool track_written;
    bool read_through;
};

/* Returns owned: stripe_map_destroy. */
static inline struct stripe_map *test_stripes_create(const struct test_stripes_params *params)
{
    uint8_t *flags = malloc(params->stripe_count);
    assert_non_null(flags);
    memset(flags, params->flags, params->stripe_count);
    const struct stripe_map_params map_params = {
        .sector_count = (uint64_t)params->stripe_count * TEST_STRIPE_SECTORS,
        .sector_count_shift = TEST_STRIPE_SHIFT,
        .queue_count = params->queue_count > 0 ? params->queue_count : 1,
        .track_written = params->track_written,
        .read_through = params->read_through,
        .flags = flags,
    };
    struct stripe_map *map = NULL;
    struct error error;
    if (stripe_map_create(&map_params, &map, &error) != 0)
        fail_msg("%s", error.message);
    free(flags);
    return map;
}

#endif
