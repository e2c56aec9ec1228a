/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: mlock munmap */
/* Memory for keys. */
#include "mem/secret.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "support/cmocka_test.h"

int __real_mlock(const void *address, size_t byte_len);
int __wrap_mlock(const void *address, size_t byte_len);
int __real_munmap(void *address, size_t byte_len);
int __wrap_munmap(void *address, size_t byte_len);

static int mlock_errno;
static const uint8_t *locked;
static size_t locked_bytes;
static const uint8_t *watched;
static size_t watched_bytes;
static bool watched_was_zero;

int __wrap_mlock(const void *address, size_t byte_len)
{
    locked = address;
    locked_bytes = byte_len;
    if (mlock_errno) {
        errno = mlock_errno;
        return -1;
    }
    return __real_mlock(address, byte_len);
}

int __wrap_munmap(void *address, size_t byte_len)
{
    if (watched) {
        watched_was_zero = true;
        for (size_t i = 0; i < watched_bytes; i++)
            watched_was_zero = watched_was_zero && watched[i] == 0;
        watched = NULL;
    }
    return __real_munmap(address, byte_len);
}

static void gives_zeroed_aligned_memory_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 63, 64, 65, 4000, 4032, 4033, 4096, 70000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *secret = secret_alloc(sizes[i], NULL);
        assert_non_null(secret);
        assert_int_equal((uintptr_t)secret % SECRET_ALIGN_BYTES, 0);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(secret[at], 0);
        memset(secret, 0xff, sizes[i]);
        secret_free(secret);
    }
    secret_free(NULL);
}

static void refuses_more_than_there_is(void **state)
{
    (void)state;
    assert_null(secret_alloc(SIZE_MAX, NULL));
    assert_null(secret_alloc(SIZE_MAX / 4, NULL));
}

static void is_zero_before_it_is_given_back(void **state)
{
    (void)state;
    uint8_t *secret = secret_alloc(100, NULL);
    memset(secret, 0xee, 100);
    watched = secret;
    watched_bytes = 100;
    secret_free(secret);
    assert_null(watched);
    assert_true(watched_was_zero);
}

static void warns_once_when_memory_cannot_be_locked(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_INFO, 8);
    mlock_errno = ENOMEM;
    uint8_t *secret = secret_alloc(100, log);
    mlock_errno = 0;
    assert_non_null(secret);
    secret[99] = 1;
    struct log_record record;
    assert_int_equal(log_wait(log, &record, 0), 1);
    assert_int_equal(record.level, LOG_WARN);
    assert_non_null(strstr(record.message, "swapped"));
    assert_int_equal(log_wait(log, &record, 0), 0);
    secret_free(secret);
    log_destroy(log);
}

/* The kernel's flags of the mapping that holds the address: the VmFlags line of smaps. */
static bool mapping_has_flag(const void *address, const char *flag)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    char line[512];
    bool inside = false, found = false;
    while (fgets(line, sizeof(line), smaps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = (uintptr_t)address >= start && (uintptr_t)address < end;
        if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    fclose(smaps);
    return found;
}

static void is_locked_and_kept_out_of_dumps_and_children(void **state)
{
    (void)state;
    uint8_t *secret = secret_alloc(100, NULL);
    assert_true(mapping_has_flag(secret, " dd"));
    assert_true(mapping_has_flag(secret, " wf") || mapping_has_flag(secret, " dc"));
    assert_true(locked <= secret && secret + 100 <= locked + locked_bytes);
    secret_free(secret);
}

/* How a child ends that touches the byte: its wait status. */
static int touch_in_child(volatile uint8_t *byte)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        uint8_t value = *byte;
        _exit(value == 0x77 ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void faults_when_read_past_the_end(void **state)
{
    (void)state;
    uint8_t *secret = secret_alloc(SECRET_ALIGN_BYTES, NULL);
    int status = touch_in_child(secret + SECRET_ALIGN_BYTES);
    assert_true(WIFSIGNALED(status));
    secret_free(secret);
}

static void is_not_there_in_a_child(void **state)
{
    (void)state;
    uint8_t *secret = secret_alloc(SECRET_ALIGN_BYTES, NULL);
    secret[0] = 0x77;
    int status = touch_in_child(secret);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    secret_free(secret);
}

/* The address sanitizer lays out stacks of its own, so what is left below one says nothing. */
#ifndef __SANITIZE_ADDRESS__
static __attribute__((noinline)) void leave_traces(void)
{
    volatile uint8_t stale[1024];
    for (size_t i = 0; i < sizeof(stale); i++)
        stale[i] = 0x99;
}

/* How many bytes of leave_traces are still below the caller's frame. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static size_t count_traces(void)
{
    volatile uint8_t stale[1024];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(stale); i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): that is the point */
        count += *(&stale[0] + i) == 0x99;
    return count;
}

/* A sanitizer lays frames out differently: the larger a buffer, the wider the margin above it. */
static void clears_what_callees_left_on_the_stack(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip_because("says nothing under a sanitizer");
#endif
    leave_traces();
    secret_clear_traces();
    assert_true(count_traces() < 16);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_zeroed_aligned_memory_of_any_size),
        cmocka_unit_test(refuses_more_than_there_is),
        cmocka_unit_test(is_zero_before_it_is_given_back),
        cmocka_unit_test(warns_once_when_memory_cannot_be_locked),
        cmocka_unit_test(is_locked_and_kept_out_of_dumps_and_children),
        cmocka_unit_test(faults_when_read_past_the_end),
        cmocka_unit_test(is_not_there_in_a_child),
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test(clears_what_callees_left_on_the_stack),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
