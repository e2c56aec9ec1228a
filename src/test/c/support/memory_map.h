/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The mappings of a process, from its /proc/PID/smaps or a copy of that, and where they lie in a
 * core file of it.
 */
#ifndef UBIBLK_SUPPORT_MEMORY_MAP_H
#define UBIBLK_SUPPORT_MEMORY_MAP_H

#include <stdbool.h>
#include <stdint.h>

enum { MEMORY_NAME_BYTES = 128 };

struct memory_mapping {
    uint64_t start, end;
    uint64_t resident_kib;
    char permissions[8];
    char name[MEMORY_NAME_BYTES]; /* file or [heap]; empty: anonymous */
    bool locked;                  /* VmFlags lo */
};

struct memory_map {
    struct memory_mapping *mappings; /* count of them, by address, owned */
    uint32_t count;
};

/* 0 or -errno; *map needs memory_map_free in either case. */
int memory_map_read(struct memory_map *map, const char *smaps_path);
void memory_map_free(struct memory_map *map);

/* The mapping of an address, or NULL. */
const struct memory_mapping *memory_map_find(const struct memory_map *map, uint64_t address);

/* A part of a core file: the memory from address on, or no memory of the process at all. */
struct core_segment {
    uint64_t offset, byte_len;
    uint64_t address;
};

struct core_file {
    struct core_segment *segments; /* count of them, owned */
    uint32_t count;
};

/*
 * Reads the program headers of a 64-bit core file, which may have more of them than its header can
 * count. 0 or -errno; -ENOEXEC if it is no core file. *core needs core_file_free in either case.
 */
int core_file_read(struct core_file *core, const char *path);
void core_file_free(struct core_file *core);

/* The address in the process of what lies at an offset of the file; false: none (a header, the
 * registers of threads). */
bool core_file_address(const struct core_file *core, uint64_t offset, uint64_t *address);

#endif
