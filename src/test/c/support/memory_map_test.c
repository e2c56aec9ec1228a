/* SPDX-License-Identifier: AGPL-3.0-only */
/* Mappings of a process, and where they lie in a core file. */
#include "support/memory_map.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/secret.h"
#include "support/cmocka_test.h"

static void knows_which_memory_of_this_process_is_locked(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip_because("locks nothing, so it says nothing under a sanitizer");
#endif
    uint8_t *secret = secret_alloc(100, NULL);
    uint8_t *plain = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct memory_map map;
    const struct memory_mapping *mapping;

    assert_non_null(secret);
    assert_ptr_not_equal(plain, MAP_FAILED);
    plain[0] = 1;
    assert_int_equal(memory_map_read(&map, "/proc/self/smaps"), 0);
    mapping = memory_map_find(&map, (uintptr_t)secret);
    assert_non_null(mapping);
    assert_true(mapping->locked);
    assert_string_equal(mapping->name, "");
    mapping = memory_map_find(&map, (uintptr_t)plain);
    assert_non_null(mapping);
    assert_false(mapping->locked);
    assert_true(mapping->resident_kib > 0);
    assert_string_equal(mapping->permissions, "rw-p");
    assert_null(memory_map_find(&map, 0));
    memory_map_free(&map);
    munmap(plain, 4096);
    secret_free(secret);
}

static void reads_names_and_flags(void **state)
{
    (void)state;
    static const char smaps[] = "1000-3000 r-xp 00000000 fe:01 12  /lib/one two.so (deleted)\n"
                                "Rss:                   8 kB\n"
                                "VmFlags: rd ex mr mw me lo sd\n"
                                "7fff00000000-7fff00001000 ---p 00000000 00:00 0 \n"
                                "Rss:                   0 kB\n"
                                "VmFlags: mr mw me lock\n";
    char path[] = "/tmp/memory_map_test.XXXXXX";
    int fd = mkstemp(path);
    struct memory_map map;

    assert_int_equal(write(fd, smaps, strlen(smaps)), strlen(smaps));
    close(fd);
    assert_int_equal(memory_map_read(&map, path), 0);
    unlink(path);
    assert_int_equal(map.count, 2);
    assert_string_equal(map.mappings[0].name, "/lib/one two.so (deleted)");
    assert_int_equal(map.mappings[0].resident_kib, 8);
    assert_true(map.mappings[0].locked);
    assert_string_equal(map.mappings[1].name, "");
    assert_int_equal(map.mappings[1].end, UINT64_C(0x7fff00001000));
    assert_ptr_equal(memory_map_find(&map, 0x2fff), &map.mappings[0]);
    assert_null(memory_map_find(&map, 0x3000));
    memory_map_free(&map);
    assert_int_equal(memory_map_read(&map, "/nonexistent/smaps"), -ENOENT);
    memory_map_free(&map);
}

/* A file with these bytes; the caller removes it. */
static void write_file(char *path, const void *bytes, size_t byte_len)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, byte_len), byte_len);
    close(fd);
}

static void finds_the_addresses_of_a_core_file(void **state)
{
    (void)state;
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segments[3];
        uint8_t content[300];
    } file = {
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64},
                   .e_type = ET_CORE,
                   .e_phoff = sizeof(Elf64_Ehdr),
                   .e_phnum = 3},
        .segments = {{.p_type = PT_NOTE, .p_offset = 1000, .p_filesz = 50},
                     {.p_type = PT_LOAD, .p_offset = 1050, .p_filesz = 100, .p_vaddr = 1 << 20},
                     {.p_type = PT_LOAD, .p_offset = 1150, .p_vaddr = 1 << 21}}};
    char path[] = "/tmp/memory_map_test.XXXXXX";
    struct core_file core;
    uint64_t address;

    write_file(path, &file, sizeof(file));
    assert_int_equal(core_file_read(&core, path), 0);
    unlink(path);
    assert_int_equal(core.count, 1);
    assert_true(core_file_address(&core, 1050, &address));
    assert_int_equal(address, 1 << 20);
    assert_true(core_file_address(&core, 1149, &address));
    assert_int_equal(address, (1 << 20) + 99);
    assert_false(core_file_address(&core, 1049, &address));
    assert_false(core_file_address(&core, 1150, &address));
    core_file_free(&core);
}

static void refuses_what_is_no_core_file(void **state)
{
    (void)state;
    uint8_t zeros[sizeof(Elf64_Ehdr)] = {0};
    char path[] = "/tmp/memory_map_test.XXXXXX", short_path[] = "/tmp/memory_map_test.XXXXXX";
    struct core_file core;

    write_file(path, zeros, sizeof(zeros));
    assert_int_equal(core_file_read(&core, path), -ENOEXEC);
    core_file_free(&core);
    unlink(path);
    write_file(short_path, zeros, 3);
    assert_int_equal(core_file_read(&core, short_path), -ENOEXEC);
    core_file_free(&core);
    unlink(short_path);
    assert_int_equal(core_file_read(&core, "/nonexistent/core"), -ENOENT);
    core_file_free(&core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_which_memory_of_this_process_is_locked),
        cmocka_unit_test(reads_names_and_flags),
        cmocka_unit_test(finds_the_addresses_of_a_core_file),
        cmocka_unit_test(refuses_what_is_no_core_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
