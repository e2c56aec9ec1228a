/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Says where keys lie: in the memory of a running process, in a core file, in any other file.
 *
 *   secret_scan [OPTION...] SECRETS pid PID            all of its memory, whoever may dump it
 *   secret_scan [OPTION...] SECRETS core FILE SMAPS    SMAPS: a copy of the process's smaps
 *   secret_scan [OPTION...] SECRETS files FILE...      as bytes, which covers texts of every kind
 *
 *   --registers         a thread that encrypts may have keys in its registers (in core files)
 *   --schedules=NAME    complete schedules may be in mappings of that name, and must be in one
 *   --locked            there must be a schedule in locked memory, or the scan proves nothing
 *   --texts=N           so many copies of keys as text may be in unlocked memory (0)
 *
 * SECRETS has lines "key NAME BASE64" and "wrapped NAME BASE64"; keys are never arguments, which
 * everybody can see. Wrapped keys may be in memory and in no file. Prints every place and ends with
 * a line of counts. Exit 0: nothing is where it must not be; 1: something is; 2: cannot say.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/memory_map.h"
#include "support/secret_forms.h"

enum { CHUNK_BYTES = 1 << 20, PAGE_BYTES = 4096, EXIT_UNKNOWN = 2 };

enum place { LOCKED, ALLOWED, UNLOCKED, REGISTERS, IN_FILE, PLACES };

static const char *const place_names[PLACES] = {"locked memory", "memory that may hold it",
                                                "unlocked memory", "registers", "a file"};

struct options {
    const char *schedules;
    bool registers, locked;
    unsigned long texts;
};

struct counts {
    uint32_t binary[PLACES], text[PLACES], wrapped[PLACES];
};

struct scan {
    struct options options;
    struct secret_forms forms;
    struct memory_map map;
    struct core_file core;
    bool has_memory, is_core;
    uint64_t searched, unreadable;
    struct counts counts;
    uint8_t chunk[CHUNK_BYTES];
};

static int complain(const char *what, int error)
{
    fprintf(stderr, "secret_scan: %s: %s\n", what, strerror(-error));
    return EXIT_UNKNOWN;
}

/* --- searching -------------------------------------------------------------------------------- */

static void feed(struct scan *scan, uint64_t address, size_t byte_len)
{
    secret_forms_search(&scan->forms, address, scan->chunk, byte_len);
    scan->searched += byte_len;
}

static int search_file(struct scan *scan, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t at = 0;
    ssize_t got;

    if (fd < 0) {
        return -errno;
    }
    while ((got = read(fd, scan->chunk, sizeof(scan->chunk))) > 0) {
        feed(scan, at, (size_t)got);
        at += (uint64_t)got;
    }
    got = got < 0 ? -errno : 0;
    close(fd);
    return (int)got;
}

/* Page by page where a chunk cannot be read as a whole. */
static void search_pages(struct scan *scan, int memory, uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end; at += PAGE_BYTES) {
        ssize_t got = pread(memory, scan->chunk, PAGE_BYTES, (off_t)at);
        if (got > 0) {
            feed(scan, at, (size_t)got);
        } else {
            scan->unreadable += PAGE_BYTES;
        }
    }
}

static void search_mapping(struct scan *scan, int memory, const struct memory_mapping *mapping)
{
    for (uint64_t at = mapping->start; at < mapping->end; at += CHUNK_BYTES) {
        uint64_t left = mapping->end - at;
        size_t wanted = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
        ssize_t got = pread(memory, scan->chunk, wanted, (off_t)at);
        if (got == (ssize_t)wanted) {
            feed(scan, at, wanted);
        } else {
            search_pages(scan, memory, at, at + wanted);
        }
    }
}

/* What has no page in memory has nothing in it; a swapped page counts as read, since reading
 * brings it back. */
static int search_process(struct scan *scan, const char *pid)
{
    char path[64];
    int memory, result;

    snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
    result = memory_map_read(&scan->map, path);
    if (result < 0) {
        return result;
    }
    snprintf(path, sizeof(path), "/proc/%s/mem", pid);
    memory = open(path, O_RDONLY | O_CLOEXEC);
    if (memory < 0) {
        return -errno;
    }
    for (uint32_t i = 0; i < scan->map.count; i++) {
        const struct memory_mapping *mapping = &scan->map.mappings[i];
        if (mapping->resident_kib > 0) {
            search_mapping(scan, memory, mapping);
        }
    }
    close(memory);
    scan->has_memory = true;
    return scan->searched == 0 ? -ENODATA : 0;
}

static int search_core(struct scan *scan, const char *path, const char *smaps)
{
    int result = memory_map_read(&scan->map, smaps);

    if (result == 0) {
        result = core_file_read(&scan->core, path);
    }
    scan->has_memory = scan->is_core = true;
    return result == 0 ? search_file(scan, path) : result;
}

/* --- reporting -------------------------------------------------------------------------------- */

static bool may_hold(const struct scan *scan, const struct secret_finding *finding,
                     const struct memory_mapping *mapping)
{
    return scan->options.schedules != NULL && mapping != NULL &&
           scan->forms.forms[finding->form].kind == SECRET_FORM_BINARY &&
           strcmp(mapping->name, scan->options.schedules) == 0 &&
           !secret_finding_is_raw_key(&scan->forms, finding);
}

