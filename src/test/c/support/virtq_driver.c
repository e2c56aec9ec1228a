/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The driver's side of one split virtqueue.
 *
 * Design: the free list and the links of chains in flight are kept in next[], private to the
 * driver. The descriptor table is only ever written, so nothing that the device does to it can
 * confuse the account. Barriers follow virtio 1.2, 2.7.13 and 2.7.14: entries before the index
 * (release), index before entries (acquire), and a full fence between publishing an index and
 * looking at the other side's wish for a notification.
 */
#include "support/virtq_driver.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NO_DESCRIPTOR = 0xffff };

size_t virtq_driver_desc_bytes(uint16_t size)
{
    return sizeof(struct vring_desc) * size;
}

size_t virtq_driver_avail_bytes(uint16_t size)
{
    return sizeof(uint16_t) * (3u + size);
}

size_t virtq_driver_used_bytes(uint16_t size)
{
    return sizeof(uint16_t) * 3u + sizeof(struct vring_used_elem) * size;
}

/* avail->used_event: the driver's wish, behind the ring's entries. */
static uint16_t *used_event(const struct virtq_driver *driver)
{
    return &driver->avail->ring[driver->size];
}

/* used->avail_event: the device's wish, behind the used entries. */
static const uint16_t *avail_event(const struct virtq_driver *driver)
{
    return (const uint16_t *)(const void *)&driver->used->ring[driver->size];
}

static void free_all(struct virtq_driver *driver)
{
    for (uint32_t i = 0; i < driver->size; i++) {
        driver->next[i] = (uint16_t)(i + 1 < driver->size ? i + 1 : NO_DESCRIPTOR);
        driver->slots[i] = (struct virtq_driver_slot){0};
    }
    driver->free_head = 0;
    driver->free_count = driver->size;
    driver->in_flight_count = 0;
}

int virtq_driver_init(struct virtq_driver *driver, uint16_t size, void *desc, void *avail,
                      void *used, bool event_idx)
{
    *driver = (struct virtq_driver){.desc = desc,
                                    .avail = avail,
                                    .used = used,
                                    .size = size,
                                    .event_idx = event_idx,
                                    .signals_enabled = true,
                                    .kick_fd = -1,
                                    .call_fd = -1};
    driver->slots = calloc(size, sizeof(*driver->slots));
    driver->next = calloc(size, sizeof(*driver->next));
    if (driver->slots == NULL || driver->next == NULL) {
        virtq_driver_deinit(driver);
        return -ENOMEM;
    }
    free_all(driver);
    return 0;
}

void virtq_driver_deinit(struct virtq_driver *driver)
{
    free(driver->slots);
    free(driver->next);
    driver->slots = NULL;
    driver->next = NULL;
}

void virtq_driver_reset(struct virtq_driver *driver)
{
    memset(driver->desc, 0, virtq_driver_desc_bytes(driver->size));
    memset(driver->avail, 0, virtq_driver_avail_bytes(driver->size));
    memset(driver->used, 0, virtq_driver_used_bytes(driver->size));
    driver->avail_index = 0;
    driver->published_index = 0;
    driver->used_index = 0;
    driver->signals_enabled = true;
    free_all(driver);
}

static uint16_t take_descriptor(struct virtq_driver *driver)
{
    uint16_t taken = driver->free_head;

    driver->free_head = driver->next[taken];
    driver->free_count--;
    return taken;
}

static void write_descriptor(struct vring_desc *desc, const struct virtq_segment *segment,
                             bool more, uint16_t next)
{
    desc->addr = segment->gpa;
    desc->len = segment->len;
    desc->flags =
        (uint16_t)((segment->writable ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0));
    desc->next = more ? next : 0;
}

static uint64_t writable_bytes(const struct virtq_segment *segments, uint32_t count)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        bytes += segments[i].writable ? segments[i].len : 0;
    }
    return bytes;
}

static void make_available(struct virtq_driver *driver, uint16_t head)
{
    driver->avail->ring[driver->avail_index & (driver->size - 1)] = head;
    driver->avail_index++;
}

static void hold_head(struct virtq_driver *driver, uint16_t head, uint64_t token, uint64_t limit,
                      uint32_t chain_len)
{
    struct virtq_driver_slot *slot = &driver->slots[head];

    assert(!slot->in_flight);
    *slot = (struct virtq_driver_slot){.token = token,
                                       .writable_bytes = limit,
                                       .chain_len = (uint16_t)chain_len,
                                       .in_flight = true};
    driver->in_flight_count++;
}

