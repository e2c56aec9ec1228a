/* SPDX-License-Identifier: AGPL-3.0-only */
/* Tables of regions over memfds: what is refused, how addresses translate, when maps go. */
#include "virtq/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/cmocka_test.h"

enum { FILE_BYTES = 0x10000 };

#define GPA UINT64_C(0x40000000)
#define UADDR UINT64_C(0x7f5500000000)

static int make_file(off_t byte_len)
{
    int fd = memfd_create("guest-memory-test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(0, ftruncate(fd, byte_len));
    return fd;
}

static struct guest_region_params region(uint64_t gpa, uint64_t byte_len, uint64_t offset)
{
    return (struct guest_region_params){
        .gpa = gpa, .byte_len = byte_len, .uaddr = gpa - GPA + UADDR, .mmap_offset = offset};
}

/* The table with one more region; takes the one before. */
static struct guest_memory *with(struct guest_memory *memory, struct guest_region_params params,
                                 int fd)
{
    struct guest_memory *larger;
    struct error error;
    assert_int_equal(0, guest_memory_add(memory, &params, fd, &larger, &error));
    guest_memory_unref(memory);
    return larger;
}

static void assert_refused(const struct guest_memory *memory, struct guest_region_params params,
                           int fd, int code)
{
    struct guest_memory *larger = NULL;
    struct error error = {0};
    assert_int_equal(code, guest_memory_add(memory, &params, fd, &larger, &error));
    assert_int_equal(code, error.code);
    assert_true(strlen(error.message) > 0);
    assert_null(larger);
    assert_int_equal(code, guest_memory_add(memory, &params, fd, &larger, NULL));
}

/* How often a file is mapped in this process. */
static uint32_t maps_of(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    char line[512];
    uint32_t count = 0;
    while (fgets(line, sizeof(line), maps)) {
        count += strstr(line, name) != NULL;
    }
    fclose(maps);
    return count;
}

static void translates_guest_physical_addresses(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    struct guest_memory *memory = with(guest_memory_create(NULL), region(GPA, FILE_BYTES, 0), fd);
    uint64_t contiguous = 0;
    uint8_t *start = guest_memory_at_gpa(memory, GPA, &contiguous);
    assert_non_null(start);
    assert_int_equal(FILE_BYTES, contiguous);
    assert_ptr_equal(start + 77, guest_memory_at_gpa(memory, GPA + 77, &contiguous));
    assert_int_equal(FILE_BYTES - 77, contiguous);
    assert_ptr_equal(start + FILE_BYTES - 1,
                     guest_memory_at_gpa(memory, GPA + FILE_BYTES - 1, &contiguous));
    assert_int_equal(1, contiguous);
    assert_null(guest_memory_at_gpa(memory, GPA - 1, &contiguous));
    assert_null(guest_memory_at_gpa(memory, GPA + FILE_BYTES, &contiguous));
    assert_null(guest_memory_at_gpa(memory, 0, &contiguous));
    assert_null(guest_memory_at_gpa(memory, UINT64_MAX, &contiguous));
    guest_memory_unref(memory);
    close(fd);
}

static void translates_front_end_addresses_within_one_region(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    struct guest_memory *memory = with(with(guest_memory_create(NULL), region(GPA, 0x1000, 0), fd),
                                       region(GPA + 0x1000, 0x1000, 0x1000), fd);
    uint64_t contiguous;
    assert_ptr_equal(guest_memory_at_gpa(memory, GPA, &contiguous),
                     guest_memory_at_uaddr(memory, UADDR, 0x1000));
    assert_ptr_equal(guest_memory_at_gpa(memory, GPA + 0x1fff, &contiguous),
                     guest_memory_at_uaddr(memory, UADDR + 0x1fff, 1));
    assert_null(guest_memory_at_uaddr(memory, UADDR, 0x1001)); /* on into the next region */
    assert_null(guest_memory_at_uaddr(memory, UADDR + 0xfff, 2));
    assert_null(guest_memory_at_uaddr(memory, UADDR + 0x2000, 1));
    assert_null(guest_memory_at_uaddr(memory, UADDR - 1, 1));
    assert_null(guest_memory_at_uaddr(memory, UADDR + 1, UINT64_MAX));
    assert_null(guest_memory_at_uaddr(memory, GPA, 1)); /* another kind of address */
    guest_memory_unref(memory);
    close(fd);
}

static void shows_the_bytes_of_the_file_at_odd_offsets_and_sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset;
        uint64_t byte_len;
    } places[] = {{0, 1}, {1, 1}, {0xfff, 2}, {0x1001, 0x2ffe}, {FILE_BYTES - 1, 1}, {7, 0xfff0}};
    int fd = make_file(FILE_BYTES);
    uint8_t *bytes = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(bytes != MAP_FAILED);
    for (uint32_t i = 0; i < FILE_BYTES; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 256);
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        uint64_t offset = places[i].offset;
        uint64_t byte_len = places[i].byte_len;
        struct guest_memory *memory =
            with(guest_memory_create(NULL), region(GPA + 13, byte_len, offset), fd);
        uint64_t contiguous;
        uint8_t *host = guest_memory_at_gpa(memory, GPA + 13, &contiguous);
        assert_int_equal(byte_len, contiguous);
        assert_memory_equal(bytes + offset, host, byte_len);
        host[byte_len - 1] ^= 0xff; /* shared, not a copy */
        assert_int_equal(bytes[offset + byte_len - 1], host[byte_len - 1]);
        guest_memory_unref(memory);
    }
    munmap(bytes, FILE_BYTES);
    close(fd);
}

