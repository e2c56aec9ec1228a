/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: mmap mprotect madvise */
/* Memory for keys on kernels that refuse things. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "mem/secret.h"
#include "support/cmocka_test.h"

void *__real_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
int __real_mprotect(void *address, size_t byte_len, int protection);
int __wrap_mprotect(void *address, size_t byte_len, int protection);
int __real_madvise(void *address, size_t byte_len, int advice);
int __wrap_madvise(void *address, size_t byte_len, int advice);

static bool fail_mmap, fail_mprotect;
static int unknown_advice, last_advice;

void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset)
{
    if (!fail_mmap)
        return __real_mmap(address, byte_len, protection, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

int __wrap_mprotect(void *address, size_t byte_len, int protection)
{
    if (!fail_mprotect)
        return __real_mprotect(address, byte_len, protection);
    errno = ENOMEM;
    return -1;
}

int __wrap_madvise(void *address, size_t byte_len, int advice)
{
    last_advice = advice;
    if (advice != unknown_advice)
        return __real_madvise(address, byte_len, advice);
    errno = EINVAL;
    return -1;
}

static void returns_null_when_nothing_can_be_mapped(void **state)
{
    (void)state;
    fail_mmap = true;
    void *secret = secret_alloc(100, NULL);
    fail_mmap = false;
    assert_null(secret);
}

static void returns_null_when_the_mapping_cannot_be_opened(void **state)
{
    (void)state;
    fail_mprotect = true;
    void *secret = secret_alloc(100, NULL);
    fail_mprotect = false;
    assert_null(secret);
}

static void keeps_the_memory_from_children_when_it_cannot_be_wiped_there(void **state)
{
    (void)state;
    unknown_advice = MADV_WIPEONFORK;
    void *secret = secret_alloc(100, NULL);
    unknown_advice = 0;
    assert_int_equal(last_advice, MADV_DONTFORK);
    assert_non_null(secret);
    memset(secret, 1, 100);
    secret_free(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_null_when_nothing_can_be_mapped),
        cmocka_unit_test(returns_null_when_the_mapping_cannot_be_opened),
        cmocka_unit_test(keeps_the_memory_from_children_when_it_cannot_be_wiped_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