/* Writes count segments into ring descriptors, linked; more_after: a further one will follow, whose
 * index the caller takes next from the free list. Returns the first. */
static uint16_t write_direct(struct virtq_driver *driver, const struct virtq_segment *segments,
                             uint32_t count, bool more_after)
{
    uint16_t head = driver->free_head;

    for (uint32_t i = 0; i < count; i++) {
        uint16_t taken = take_descriptor(driver);

        write_descriptor(&driver->desc[taken], &segments[i], more_after || i + 1 < count,
                         driver->next[taken]);
    }
    return head;
}

int virtq_driver_add(struct virtq_driver *driver, const struct virtq_segment *segments,
                     uint32_t count, uint64_t token, uint16_t *head)
{
    uint16_t first;

    assert(count > 0);
    if (count > driver->free_count) {
        return -ENOSPC;
    }
    first = write_direct(driver, segments, count, false);
    hold_head(driver, first, token, writable_bytes(segments, count), count);
    make_available(driver, first);
    if (head != NULL) {
        *head = first;
    }
    return 0;
}

int virtq_driver_add_indirect(struct virtq_driver *driver, const struct virtq_segment *segments,
                              uint32_t count, uint32_t direct, struct vring_desc *table,
                              uint64_t table_gpa, uint64_t token, uint16_t *head)
{
    uint32_t entries = count - direct;
    uint16_t first, last;

    assert(count > direct && entries <= VIRTQ_DRIVER_SIZE_MAX);
    if (direct + 1 > driver->free_count) {
        return -ENOSPC;
    }
    for (uint32_t i = 0; i < entries; i++) {
        write_descriptor(&table[i], &segments[direct + i], i + 1 < entries, (uint16_t)(i + 1));
    }
    first = write_direct(driver, segments, direct, true);
    last = take_descriptor(driver);
    driver->desc[last] = (struct vring_desc){.addr = table_gpa,
                                             .len = (uint32_t)(entries * sizeof(struct vring_desc)),
                                             .flags = VRING_DESC_F_INDIRECT};
    hold_head(driver, first, token, writable_bytes(segments, count), direct + 1);
    make_available(driver, first);
    if (head != NULL) {
        *head = first;
    }
    return 0;
}

void virtq_driver_add_raw(struct virtq_driver *driver, uint16_t head, uint64_t used_len_max,
                          uint64_t token)
{
    if (head < driver->size && !driver->slots[head].in_flight) {
        hold_head(driver, head, token, used_len_max, 0);
    }
    make_available(driver, head);
}

int virtq_driver_reserve(struct virtq_driver *driver, uint16_t count)
{
    int first = driver->free_head;

    if (count > driver->free_count) {
        return -ENOSPC;
    }
    for (uint16_t i = 0; i < count; i++) {
        take_descriptor(driver);
    }
    return first;
}

void virtq_driver_free_raw(struct virtq_driver *driver, uint16_t first, uint16_t count)
{
    uint16_t last = first;

    for (uint16_t i = 1; i < count; i++) {
        last = driver->next[last];
    }
    driver->next[last] = driver->free_head;
    driver->free_head = first;
    driver->free_count = (uint16_t)(driver->free_count + count);
}

bool virtq_driver_publish(struct virtq_driver *driver)
{
    uint16_t old = driver->published_index;
    uint16_t new = driver->avail_index;

    /* Pairs with the device's acquire of avail->idx: chains and ring entries are there first. */
    __atomic_store_n(&driver->avail->idx, new, __ATOMIC_RELEASE);
    driver->published_index = new;
    /* The index must be out before the device's wish is read; pairs with its fence between writing
     * avail_event (or flags) and its last look at avail->idx. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (old == new) {
        return false;
    }
    if (driver->event_idx) {
        return vring_need_event(__atomic_load_n(avail_event(driver), __ATOMIC_RELAXED), new, old);
    }
    return (__atomic_load_n(&driver->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY) == 0;
}

void virtq_driver_kick(struct virtq_driver *driver)
{
    uint64_t one = 1;
    ssize_t written = write(driver->kick_fd, &one, sizeof(one));

    (void)written; /* a full counter is a kick as well */
    driver->kicks++;
}

void virtq_driver_publish_and_kick(struct virtq_driver *driver)
{
    if (virtq_driver_publish(driver)) {
        virtq_driver_kick(driver);
    }
}

bool virtq_driver_has_used(const struct virtq_driver *driver)
{
    return __atomic_load_n(&driver->used->idx, __ATOMIC_ACQUIRE) != driver->used_index;
}

