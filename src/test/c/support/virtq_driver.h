/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The driver's side of one split virtqueue: it makes descriptor chains available, takes used
 * entries back and keeps account of every head.
 *
 * Accounting: each head that was made available completes exactly once. A used entry that names a
 * head that is not in flight (a double completion or a foreign head), a used index that runs ahead
 * of what was made available, or a used length above what the device may have written is a fault:
 * virtq_driver_reap returns -EPROTO and virtq_driver_fault says what was seen.
 *
 * The driver knows rings and chains, not block requests. A chain carries a token of the caller's,
 * which comes back with its completion. Nothing is allocated after virtq_driver_create; add,
 * publish and reap make no system calls, so the same driver serves tests and benchmarks.
 *
 * A driver belongs to one thread. The rings live in memory of the caller's that the device shares.
 * Hostile rings: the fields desc, avail and used are the ring itself and may be written at will;
 * virtq_driver_add_raw makes any head available, valid or not.
 */
#ifndef UBIBLK_SUPPORT_VIRTQ_DRIVER_H
#define UBIBLK_SUPPORT_VIRTQ_DRIVER_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VIRTQ_DRIVER_SIZE_MAX = 32768,
    VIRTQ_DRIVER_FAULT_BYTES = 160,
};

/* One buffer of a chain. Device-readable segments come before device-writable ones. */
struct virtq_segment {
    uint64_t gpa;
    uint32_t len;
    bool writable; /* by the device */
};

struct virtq_completion {
    uint64_t token;
    uint32_t used_len;
    uint16_t head;
};

/* What the driver knows of one head. */
struct virtq_driver_slot {
    uint64_t token;
    uint64_t writable_bytes; /* upper limit of used_len */
    uint16_t chain_len;      /* ring descriptors held, 0 when the head was made available raw */
    bool in_flight;
};

struct virtq_driver {
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    struct virtq_driver_slot *slots; /* size of them, owned */
    uint16_t *next;                  /* free list and chain links, owned; never read from desc */
    uint16_t size;
    uint16_t free_head;
    uint16_t free_count;
    uint16_t avail_index;     /* next avail index to write */
    uint16_t published_index; /* avail index that the device was shown */
    uint16_t used_index;      /* next used entry to read */
    uint32_t in_flight_count;
    bool event_idx;
    bool signals_enabled;
    int kick_fd, call_fd; /* borrowed; -1: none */
    char fault[VIRTQ_DRIVER_FAULT_BYTES];
    uint64_t kicks, signals; /* eventfd writes and waits that ended by a signal */
};

/* Bytes of the three parts for a queue size, EVENT_IDX fields included. */
size_t virtq_driver_desc_bytes(uint16_t size);
size_t virtq_driver_avail_bytes(uint16_t size);
size_t virtq_driver_used_bytes(uint16_t size);

/*
 * Prepares a driver over zeroed ring memory of size entries (a power of two). Keeps the three
 * pointers until virtq_driver_deinit. 0 or -ENOMEM.
 */
int virtq_driver_init(struct virtq_driver *driver, uint16_t size, void *desc, void *avail,
                      void *used, bool event_idx);

void virtq_driver_deinit(struct virtq_driver *driver);

/* Forgets all chains and zeroes the rings: a queue that a fresh driver sets up. */
void virtq_driver_reset(struct virtq_driver *driver);

/*
 * Puts a chain of count (≥ 1) segments on the available ring, not yet shown to the device.
 * 0, or -ENOSPC when the descriptor table has fewer free entries. *head may be NULL.
 */
int virtq_driver_add(struct virtq_driver *driver, const struct virtq_segment *segments,
                     uint32_t count, uint64_t token, uint16_t *head);

/*
 * The same with the last count - direct segments in an indirect table (table is the host view of
 * table_gpa, with room for them). direct = 0 is the usual case; a device must also handle direct
 * descriptors before the indirect one.
 */
int virtq_driver_add_indirect(struct virtq_driver *driver, const struct virtq_segment *segments,
                              uint32_t count, uint32_t direct, struct vring_desc *table,
                              uint64_t table_gpa, uint64_t token, uint16_t *head);

/*
 * Puts a head on the available ring whose descriptors the caller wrote into desc. The head counts
 * as in flight (if it is one of the ring's) with used_len_max as the limit of used_len.
 */
void virtq_driver_add_raw(struct virtq_driver *driver, uint16_t head, uint64_t used_len_max,
                          uint64_t token);

/* Takes count descriptors out of the free list for raw use; returns the first, which is linked by
 * next[]. -ENOSPC if there are too few. They come back by virtq_driver_free_raw. */
int virtq_driver_reserve(struct virtq_driver *driver, uint16_t count);
void virtq_driver_free_raw(struct virtq_driver *driver, uint16_t first, uint16_t count);

/* Shows what was added to the device. Returns whether the device wants a kick. */
bool virtq_driver_publish(struct virtq_driver *driver);

/* Writes the kick eventfd. */
void virtq_driver_kick(struct virtq_driver *driver);

/* publish, and kick if the device wants it. */
void virtq_driver_publish_and_kick(struct virtq_driver *driver);

/* Takes up to max used entries. Their count, or -EPROTO on a fault. */
int virtq_driver_reap(struct virtq_driver *driver, struct virtq_completion *completions,
                      uint32_t max);

/* Whether the device has pushed entries that were not reaped. */
bool virtq_driver_has_used(const struct virtq_driver *driver);

/* Asks for a signal with the next used entry, or for none (polling). Used entries may be there
 * already: look again after enabling. */
void virtq_driver_enable_signals(struct virtq_driver *driver);
void virtq_driver_disable_signals(struct virtq_driver *driver);

/*
 * Waits until there are used entries, by signal only: it looks at the ring, asks for a signal,
 * looks once more, and then sleeps on call_fd. A signal that is missing is a timeout even if the
 * entry is there, so lost signals are found.
 * 1 when there are entries, 0 when timeout_ms passed.
 */
int virtq_driver_wait(struct virtq_driver *driver, int timeout_ms);

/* The same by looking at the ring all the time. */
int virtq_driver_poll(struct virtq_driver *driver, int timeout_ms);

/* What reap's -EPROTO was about. */
const char *virtq_driver_fault(const struct virtq_driver *driver);

#endif
