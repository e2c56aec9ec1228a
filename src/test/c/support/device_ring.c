/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/device_ring.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

/* The layout of a slot. */
enum { HEADER = 0, STATUS = 64, DATA = 512, SLOT_BYTES = 4096 };

enum { RAM_GPA = 0x100000, RAM_BYTES = 2 << 20 };

struct header {
    uint32_t type;
    uint32_t ioprio;
    uint64_t sector;
};

struct guest_memory *device_memory_create(const struct guest_ram *ram)
{
    struct guest_memory *memory = guest_memory_create(NULL);
    assert(memory);
    for (uint32_t i = 0; i < ram->region_count; i++) {
        const struct guest_ram_region *region = &ram->regions[i];
        const struct guest_region_params params = {.gpa = region->gpa,
                                                   .byte_len = region->size,
                                                   .uaddr = region->uaddr,
                                                   .mmap_offset = region->file_offset};
        struct guest_memory *larger = NULL;
        int result = guest_memory_add(memory, &params, region->fd, &larger, NULL);
        assert(result == 0);
        guest_memory_unref(memory);
        memory = larger;
    }
    return memory;
}

void device_ring_open(struct device_ring *ring, uint16_t size, bool event_idx)
{
    const struct guest_ram_spec spec = {.gpa = RAM_GPA, .size = RAM_BYTES};
    int result = guest_ram_init(&ring->ram, &spec, 1);
    assert(result == 0);
    ring->memory = device_memory_create(&ring->ram);
    result = frontend_queue_init(&ring->queue, &ring->ram, 0, 0, size, event_idx);
    assert(result == 0);
    ring->slots_gpa = guest_ram_alloc(&ring->ram, 0, DEVICE_RING_SLOTS * SLOT_BYTES, 4096, 0);
    assert(ring->slots_gpa != GUEST_RAM_NONE);
}

void device_ring_close(struct device_ring *ring)
{
    frontend_queue_deinit(&ring->queue);
    guest_memory_unref(ring->memory);
    guest_ram_deinit(&ring->ram);
}

static void *part(const struct device_ring *ring, const struct guest_memory *memory, uint64_t gpa)
{
    return guest_memory_at_uaddr(memory, guest_ram_uaddr(&ring->ram, gpa), 1);
}

struct virtq_parts device_ring_parts(const struct device_ring *ring,
                                     const struct guest_memory *memory)
{
    return (struct virtq_parts){.desc = part(ring, memory, ring->queue.desc_gpa),
                                .avail = part(ring, memory, ring->queue.avail_gpa),
                                .used = part(ring, memory, ring->queue.used_gpa)};
}

static uint8_t *slot_host(const struct device_ring *ring, uint32_t slot)
{
    assert(slot < DEVICE_RING_SLOTS);
    return guest_ram_host(&ring->ram, ring->slots_gpa + (uint64_t)slot * SLOT_BYTES, SLOT_BYTES);
}

uint16_t device_ring_add(struct device_ring *ring, uint32_t slot, uint32_t type, uint64_t sector,
                         uint32_t byte_len)
{
    const uint64_t gpa = ring->slots_gpa + (uint64_t)slot * SLOT_BYTES;
    const struct header header = {.type = type, .sector = sector};
    memcpy(slot_host(ring, slot) + HEADER, &header, sizeof(header));
    slot_host(ring, slot)[STATUS] = DEVICE_RING_NO_STATUS;
    struct virtq_segment segments[3] = {{.gpa = gpa + HEADER, .len = sizeof(header)}};
    uint32_t count = 1;
    if (byte_len > 0) {
        assert(byte_len <= DEVICE_RING_DATA_BYTES);
        segments[count++] =
            (struct virtq_segment){.gpa = gpa + DATA, .len = byte_len, .writable = type != 1};
    }
    segments[count++] = (struct virtq_segment){.gpa = gpa + STATUS, .len = 1, .writable = true};
    uint16_t head = 0;
    int result = virtq_driver_add(&ring->queue.driver, segments, count, slot, &head);
    assert(result == 0);
    return head;
}

uint8_t *device_ring_data(const struct device_ring *ring, uint32_t slot)
{
    return slot_host(ring, slot) + DATA;
}

uint8_t device_ring_status(const struct device_ring *ring, uint32_t slot)
{
    return slot_host(ring, slot)[STATUS];
}

uint64_t device_ring_signals(int fd)
{
    uint64_t count = 0;
    return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}