static int fault_set(struct virtq_driver *driver, const char *what, uint64_t seen, uint64_t limit)
{
    snprintf(driver->fault, sizeof(driver->fault),
             "used entry %u: %s (saw %" PRIu64 ", limit %" PRIu64 ")",
             (unsigned int)driver->used_index, what, seen, limit);
    return -EPROTO;
}

/* Returns the account of one used entry, or a fault. */
static int account(struct virtq_driver *driver, const struct vring_used_elem *entry)
{
    struct virtq_driver_slot *slot;

    if (entry->id >= driver->size) {
        return fault_set(driver, "head beyond the ring", entry->id, driver->size);
    }
    slot = &driver->slots[entry->id];
    if (!slot->in_flight) {
        return fault_set(driver, "head that is not in flight", entry->id, driver->size);
    }
    if (entry->len > slot->writable_bytes) {
        return fault_set(driver, "length above the writable bytes", entry->len,
                         slot->writable_bytes);
    }
    slot->in_flight = false;
    driver->in_flight_count--;
    if (slot->chain_len > 0) {
        virtq_driver_free_raw(driver, (uint16_t)entry->id, slot->chain_len);
    }
    return 0;
}

int virtq_driver_reap(struct virtq_driver *driver, struct virtq_completion *completions,
                      uint32_t max)
{
    /* Pairs with the device's release of used->idx: entries and data are there. */
    uint16_t index = __atomic_load_n(&driver->used->idx, __ATOMIC_ACQUIRE);
    uint16_t pending = (uint16_t)(index - driver->used_index);
    uint32_t count = 0;

    if (pending > driver->in_flight_count) {
        return fault_set(driver, "more entries than heads in flight", pending,
                         driver->in_flight_count);
    }
    while (count < max && driver->used_index != index) {
        struct vring_used_elem entry = driver->used->ring[driver->used_index & (driver->size - 1)];
        int error = account(driver, &entry);

        if (error < 0) {
            return error;
        }
        completions[count++] = (struct virtq_completion){.token = driver->slots[entry.id].token,
                                                         .used_len = entry.len,
                                                         .head = (uint16_t)entry.id};
        driver->used_index++;
    }
    return (int)count;
}

void virtq_driver_enable_signals(struct virtq_driver *driver)
{
    driver->signals_enabled = true;
    if (driver->event_idx) {
        __atomic_store_n(used_event(driver), driver->used_index, __ATOMIC_RELAXED);
    } else {
        __atomic_store_n(&driver->avail->flags, 0, __ATOMIC_RELAXED);
    }
    /* The wish must be out before used->idx is looked at again; pairs with the device's fence
     * between used->idx and reading the wish. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void virtq_driver_disable_signals(struct virtq_driver *driver)
{
    driver->signals_enabled = false;
    if (driver->event_idx) {
        /* As far away as an index can be: half way round behind the next entry. */
        __atomic_store_n(used_event(driver), (uint16_t)(driver->used_index - 0x8000),
                         __ATOMIC_RELAXED);
    } else {
        __atomic_store_n(&driver->avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
    }
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sleeps on the call fd; a signal without an entry (stale) is slept over. */
static int sleep_for_signal(struct virtq_driver *driver, int64_t deadline)
{
    while (!virtq_driver_has_used(driver)) {
        struct pollfd call = {.fd = driver->call_fd, .events = POLLIN};
        int64_t left = deadline - now_ms();
        uint64_t count;

        if (left <= 0 || poll(&call, 1, (int)left) <= 0) {
            return 0;
        }
        if (read(driver->call_fd, &count, sizeof(count)) == sizeof(count)) {
            driver->signals++;
        }
    }
    return 1;
}

int virtq_driver_wait(struct virtq_driver *driver, int timeout_ms)
{
    if (virtq_driver_has_used(driver)) {
        return 1;
    }
    virtq_driver_enable_signals(driver);
    return sleep_for_signal(driver, now_ms() + timeout_ms);
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

int virtq_driver_poll(struct virtq_driver *driver, int timeout_ms)
{
    int64_t deadline = 0;

    for (uint32_t round = 1; !virtq_driver_has_used(driver); round++) {
        pause_briefly();
        if (round % 4096 == 0) {
            int64_t now = now_ms();

            deadline = deadline == 0 ? now + timeout_ms : deadline;
            if (now >= deadline) {
                return 0;
            }
        }
    }
    return 1;
}

const char *virtq_driver_fault(const struct virtq_driver *driver)
{
    return driver->fault;
}