static void accepts_a_file_that_is_no_multiple_of_a_page(void **state)
{
    (void)state;
    int fd = make_file(0x1234);
    struct guest_memory *memory = with(guest_memory_create(NULL), region(GPA, 0x1234, 0), fd);
    uint64_t contiguous;
    uint8_t *host = guest_memory_at_gpa(memory, GPA, &contiguous);
    host[0x1233] = 1;
    assert_null(guest_memory_at_gpa(memory, GPA + 0x1234, &contiguous));
    assert_refused(memory, region(GPA + 0x10000, 0x1235, 0), fd, -EINVAL);
    guest_memory_unref(memory);
    close(fd);
}

static void refuses_a_range_beyond_the_end_of_the_file(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    struct guest_memory *memory = guest_memory_create(NULL);
    assert_refused(memory, region(GPA, FILE_BYTES + 1, 0), fd, -EINVAL);
    assert_refused(memory, region(GPA, FILE_BYTES, 1), fd, -EINVAL);
    assert_refused(memory, region(GPA, 1, FILE_BYTES), fd, -EINVAL);
    assert_refused(memory, region(GPA, 1, FILE_BYTES + 0x1000), fd, -EINVAL);
    guest_memory_unref(memory);
    close(fd);
}

static void refuses_empty_and_wrapping_ranges(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    struct guest_memory *memory = guest_memory_create(NULL);
    assert_refused(memory, region(GPA, 0, 0), fd, -EINVAL);
    struct guest_region_params wraps = {.gpa = UINT64_MAX - 0xffe, .byte_len = 0x1000, .uaddr = 0};
    assert_refused(memory, wraps, fd, -EINVAL);
    wraps = (struct guest_region_params){.gpa = 0, .byte_len = 0x1000, .uaddr = UINT64_MAX - 0xffe};
    assert_refused(memory, wraps, fd, -EINVAL);
    wraps = (struct guest_region_params){.byte_len = 0x1000, .mmap_offset = UINT64_MAX - 0xffe};
    assert_refused(memory, wraps, fd, -EINVAL);
    wraps = (struct guest_region_params){.byte_len = 0x1000, .mmap_offset = INT64_MAX - 0xffe};
    assert_refused(memory, wraps, fd, -EINVAL);
    wraps = (struct guest_region_params){.byte_len = UINT64_MAX};
    assert_refused(memory, wraps, fd, -EINVAL);
    guest_memory_unref(memory);
    close(fd);
}