static enum place place_of(const struct scan *scan, const struct secret_finding *finding,
                           const struct memory_mapping **mapping, uint64_t *address)
{
    *address = finding->address;
    *mapping = NULL;
    if (!scan->has_memory) {
        return IN_FILE;
    }
    if (scan->is_core && !core_file_address(&scan->core, finding->address, address)) {
        return REGISTERS;
    }
    *mapping = memory_map_find(&scan->map, *address);
    if (*mapping != NULL && (*mapping)->locked) {
        return LOCKED;
    }
    return may_hold(scan, finding, *mapping) ? ALLOWED : UNLOCKED;
}

static void count_one(struct counts *counts, enum secret_form_kind kind, enum place place)
{
    uint32_t *of_kind = kind == SECRET_FORM_BINARY ? counts->binary
                        : kind == SECRET_FORM_TEXT ? counts->text
                                                   : counts->wrapped;

    of_kind[place]++;
}

static void report_one(struct scan *scan, const struct secret_finding *finding)
{
    const struct secret_form *form = &scan->forms.forms[finding->form];
    const struct memory_mapping *mapping;
    uint64_t address;
    enum place place = place_of(scan, finding, &mapping, &address);

    count_one(&scan->counts, form->kind, place);
    printf("  %s: %u of %u pieces, in %s at %" PRIx64, form->name, finding->pieces, form->pieces,
           place_names[place], address);
    if (mapping != NULL) {
        printf(" (%s %s, %" PRIu64 " KiB into it)", mapping->permissions,
               mapping->name[0] == '\0' ? "anonymous" : mapping->name,
               (address - mapping->start) / 1024);
    }
    printf("%s\n",
           secret_finding_is_raw_key(&scan->forms, finding) && form->kind == SECRET_FORM_BINARY
               ? ": the raw key"
               : "");
}

static bool is_clean(const struct scan *scan)
{
    const struct options *options = &scan->options;
    const struct counts *counts = &scan->counts;

    return counts->binary[UNLOCKED] == 0 && counts->text[UNLOCKED] <= options->texts &&
           (options->registers || counts->binary[REGISTERS] == 0) && counts->text[REGISTERS] == 0 &&
           counts->binary[IN_FILE] == 0 && counts->text[IN_FILE] == 0 &&
           counts->wrapped[IN_FILE] == 0;
}

static int report(struct scan *scan)
{
    const struct counts *counts = &scan->counts;

    for (uint32_t i = 0; i < scan->forms.finding_count; i++) {
        report_one(scan, &scan->forms.findings[i]);
    }
    printf("  %" PRIu64 " KiB searched, %" PRIu64 " unreadable; keys and schedules: %u locked, "
           "%u where allowed, %u elsewhere, %u in registers, %u in files; texts: %u in memory, "
           "%u in files; wrapped: %u in memory, %u in files\n",
           scan->searched / 1024, scan->unreadable / 1024, counts->binary[LOCKED],
           counts->binary[ALLOWED], counts->binary[UNLOCKED], counts->binary[REGISTERS],
           counts->binary[IN_FILE], counts->text[LOCKED] + counts->text[UNLOCKED],
           counts->text[IN_FILE], counts->wrapped[LOCKED] + counts->wrapped[UNLOCKED],
           counts->wrapped[IN_FILE]);
    if (scan->options.locked && counts->binary[LOCKED] == 0) {
        fprintf(stderr, "secret_scan: no schedule in locked memory: the scan proves nothing\n");
        return EXIT_UNKNOWN;
    }
    if (scan->options.schedules != NULL && counts->binary[ALLOWED] == 0) {
        fprintf(stderr, "secret_scan: no schedule in %s: the exception is not needed\n",
                scan->options.schedules);
        return EXIT_UNKNOWN;
    }
    return is_clean(scan) ? 0 : 1;
}

/* --- arguments -------------------------------------------------------------------------------- */

static bool take_option(struct options *options, const char *argument)
{
    if (strcmp(argument, "--registers") == 0) {
        options->registers = true;
    } else if (strcmp(argument, "--locked") == 0) {
        options->locked = true;
    } else if (strncmp(argument, "--schedules=", 12) == 0) {
        options->schedules = argument + 12;
    } else if (strncmp(argument, "--texts=", 8) == 0) {
        options->texts = strtoul(argument + 8, NULL, 10);
    } else {
        return false;
    }
    return true;
}

static int search(struct scan *scan, int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    int result = -EINVAL;

    if (strcmp(what, "pid") == 0 && argc == 3) {
        result = search_process(scan, argv[2]);
    } else if (strcmp(what, "core") == 0 && argc == 4) {
        result = search_core(scan, argv[2], argv[3]);
    } else if (strcmp(what, "files") == 0) {
        result = 0;
        for (int i = 2; i < argc && result == 0; i++) {
            result = search_file(scan, argv[i]);
        }
    }
    return result;
}

int main(int argc, char **argv)
{
    static struct scan scan;
    int result;

    for (; argc > 1 && take_option(&scan.options, argv[1]); argc--) {
        argv++;
    }
    if (argc < 4) {
        fprintf(stderr, "usage: secret_scan [OPTION...] SECRETS pid PID | core FILE SMAPS | "
                        "files FILE...\n");
        return EXIT_UNKNOWN;
    }
    result = secret_forms_init(&scan.forms);
    if (result == 0) {
        result = secret_forms_read(&scan.forms, argv[1]);
    }
    if (result == 0) {
        result = search(&scan, argc - 1, argv + 1);
    }
    if (result == 0) {
        result = secret_forms_finish(&scan.forms);
    }
    result = result < 0 ? complain(argv[2], result) : report(&scan);
    secret_forms_free(&scan.forms);
    memory_map_free(&scan.map);
    core_file_free(&scan.core);
    return result;
}
