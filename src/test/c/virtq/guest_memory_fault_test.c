/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a table of regions does when memory runs out or the kernel does not map. */
/* wrap: malloc calloc mmap fstat */
#include "virtq/guest_memory.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool malloc_fails;
static bool calloc_fails;
static bool mmap_fails;
static bool fstat_fails;

void *__real_malloc(size_t byte_len);
void *__wrap_malloc(size_t byte_len);
void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void *__real_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);

void *__wrap_malloc(size_t byte_len)
{
    return malloc_fails ? NULL : __real_malloc(byte_len);
}

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return calloc_fails ? NULL : __real_calloc(count, byte_len);
}

void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset)
{
    if (mmap_fails) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(address, byte_len, protection, flags, fd, offset);
}

int __wrap_fstat(int fd, struct stat *status)
{
    if (fstat_fails) {
        errno = EIO;
        return -1;
    }
    return __real_fstat(fd, status);
}

static const struct guest_region_params params = {
    .gpa = 0x1000, .byte_len = 0x2000, .uaddr = 0x5000};

struct fixture {
    struct guest_memory *memory;
    int fd;
};

static struct fixture fixture;

static int setup(void **state)
{
    (void)state;
    fixture.fd = memfd_create("guest-memory-test", MFD_CLOEXEC);
    fixture.memory = guest_memory_create(NULL);
    return fixture.memory && ftruncate(fixture.fd, 0x2000) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    guest_memory_unref(fixture.memory);
    close(fixture.fd);
    return 0;
}

static int add(bool *fails, int *code)
{
    struct guest_memory *larger = NULL;
    struct error error = {0};
    *fails = true;
    int result = guest_memory_add(fixture.memory, &params, fixture.fd, &larger, &error);
    *fails = false;
    *code = error.code;
    assert_null(larger);
    return result;
}

static void has_no_table_without_memory(void **state)
{
    (void)state;
    malloc_fails = true;
    struct guest_memory *memory = guest_memory_create(NULL);
    malloc_fails = false;
    assert_null(memory);
}

static void reports_that_memory_is_short_when_a_region_is_added(void **state)
{
    (void)state;
    int code;
    assert_int_equal(-ENOMEM, add(&malloc_fails, &code));
    assert_int_equal(-ENOMEM, code);
    assert_int_equal(-ENOMEM, add(&calloc_fails, &code));
    assert_int_equal(-ENOMEM, code);
}

static void reports_a_file_that_is_not_mapped(void **state)
{
    (void)state;
    int code;
    assert_int_equal(-ENOMEM, add(&mmap_fails, &code));
    assert_int_equal(-ENOMEM, code);
    assert_int_equal(-EIO, add(&fstat_fails, &code));
    assert_int_equal(-EIO, code);
}

static void keeps_a_region_that_cannot_be_removed_for_lack_of_memory(void **state)
{
    (void)state;
    struct guest_memory *one;
    struct guest_memory *none = NULL;
    struct error error;
    assert_int_equal(0, guest_memory_add(fixture.memory, &params, fixture.fd, &one, &error));
    malloc_fails = true;
    int result = guest_memory_remove(one, &params, &none, &error);
    malloc_fails = false;
    assert_int_equal(-ENOMEM, result);
    assert_null(none);
    uint64_t contiguous;
    assert_non_null(guest_memory_at_gpa(one, params.gpa, &contiguous));
    guest_memory_unref(one);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(has_no_table_without_memory),
        TEST(reports_that_memory_is_short_when_a_region_is_added),
        TEST(reports_a_file_that_is_not_mapped),
        TEST(keeps_a_region_that_cannot_be_removed_for_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
