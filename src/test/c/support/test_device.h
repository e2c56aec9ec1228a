/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A disk for tests: a struct blk_device over a memfd, whose alignment rules, cipher and limits are
 * the test's to choose, and the host's view of its bytes. Used by one thread beside the code under
 * test.
 */
#ifndef UBIBLK_SUPPORT_TEST_DEVICE_H
#define UBIBLK_SUPPORT_TEST_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/blk_device.h"

/* Members that are 0 get the value in brackets. */
struct test_device_params {
    uint64_t byte_len;           /* [1 MiB] sparse */
    uint32_t queue_count;        /* [1] */
    uint32_t queue_size;         /* [16] */
    uint32_t memory_align;       /* [1] above 1 as if the file were opened with O_DIRECT */
    uint32_t logical_block_size; /* [512] */
    uint64_t bounce_bytes;       /* [1 MiB] */
    uint32_t poll_timeout_us;
    bool write_through;
    bool encrypted;
    bool sync_engine; /* else io_uring */
};

struct test_device {
    struct blk_device device;
    uint8_t *disk; /* what lies on the disk, cipher text if it is encrypted */
    struct log *log;
};

/* Returns owned; ends the test when something is missing. */
struct test_device *test_device_create(const struct test_device_params *params);
void test_device_destroy(struct test_device *test);

/* Whether the next log line contains text. */
bool test_device_logged(struct test_device *test, const char *text);

#endif
