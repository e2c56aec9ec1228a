/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A guest whose descriptors a test writes by hand: one connection, one queue, two adjacent memory
 * regions, and beyond them nothing. For chains and rings that no honest driver makes.
 *
 * Calls fail the running test (cmocka) when the back end does not answer as it must. Belongs to one
 * thread.
 */
#ifndef UBIBLK_SUPPORT_RAW_GUEST_H
#define UBIBLK_SUPPORT_RAW_GUEST_H

#include <linux/virtio_blk.h>
#include <stdint.h>

#include "support/frontend_queue.h"
#include "support/guest_ram.h"
#include "support/vhost_frontend.h"

enum {
    RAW_GUEST_QUEUE_SIZE = 64,
    RAW_STATUS_UNSET = 0xee,
    RAW_NO_STATUS = -1, /* expect: the status byte stays unset */
};

/* Guest addresses. Regions: [LOW, HIGH) and [HIGH, END), adjacent, on two files; END is unmapped.
 */
#define RAW_GUEST_LOW UINT64_C(0x100000)
#define RAW_GUEST_HIGH UINT64_C(0x900000)
#define RAW_GUEST_END UINT64_C(0x1100000)

/* Where things lie, below HIGH, far enough apart. */
#define RAW_GUEST_HEADER UINT64_C(0x200000)
#define RAW_GUEST_STATUS UINT64_C(0x200100)
#define RAW_GUEST_TABLE UINT64_C(0x210000)
#define RAW_GUEST_DATA UINT64_C(0x300000)

struct raw_guest {
    struct vhost_frontend frontend;
    struct guest_ram ram;
    struct frontend_queue queue;
    int err_fd; /* owned; given to the back end as the ring's error eventfd */
};

/* Connects, acks features (protocol features, VERSION_1 and INDIRECT are added) and starts queue 0.
 */
void raw_guest_open(struct raw_guest *guest, const char *socket_path, uint64_t features);

/* Closes the socket and frees everything. */
void raw_guest_close(struct raw_guest *guest);

/* The host view of an address of either region. */
void *raw_guest_at(const struct raw_guest *guest, uint64_t gpa);

/* Writes the header at RAW_GUEST_HEADER and unsets the status byte. */
void raw_guest_header(struct raw_guest *guest, uint32_t type, uint64_t sector);

/* Writes descriptor index of the ring. */
void raw_guest_desc(struct raw_guest *guest, uint16_t index, uint64_t gpa, uint32_t len,
                    uint16_t flags, uint16_t next);

/* Writes entry index of an indirect table at RAW_GUEST_TABLE. */
void raw_guest_table(struct raw_guest *guest, uint16_t index, uint64_t gpa, uint32_t len,
                     uint16_t flags, uint16_t next);

/* Makes head available and kicks. */
void raw_guest_submit(struct raw_guest *guest, uint16_t head);

/* Waits by signal for exactly one completion, of head. Returns the used length. */
uint32_t raw_guest_await(struct raw_guest *guest, uint16_t head);

/* submit and await, then checks used length and the byte at RAW_GUEST_STATUS (RAW_NO_STATUS: that
 * it was not written). */
void raw_guest_expect(struct raw_guest *guest, uint16_t head, int status, uint32_t used_len);

/* Descriptors 0, 1, 2 as header, one buffer at RAW_GUEST_DATA, status. */
void raw_guest_request(struct raw_guest *guest, uint32_t type, uint64_t sector, uint32_t byte_len);

/* A write and a read of one sector on this connection must work. */
void raw_guest_check_served(struct raw_guest *guest);

/* The back end has put its error eventfd of the queue to use. */
void raw_guest_await_ring_fault(struct raw_guest *guest);

#endif
