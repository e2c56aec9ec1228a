/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A guest's memory as a front end sees it: regions on memfds, each with a guest physical address
 * (gpa), an address in the front end's own space (uaddr) and an offset in its file, all chosen by
 * the test.
 *
 * uaddr is deliberately neither the gpa nor a pointer of this process, so that a back end that
 * confuses the three address spaces is caught. Rings are named to a back end by uaddr, buffers by
 * gpa. Used by one thread at a time.
 */
#ifndef UBIBLK_SUPPORT_GUEST_RAM_H
#define UBIBLK_SUPPORT_GUEST_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUEST_RAM_REGIONS_MAX = 32 };

/* What guest_ram_alloc returns when nothing is left. */
#define GUEST_RAM_NONE UINT64_MAX

/* uaddr = gpa + this, unless a spec says otherwise. */
#define GUEST_RAM_UADDR_BIAS UINT64_C(0x5a0000000000)

struct guest_ram_spec {
    uint64_t gpa;         /* multiple of 4096 */
    uint64_t size;        /* need not be a multiple of a page */
    uint64_t file_offset; /* of any alignment, which host addresses then share */
    int file_of;          /* 0: a memfd of its own; n: the memfd of region n - 1 */
    bool sealed;          /* the memfd cannot shrink */
    bool identity;        /* uaddr is the gpa */
};

struct guest_ram_region {
    uint64_t gpa, size, uaddr, file_offset;
    int fd;
    uint8_t *host;
    void *mapping; /* of whole pages, host lies in the first */
    size_t mapping_bytes;
    uint64_t used; /* bytes handed out by guest_ram_alloc */
};

struct guest_ram {
    struct guest_ram_region regions[GUEST_RAM_REGIONS_MAX];
    uint32_t region_count;
};

/* Makes the regions. 0 or -errno (nothing is left behind then). */
int guest_ram_init(struct guest_ram *ram, const struct guest_ram_spec *specs, uint32_t count);

/* Adds one region to a live memory; its index is region_count - 1 afterwards. 0 or -errno. */
int guest_ram_add(struct guest_ram *ram, const struct guest_ram_spec *spec);

void guest_ram_deinit(struct guest_ram *ram);

/* The host view of [gpa, gpa + len), or NULL unless one region holds all of it. */
void *guest_ram_host(const struct guest_ram *ram, uint64_t gpa, uint64_t len);

/* gpa of an address inside a region. */
uint64_t guest_ram_uaddr(const struct guest_ram *ram, uint64_t gpa);

/*
 * Takes bytes of a region for good, at a multiple of align (a power of two) plus odd.
 * Returns the gpa or GUEST_RAM_NONE.
 */
uint64_t guest_ram_alloc(struct guest_ram *ram, uint32_t region, uint64_t bytes, uint64_t align,
                         uint64_t odd);

/* Gives all that guest_ram_alloc took of a region back. */
void guest_ram_reset(struct guest_ram *ram, uint32_t region);

#endif
