/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Regions are few (one or two under QEMU and Cloud Hypervisor), so a lookup is a linear walk;
 * tables are sorted by size, largest first, so that it usually ends at its first step.
 */
#include "guest_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/align.h"
#include "base/checked.h"

struct guest_region {
    uint64_t gpa;
    uint64_t byte_len;
    uint64_t uaddr;
    uint8_t *host;
    void *map;
    size_t map_bytes;
    struct guest_guard *guard;
    atomic_bool lost;
    _Atomic uint32_t references;
};

struct guest_memory {
    _Atomic uint32_t references;
    uint32_t count;
    struct guest_guard *guard;      /* NULL: none */
    struct guest_region *regions[]; /* largest first */
};

static struct guest_memory *table_create(uint32_t count, struct guest_guard *guard)
{
    struct guest_memory *memory = malloc(sizeof(*memory) + count * sizeof(memory->regions[0]));
    if (memory) {
        atomic_init(&memory->references, 1);
        memory->count = 0;
        memory->guard = guard;
    }
    return memory;
}

struct guest_memory *guest_memory_create(struct guest_guard *guard)
{
    return table_create(0, guard);
}

static void region_unref(struct guest_region *region)
{
    /* acq_rel: the unmapping thread must come after every other thread's last use. */
    if (atomic_fetch_sub_explicit(&region->references, 1, memory_order_acq_rel) > 1)
        return;
    if (region->guard)
        guest_guard_remove(region->guard, region->map);
    munmap(region->map, region->map_bytes);
    free(region);
}

static void table_append(struct guest_memory *memory, struct guest_region *region)
{
    uint32_t at = memory->count++;
    while (at > 0 && memory->regions[at - 1]->byte_len < region->byte_len) {
        memory->regions[at] = memory->regions[at - 1];
        at--;
    }
    memory->regions[at] = region;
}

static bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a < b + b_len && b < a + a_len;
}

static int region_check(const struct guest_memory *memory, const struct guest_region_params *params,
                        struct error *error)
{
    if (memory->count >= GUEST_MEMORY_REGIONS_MAX)
        return error_set(error, -ENOSPC, "memory table is full: %d regions",
                         GUEST_MEMORY_REGIONS_MAX);
    if (params->byte_len == 0)
        return error_set(error, -EINVAL, "memory region at gpa 0x%" PRIx64 " is empty",
                         params->gpa);
    if (!range_within(params->gpa, params->byte_len, UINT64_MAX) ||
        !range_within(params->uaddr, params->byte_len, UINT64_MAX) ||
        !range_within(params->mmap_offset, params->byte_len, INT64_MAX)) {
        return error_set(error, -EINVAL,
                         "memory region wraps: gpa 0x%" PRIx64 ", %" PRIu64 " bytes", params->gpa,
                         params->byte_len);
    }
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct guest_region *other = memory->regions[i];
        if (ranges_overlap(params->gpa, params->byte_len, other->gpa, other->byte_len)) {
            return error_set(error, -EEXIST,
                             "memory region at gpa 0x%" PRIx64 " overlaps the one at 0x%" PRIx64,
                             params->gpa, other->gpa);
        }
    }
    return 0;
}

/* Maps whole pages of the file's own size (huge pages of hugetlbfs), since an offset need not be
 * aligned. */
static int region_map(const struct guest_region_params *params, int fd, struct guest_region *region,
                      struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set_errno(error, -errno, "memory region: fstat");
    if (!range_within(params->mmap_offset, params->byte_len, (uint64_t)status.st_size)) {
        return error_set(error, -EINVAL,
                         "memory region of %" PRIu64 " bytes at offset %" PRIu64
                         " does not fit its file of %" PRId64 " bytes",
                         params->byte_len, params->mmap_offset, (int64_t)status.st_size);
    }
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (status.st_blksize > 0 && is_power_of_two((uint64_t)status.st_blksize) &&
        (uint64_t)status.st_blksize > page)
        page = (uint64_t)status.st_blksize;
    uint64_t start = params->mmap_offset & ~(page - 1);
    region->map_bytes = align_up(params->mmap_offset + params->byte_len, page) - start;
    region->map = mmap(NULL, region->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                       fd, (off_t)start);
    if (region->map == MAP_FAILED)
        return error_set_errno(error, -errno, "memory region: mmap of %zu bytes",
                               region->map_bytes);
    madvise(region->map, region->map_bytes, MADV_DONTDUMP);
    if (region->guard)
        guest_guard_add(region->guard, region->map, region->map_bytes, page, &region->lost);
    region->host = (uint8_t *)region->map + (params->mmap_offset - start);
    return 0;
}

