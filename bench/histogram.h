/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A histogram of nanoseconds: 64 steps for every doubling, so a percentile is right to 1.6 %.
 * Fixed size, no allocation; one thread.
 */
#ifndef UBIBLK_BENCH_HISTOGRAM_H
#define UBIBLK_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEP_BITS = 6, HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS };
enum { HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max;
};

static inline uint32_t histogram_bucket(uint64_t value)
{
    if (value < HISTOGRAM_STEPS) {
        return (uint32_t)value;
    }
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;

    return (shift + 1) * HISTOGRAM_STEPS + ((uint32_t)(value >> shift) & (HISTOGRAM_STEPS - 1));
}

/* The smallest value of a bucket. */
static inline uint64_t histogram_value(uint32_t bucket)
{
    uint32_t octave = bucket / HISTOGRAM_STEPS;
    uint64_t step = bucket % HISTOGRAM_STEPS;

    return octave == 0 ? step : (step + HISTOGRAM_STEPS) << (octave - 1);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_bucket(value)]++;
    histogram->total++;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

/* The value that a share of all (0.99: 99 %) does not exceed, to the step below it. */
static inline uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total);
    uint64_t seen = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > wanted) {
            return histogram_value(i);
        }
    }
    return histogram->max;
}

#endif
