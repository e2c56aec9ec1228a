/* SPDX-License-Identifier: AGPL-3.0-only */
/* See proc(5) and elf(5). */
#include "support/memory_map.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- mappings --------------------------------------------------------------------------------- */

/* A line that begins a mapping: its addresses, permissions, and the name behind the inode. */
static bool header_parse(const char *line, struct memory_mapping *mapping)
{
    int name_at = 0;

    *mapping = (struct memory_mapping){.start = 0};
    if (sscanf(line, "%lx-%lx %7s %*x %*x:%*x %*u %n", &mapping->start, &mapping->end,
               mapping->permissions, &name_at) != 3 ||
        name_at == 0) {
        return false;
    }
    snprintf(mapping->name, sizeof(mapping->name), "%.*s", (int)strcspn(line + name_at, "\n"),
             line + name_at);
    return true;
}

static int mapping_append(struct memory_map *map, const struct memory_mapping *mapping)
{
    struct memory_mapping *mappings = map->mappings;

    /* Doubled at every power of two. */
    if ((map->count & (map->count - 1)) == 0) {
        size_t capacity = map->count == 0 ? 1 : 2 * (size_t)map->count;
        mappings = realloc(mappings, capacity * sizeof(*mappings));
        if (mappings == NULL) {
            return -ENOMEM;
        }
        map->mappings = mappings;
    }
    mappings[map->count++] = *mapping;
    return 0;
}

static int line_take(struct memory_map *map, const char *line)
{
    struct memory_mapping mapping;

    if (header_parse(line, &mapping)) {
        return mapping_append(map, &mapping);
    }
    if (map->count == 0) {
        return -EBADMSG;
    }
    sscanf(line, "Rss: %lu kB", &map->mappings[map->count - 1].resident_kib);
    if (strncmp(line, "VmFlags:", 8) == 0) {
        map->mappings[map->count - 1].locked = strstr(line, " lo") != NULL;
    }
    return 0;
}

int memory_map_read(struct memory_map *map, const char *smaps_path)
{
    char line[4096 + 256];
    FILE *smaps;
    int result = 0;

    *map = (struct memory_map){.count = 0};
    smaps = fopen(smaps_path, "re");
    if (smaps == NULL) {
        return -errno;
    }
    while (result == 0 && fgets(line, sizeof(line), smaps) != NULL) {
        result = line_take(map, line);
    }
    fclose(smaps);
    return result;
}

void memory_map_free(struct memory_map *map)
{
    free(map->mappings);
    *map = (struct memory_map){.count = 0};
}

const struct memory_mapping *memory_map_find(const struct memory_map *map, uint64_t address)
{
    for (uint32_t i = 0; i < map->count; i++) {
        if (address >= map->mappings[i].start && address < map->mappings[i].end) {
            return &map->mappings[i];
        }
    }
    return NULL;
}

/* --- core files ------------------------------------------------------------------------------- */

static int read_at(int fd, void *bytes, size_t byte_len, uint64_t offset)
{
    ssize_t got = pread(fd, bytes, byte_len, (off_t)offset);

    return got < 0 ? -errno : (size_t)got == byte_len ? 0 : -ENOEXEC;
}

/* How many program headers there are: from 65535 on, the first section header knows. */
static int count_headers(int fd, const Elf64_Ehdr *header, uint32_t *count)
{
    Elf64_Shdr section;
    int result = 0;

    *count = header->e_phnum;
    if (header->e_phnum == PN_XNUM) {
        result = read_at(fd, &section, sizeof(section), header->e_shoff);
        *count = section.sh_info;
    }
    return result;
}

static int segments_read(struct core_file *core, int fd)
{
    Elf64_Ehdr header;
    uint32_t count;
    int result = read_at(fd, &header, sizeof(header), 0);

    if (result < 0 || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_CORE) {
        return result < 0 ? result : -ENOEXEC;
    }
    result = count_headers(fd, &header, &count);
    if (result < 0) {
        return result;
    }
    core->segments = calloc(count == 0 ? 1 : count, sizeof(*core->segments));
    if (core->segments == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        Elf64_Phdr segment;
        result = read_at(fd, &segment, sizeof(segment), header.e_phoff + i * sizeof(segment));
        if (result < 0) {
            return result;
        }
        if (segment.p_type == PT_LOAD && segment.p_filesz > 0) {
            core->segments[core->count++] =
                (struct core_segment){segment.p_offset, segment.p_filesz, segment.p_vaddr};
        }
    }
    return 0;
}

int core_file_read(struct core_file *core, const char *path)
{
    int fd, result;

    *core = (struct core_file){.count = 0};
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    result = segments_read(core, fd);
    close(fd);
    return result;
}

void core_file_free(struct core_file *core)
{
    free(core->segments);
    *core = (struct core_file){.count = 0};
}

bool core_file_address(const struct core_file *core, uint64_t offset, uint64_t *address)
{
    for (uint32_t i = 0; i < core->count; i++) {
        const struct core_segment *segment = &core->segments[i];
        if (offset >= segment->offset && offset - segment->offset < segment->byte_len) {
            *address = segment->address + (offset - segment->offset);
            return true;
        }
    }
    return false;
}