int guest_memory_add(const struct guest_memory *memory, const struct guest_region_params *params,
                     int fd, struct guest_memory **out, struct error *error)
{
    int result = region_check(memory, params, error);
    if (result < 0)
        return result;
    struct guest_memory *table = table_create(memory->count + 1, memory->guard);
    struct guest_region *region = calloc(1, sizeof(*region));
    if (!table || !region) {
        result = error_set(error, -ENOMEM, "no memory for a memory region");
        goto fail;
    }
    region->guard = memory->guard;
    result = region_map(params, fd, region, error);
    if (result < 0)
        goto fail;
    region->gpa = params->gpa;
    region->byte_len = params->byte_len;
    region->uaddr = params->uaddr;
    atomic_init(&region->references, 1);
    for (uint32_t i = 0; i < memory->count; i++) {
        atomic_fetch_add_explicit(&memory->regions[i]->references, 1, memory_order_relaxed);
        table_append(table, memory->regions[i]);
    }
    table_append(table, region);
    *out = table;
    return 0;
fail:
    free(region);
    free(table);
    return result;
}

int guest_memory_remove(const struct guest_memory *memory, const struct guest_region_params *params,
                        struct guest_memory **out, struct error *error)
{
    struct guest_memory *table = table_create(memory->count, memory->guard);
    if (!table)
        return error_set(error, -ENOMEM, "no memory for a memory table");
    for (uint32_t i = 0; i < memory->count; i++) {
        struct guest_region *region = memory->regions[i];
        if (region->gpa == params->gpa && region->uaddr == params->uaddr &&
            region->byte_len == params->byte_len)
            continue;
        atomic_fetch_add_explicit(&region->references, 1, memory_order_relaxed);
        table_append(table, region);
    }
    if (table->count == memory->count) {
        guest_memory_unref(table);
        return error_set(error, -ENOENT,
                         "no memory region at gpa 0x%" PRIx64 " of %" PRIu64 " bytes", params->gpa,
                         params->byte_len);
    }
    *out = table;
    return 0;
}

struct guest_memory *guest_memory_ref(struct guest_memory *memory)
{
    atomic_fetch_add_explicit(&memory->references, 1, memory_order_relaxed);
    return memory;
}

void guest_memory_unref(struct guest_memory *memory)
{
    if (!memory || atomic_fetch_sub_explicit(&memory->references, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < memory->count; i++)
        region_unref(memory->regions[i]);
    free(memory);
}

void *guest_memory_at_gpa(const struct guest_memory *memory, uint64_t gpa, uint64_t *contiguous)
{
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct guest_region *region = memory->regions[i];
        uint64_t offset = gpa - region->gpa; /* wraps to a huge number below the region */
        if (offset < region->byte_len) {
            *contiguous = region->byte_len - offset;
            return region->host + offset;
        }
    }
    return NULL;
}

bool guest_memory_lost(const struct guest_memory *memory)
{
    bool lost = false;
    for (uint32_t i = 0; i < memory->count; i++)
        lost |= atomic_load_explicit(&memory->regions[i]->lost, memory_order_relaxed);
    return lost;
}

void *guest_memory_at_uaddr(const struct guest_memory *memory, uint64_t uaddr, uint64_t byte_len)
{
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct guest_region *region = memory->regions[i];
        uint64_t offset = uaddr - region->uaddr;
        if (offset < region->byte_len && byte_len <= region->byte_len - offset)
            return region->host + offset;
    }
    return NULL;
}
