/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A blk_queue with all that it needs for tests: a test device, a fake engine, and memory in place
 * of the guest's. Requests are as virtio_blk_parse leaves them: segments, sector and length agree.
 * They start at 1000 ns and end at 2000.
 *
 * Calls fail the running test (cmocka) when the queue does not do what it must. One thread, which
 * is the queue's.
 */
#ifndef UBIBLK_SUPPORT_QUEUE_RIG_H
#define UBIBLK_SUPPORT_QUEUE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blk/blk_queue.h"
#include "support/cmocka_test.h"
#include "support/fake_engine.h"
#include "support/test_device.h"

enum { RIG_GUEST_BYTES = 4 << 20 };

/* All but guest is NULL until rig_open; a test may also fill these members in itself. */
struct rig {
    struct test_device *test;
    struct blk_device *device;
    struct fake_engine *fake;
    struct blk_queue *queue;
    uint8_t *guest; /* page-aligned memory of the guest, RIG_GUEST_BYTES */
};

/* cmocka's fixture functions; *state is the rig, which the second one ends and frees. */
int rig_setup(void **state);
int rig_teardown(void **state);

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

/* Makes disk and queue; with is_real the engine moves bytes, else it only says so. */
void rig_open(struct rig *rig, struct test_device_params params, bool is_real);

/* Fills the request of a slot in, without starting it; iov stays the caller's. */
struct blk_request *rig_prepare(struct rig *rig, uint32_t slot, enum queue_op op, uint64_t sector,
                                struct iovec *iov, uint32_t count);

/* Starts a request of one segment, which lives in the slot. */
struct blk_request *rig_start(struct rig *rig, uint32_t slot, enum queue_op op, uint64_t sector,
                              void *base, uint64_t byte_len);
struct blk_request *rig_flush(struct rig *rig, uint32_t slot);

/* Submits, reaps and takes the next ended request, which it releases; NULL when there is none. */
struct blk_request *rig_run(struct rig *rig);

/* The same until this one request ended, with no other; its result. */
int rig_end(struct rig *rig, struct blk_request *request);

/* What the engine was given, in the order of prep; fails the test when that was less. */
const struct fake_record *rig_record(const struct rig *rig, uint32_t index);

/* Bytes of a pattern that differs from sector to sector and with the seed. */
void rig_fill(uint8_t *bytes, size_t byte_len, uint32_t seed);

#endif
