/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A guest's memory on memfds.
 *
 * Design: every region keeps a descriptor of its own (a duplicate when regions share a file), so
 * regions can be closed in any order. The file is made long enough for the region and no longer,
 * so that a back end that maps or touches more than it was given fails visibly.
 */
#include "support/guest_ram.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static int open_region_file(const struct guest_ram *ram, const struct guest_ram_spec *spec)
{
    int fd = spec->file_of > 0 ? fcntl(ram->regions[spec->file_of - 1].fd, F_DUPFD_CLOEXEC, 0)
                               : memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    return fd < 0 ? -errno : fd;
}

static int grow_region_file(int fd, const struct guest_ram_spec *spec)
{
    struct stat status;
    off_t end = (off_t)(spec->file_offset + spec->size);

    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    if (status.st_size < end && ftruncate(fd, end) < 0) {
        return -errno;
    }
    if (spec->sealed && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
        return -errno;
    }
    return 0;
}

int guest_ram_add(struct guest_ram *ram, const struct guest_ram_spec *spec)
{
    struct guest_ram_region *region = &ram->regions[ram->region_count];
    uint64_t into_page = spec->file_offset % PAGE;
    void *mapping;
    int fd, error;

    if (ram->region_count == GUEST_RAM_REGIONS_MAX) {
        return -ENOSPC;
    }
    fd = open_region_file(ram, spec);
    if (fd < 0) {
        return fd;
    }
    error = grow_region_file(fd, spec);
    if (error < 0) {
        close(fd);
        return error;
    }
    mapping = mmap(NULL, spec->size + into_page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                   (off_t)(spec->file_offset - into_page));
    if (mapping == MAP_FAILED) {
        error = -errno;
        close(fd);
        return error;
    }
    *region =
        (struct guest_ram_region){.gpa = spec->gpa,
                                  .size = spec->size,
                                  .uaddr = spec->gpa + (spec->identity ? 0 : GUEST_RAM_UADDR_BIAS),
                                  .file_offset = spec->file_offset,
                                  .fd = fd,
                                  .host = (uint8_t *)mapping + into_page,
                                  .mapping = mapping,
                                  .mapping_bytes = spec->size + into_page};
    ram->region_count++;
    return 0;
}

int guest_ram_init(struct guest_ram *ram, const struct guest_ram_spec *specs, uint32_t count)
{
    memset(ram, 0, sizeof(*ram));
    for (uint32_t i = 0; i < count; i++) {
        int error = guest_ram_add(ram, &specs[i]);

        if (error < 0) {
            guest_ram_deinit(ram);
            return error;
        }
    }
    return 0;
}

void guest_ram_deinit(struct guest_ram *ram)
{
    for (uint32_t i = 0; i < ram->region_count; i++) {
        munmap(ram->regions[i].mapping, ram->regions[i].mapping_bytes);
        close(ram->regions[i].fd);
    }
    ram->region_count = 0;
}

static const struct guest_ram_region *region_of(const struct guest_ram *ram, uint64_t gpa,
                                                uint64_t len)
{
    for (uint32_t i = 0; i < ram->region_count; i++) {
        const struct guest_ram_region *region = &ram->regions[i];

        if (gpa >= region->gpa && gpa - region->gpa <= region->size &&
            len <= region->size - (gpa - region->gpa)) {
            return region;
        }
    }
    return NULL;
}

void *guest_ram_host(const struct guest_ram *ram, uint64_t gpa, uint64_t len)
{
    const struct guest_ram_region *region = region_of(ram, gpa, len);

    return region == NULL ? NULL : region->host + (gpa - region->gpa);
}

uint64_t guest_ram_uaddr(const struct guest_ram *ram, uint64_t gpa)
{
    const struct guest_ram_region *region = region_of(ram, gpa, 1);

    return region == NULL ? GUEST_RAM_NONE : region->uaddr + (gpa - region->gpa);
}

uint64_t guest_ram_alloc(struct guest_ram *ram, uint32_t region, uint64_t bytes, uint64_t align,
                         uint64_t odd)
{
    struct guest_ram_region *from = &ram->regions[region];
    uint64_t start = ((from->used + align - 1) & ~(align - 1)) + odd;

    if (start > from->size || bytes > from->size - start) {
        return GUEST_RAM_NONE;
    }
    from->used = start + bytes;
    return from->gpa + start;
}

void guest_ram_reset(struct guest_ram *ram, uint32_t region)
{
    ram->regions[region].used = 0;
}
