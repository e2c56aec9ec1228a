/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One random request of a stress: chosen, laid out, filled and made available; and checked when it
 * has completed. The inside of blk_stress.
 */
#ifndef UBIBLK_SUPPORT_STRESS_REQUEST_H
#define UBIBLK_SUPPORT_STRESS_REQUEST_H

#include <stdint.h>

#include "support/blk_stress.h"

/* Leaves a sentence in stress->failure. Returns error. */
int stress_fail(struct blk_stress *stress, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct stress_request *stress_request_at(struct blk_stress *stress, uint32_t queue, uint32_t slot);

/* Adds a request in a slot that is not busy. 1, or 0 when there is no room just now. */
int stress_request_start(struct blk_stress *stress, uint32_t queue, uint32_t slot);

/* Checks everything about a completed request. 0 or -errno with a sentence. */
int stress_request_end(struct blk_stress *stress, uint32_t queue,
                       const struct virtq_completion *completion);

/* Gives the sectors of a request back that the device never got to know of. */
void stress_request_unclaim(struct blk_stress *stress, const struct stress_request *request);

#endif
