/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a pool does when the kernel gives it less than it asked for. */
/* wrap: calloc mmap mlock */
#include "mem/buffer_pool.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

static bool calloc_fails;
static bool mmap_fails;
static bool mlock_fails;

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void *__real_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
int __wrap_mlock(const void *address, size_t byte_len);

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

int __wrap_mlock(const void *address, size_t byte_len)
{
    (void)address;
    (void)byte_len;
    if (mlock_fails) {
        errno = ENOMEM;
        return -1;
    }
    return 0;
}

static void reports_that_memory_is_short(void **state)
{
    (void)state;
    struct buffer_pool *pool;
    struct error error;
    calloc_fails = true;
    assert_int_equal(-ENOMEM, buffer_pool_create(1 << 20, NULL, &pool, &error));
    calloc_fails = false;
    mmap_fails = true;
    assert_int_equal(-ENOMEM, buffer_pool_create(1 << 20, NULL, &pool, &error));
    mmap_fails = false;
    assert_non_null(strstr(error.message, "1048576"));
}

static void works_with_one_warning_when_memory_cannot_be_locked(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_WARN, 8);
    struct log_record record;
    struct buffer_pool *pool;
    struct error error;
    mlock_fails = true;
    assert_int_equal(0, buffer_pool_create(1 << 20, log, &pool, &error));
    mlock_fails = false;
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_int_equal(LOG_WARN, record.level);
    assert_non_null(strstr(record.message, "RLIMIT_MEMLOCK"));
    assert_int_equal(0, log_wait(log, &record, 0));
    struct bounce_buffer *buffer = buffer_pool_take(pool, 4096);
    memset(buffer->bytes, 1, buffer->byte_len);
    buffer_pool_give(pool, buffer);
    buffer_pool_destroy(pool);
    log_destroy(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_that_memory_is_short),
        cmocka_unit_test(works_with_one_warning_when_memory_cannot_be_locked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