static void accepts_the_topmost_addresses(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    const struct guest_region_params top = {
        .gpa = UINT64_MAX - 0x1000, .byte_len = 0x1000, .uaddr = UINT64_MAX - 0x1000};
    struct guest_memory *memory = with(guest_memory_create(NULL), top, fd);
    uint64_t contiguous;
    assert_non_null(guest_memory_at_gpa(memory, UINT64_MAX - 1, &contiguous));
    assert_int_equal(1, contiguous);
    assert_null(guest_memory_at_gpa(memory, UINT64_MAX, &contiguous));
    assert_non_null(guest_memory_at_uaddr(memory, UINT64_MAX - 1, 1));
    guest_memory_unref(memory);
    close(fd);
}

static void refuses_overlapping_guest_addresses(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    struct guest_memory *memory =
        with(guest_memory_create(NULL), region(GPA + 0x4000, 0x4000, 0), fd);
    assert_refused(memory, region(GPA + 0x4000, 0x4000, 0), fd, -EEXIST);
    assert_refused(memory, region(GPA, 0x4001, 0), fd, -EEXIST);
    assert_refused(memory, region(GPA + 0x7fff, 1, 0), fd, -EEXIST);
    assert_refused(memory, region(GPA, 0xc000, 0), fd, -EEXIST);
    assert_refused(memory, region(GPA + 0x5000, 0x1000, 0), fd, -EEXIST);
    memory = with(memory, region(GPA, 0x4000, 0), fd); /* adjacent on both sides */
    memory = with(memory, region(GPA + 0x8000, 0x4000, 0), fd);
    guest_memory_unref(memory);
    close(fd);
}

static void refuses_a_region_too_many(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    struct guest_memory *memory = guest_memory_create(NULL);
    for (uint64_t i = 0; i < GUEST_MEMORY_REGIONS_MAX; i++) {
        memory = with(memory, region(GPA + 0x1000 * i, 0x1000, 0), fd);
    }
    assert_refused(memory, region(GPA - 0x1000, 0x1000, 0), fd, -ENOSPC);
    uint64_t contiguous;
    for (uint64_t i = 0; i < GUEST_MEMORY_REGIONS_MAX; i++) {
        assert_non_null(guest_memory_at_gpa(memory, GPA + 0x1000 * i, &contiguous));
    }
    guest_memory_unref(memory);
    close(fd);
}

static void finds_addresses_whatever_the_order_of_regions(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    static const uint64_t sizes[] = {0x1000, 0x4000, 0x2000, 0x4000, 0x800};
    struct guest_memory *memory = guest_memory_create(NULL);
    for (uint64_t i = 0; i < 5; i++) {
        memory = with(memory, region(GPA + i * 0x10000, sizes[i], 0), fd);
    }
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t contiguous;
        assert_non_null(guest_memory_at_gpa(memory, GPA + i * 0x10000, &contiguous));
        assert_int_equal(sizes[i], contiguous);
        assert_null(guest_memory_at_gpa(memory, GPA + i * 0x10000 + sizes[i], &contiguous));
    }
    guest_memory_unref(memory);
    close(fd);
}

static void reports_a_descriptor_that_cannot_be_mapped(void **state)
{
    (void)state;
    struct guest_memory *memory = guest_memory_create(NULL);
    assert_refused(memory, region(GPA, 0x1000, 0), -1, -EBADF);
    int pipes[2];
    assert_int_equal(0, pipe2(pipes, O_CLOEXEC));
    assert_refused(memory, region(GPA, 0x1000, 0), pipes[0], -EINVAL); /* its size is 0 */
    close(pipes[0]);
    close(pipes[1]);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* not writable */
    assert_true(fd >= 0);
    assert_refused(memory, region(GPA, 0x1000, 0), fd, -EACCES);
    close(fd);
    guest_memory_unref(memory);
}

static void removes_only_the_region_that_matches_in_all_three(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    const struct guest_region_params first = region(GPA, 0x2000, 0);
    const struct guest_region_params second = region(GPA + 0x2000, 0x2000, 0x2000);
    struct guest_memory *memory = with(with(guest_memory_create(NULL), first, fd), second, fd);
    struct guest_memory *smaller = NULL;
    struct error error;
    struct guest_region_params wrong = first;
    wrong.gpa++;
    assert_int_equal(-ENOENT, guest_memory_remove(memory, &wrong, &smaller, &error));
    wrong = first;
    wrong.uaddr++;
    assert_int_equal(-ENOENT, guest_memory_remove(memory, &wrong, &smaller, &error));
    wrong = first;
    wrong.byte_len--;
    assert_int_equal(-ENOENT, guest_memory_remove(memory, &wrong, &smaller, &error));
    assert_int_equal(-ENOENT, error.code);
    assert_null(smaller);
    assert_int_equal(0, guest_memory_remove(memory, &first, &smaller, &error));
    uint64_t contiguous;
    assert_null(guest_memory_at_gpa(smaller, GPA, &contiguous));
    assert_non_null(guest_memory_at_gpa(smaller, GPA + 0x2000, &contiguous));
    assert_non_null(guest_memory_at_gpa(memory, GPA, &contiguous)); /* the old table is as it was */
    guest_memory_unref(memory);
    guest_memory_unref(smaller);
    close(fd);
}

static void keeps_the_table_as_it_was_when_one_is_added(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    struct guest_memory *before = with(guest_memory_create(NULL), region(GPA, 0x1000, 0), fd);
    struct guest_memory *after;
    const struct guest_region_params more = region(GPA + 0x1000, 0x1000, 0);
    assert_int_equal(0, guest_memory_add(before, &more, fd, &after, NULL));
    uint64_t contiguous;
    assert_null(guest_memory_at_gpa(before, GPA + 0x1000, &contiguous));
    assert_ptr_equal(guest_memory_at_gpa(before, GPA, &contiguous),
                     guest_memory_at_gpa(after, GPA, &contiguous)); /* one map for both */
    guest_memory_unref(before);
    guest_memory_unref(after);
    close(fd);
}

static void unmaps_a_region_only_with_the_last_table_that_holds_it(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    const struct guest_region_params params = region(GPA, FILE_BYTES, 0);
    struct guest_memory *memory = with(guest_memory_create(NULL), params, fd);
    close(fd);
    assert_int_equal(1, maps_of("guest-memory-test"));
    struct guest_memory *empty;
    assert_int_equal(0, guest_memory_remove(memory, &params, &empty, NULL));
    assert_ptr_equal(memory, guest_memory_ref(memory));
    guest_memory_unref(memory);
    assert_int_equal(1, maps_of("guest-memory-test"));
    uint64_t contiguous;
    memset(guest_memory_at_gpa(memory, GPA, &contiguous), 1, FILE_BYTES);
    guest_memory_unref(memory);
    assert_int_equal(0, maps_of("guest-memory-test"));
    guest_memory_unref(empty);
}

static void does_not_keep_what_it_refused(void **state)
{
    (void)state;
    int fd = make_file(FILE_BYTES);
    struct guest_memory *memory = with(guest_memory_create(NULL), region(GPA, 0x1000, 0), fd);
    assert_refused(memory, region(GPA, 0x1000, 0), fd, -EEXIST);
    assert_int_equal(1, maps_of("guest-memory-test"));
    guest_memory_unref(memory);
    assert_int_equal(0, maps_of("guest-memory-test"));
    guest_memory_unref(NULL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(translates_guest_physical_addresses),
        cmocka_unit_test(translates_front_end_addresses_within_one_region),
        cmocka_unit_test(shows_the_bytes_of_the_file_at_odd_offsets_and_sizes),
        cmocka_unit_test(accepts_a_file_that_is_no_multiple_of_a_page),
        cmocka_unit_test(refuses_a_range_beyond_the_end_of_the_file),
        cmocka_unit_test(refuses_empty_and_wrapping_ranges),
        cmocka_unit_test(accepts_the_topmost_addresses),
        cmocka_unit_test(refuses_overlapping_guest_addresses),
        cmocka_unit_test(refuses_a_region_too_many),
        cmocka_unit_test(finds_addresses_whatever_the_order_of_regions),
        cmocka_unit_test(reports_a_descriptor_that_cannot_be_mapped),
        cmocka_unit_test(removes_only_the_region_that_matches_in_all_three),
        cmocka_unit_test(keeps_the_table_as_it_was_when_one_is_added),
        cmocka_unit_test(unmaps_a_region_only_with_the_last_table_that_holds_it),
        cmocka_unit_test(does_not_keep_what_it_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
