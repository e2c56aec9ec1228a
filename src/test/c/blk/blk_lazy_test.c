/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the control plane does to a disk that is filled on demand, and what can go wrong with it. */
/* wrap: pwrite fdatasync calloc open */
#include "blk/blk_lazy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/lazy_device.h"

/* What the next calls do, once; 0: what they always do. */
static int pwrite_errno;
static size_t pwrite_byte_max;
static uint32_t pwrite_count;
static int fdatasync_errno;
static bool calloc_fails;
static int open_errno;

ssize_t __real_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

static int fail_once(int *code)
{
    errno = *code;
    *code = 0;
    return -1;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset)
{
    pwrite_count++;
    if (pwrite_errno != 0) {
        return fail_once(&pwrite_errno);
    }
    if (pwrite_byte_max != 0 && byte_len > pwrite_byte_max) {
        byte_len = pwrite_byte_max;
    }
    return __real_pwrite(fd, bytes, byte_len, offset);
}

int __wrap_fdatasync(int fd)
{
    return fdatasync_errno != 0 ? fail_once(&fdatasync_errno) : __real_fdatasync(fd);
}

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return calloc_fails ? NULL : __real_calloc(count, byte_len);
}

int __wrap_open(const char *path, int flags, ...)
{
    return open_errno != 0 ? fail_once(&open_errno) : __real_open(path, flags);
}

static struct lazy_device *make(bool encrypted)
{
    /* The last stripe is one sector long. */
    const struct lazy_device_params params = {
        .device = {.byte_len = 2 * LAZY_STRIPE_BYTES + 512, .encrypted = encrypted}};
    pwrite_errno = fdatasync_errno = open_errno = 0;
    pwrite_byte_max = 0;
    pwrite_count = 0;
    return lazy_device_create(&params);
}

static void knows_how_long_each_stripe_is(void **state)
{
    (void)state;
    struct lazy_device *lazy = make(false);
    assert_int_equal(3, lazy->map->stripe_count);
    assert_int_equal(LAZY_STRIPE_BYTES, blk_lazy_stripe_bytes(lazy->lazy, 1));
    assert_int_equal(512, blk_lazy_stripe_bytes(lazy->lazy, 2));
    lazy_device_destroy(lazy);
}

static void writes_a_stripe_in_as_many_parts_as_it_takes(void **state)
{
    (void)state;
    struct lazy_device *lazy = make(false);
    pwrite_byte_max = 10000;
    lazy_device_fetch(lazy, 1);
    lazy_device_fetch(lazy, 2);
    assert_int_equal(5, pwrite_count);
    assert_memory_equal(lazy->image + LAZY_STRIPE_BYTES, lazy->test->disk + LAZY_STRIPE_BYTES,
                        LAZY_STRIPE_BYTES + 512);
    lazy_device_destroy(lazy);
}

static void enciphers_a_stripe_like_the_guest_s_own_writes(void **state)
{
    (void)state;
    struct lazy_device *lazy = make(true);
    uint8_t expected[LAZY_STRIPE_BYTES];
    lazy_device_fetch(lazy, 1);
    xts_encrypt(lazy->device->xts, LAZY_STRIPE_SECTORS, lazy->image + LAZY_STRIPE_BYTES, expected,
                LAZY_STRIPE_SECTORS);
    assert_memory_equal(expected, lazy->test->disk + LAZY_STRIPE_BYTES, LAZY_STRIPE_BYTES);
    lazy_device_destroy(lazy);
}

static void reports_a_stripe_that_cannot_be_written(void **state)
{
    (void)state;
    struct lazy_device *lazy = make(false);
    void *bytes = aligned_alloc(4096, LAZY_STRIPE_BYTES);
    assert_non_null(bytes);
    memset(bytes, 1, LAZY_STRIPE_BYTES);
    pwrite_errno = ENOSPC;
    assert_int_equal(-ENOSPC, blk_lazy_write_stripe(lazy->lazy, 0, bytes));
    pwrite_errno = EINTR;
    assert_int_equal(0, blk_lazy_write_stripe(lazy->lazy, 0, bytes));
    free(bytes);
    lazy_device_destroy(lazy);
}

static void a_failed_sync_is_the_disk_s(void **state)
{
    (void)state;
    struct lazy_device *lazy = make(false);
    assert_int_equal(0, blk_lazy_sync(lazy->lazy));
    assert_int_equal(0, atomic_load(&lazy->device->fsync_failures));
    fdatasync_errno = EIO;
    assert_int_equal(-EIO, blk_lazy_sync(lazy->lazy));
    assert_int_equal(EIO, blk_device_sticky_errno(lazy->device));
    assert_int_equal(1, atomic_load(&lazy->device->fsync_failures));
    /* What was written again may be synced again; flushes of the guest fail all the same. */
    assert_int_equal(0, blk_lazy_sync(lazy->lazy));
    assert_int_equal(-EIO, blk_device_sync(lazy->device));
    blk_device_fsync_failed(lazy->device, ENOSPC);
    assert_int_equal(2, atomic_load(&lazy->device->fsync_failures));
    lazy_device_destroy(lazy);
}

/* Attaches once more, after the fixture's own was detached. */
static int attach(struct lazy_device *lazy, const char *image_path, uint64_t image_byte_len,
                  struct error *error)
{
    const uint8_t flags[3] = {0};
    const struct blk_lazy_params params = {.sector_count_shift = LAZY_SHIFT,
                                           .flags = flags,
                                           .image_path = image_path,
                                           .image_byte_len = image_byte_len};
    blk_lazy_detach(lazy->device->lazy);
    lazy->device->lazy = lazy->lazy = NULL;
    int result = blk_lazy_attach(lazy->device, &params, error);
    lazy->lazy = lazy->device->lazy;
    return result;
}

static void says_why_it_cannot_be_made(void **state)
{
    (void)state;
    struct lazy_device *lazy = make(false);
    struct error error = {0};
    assert_int_equal(-ENOENT, attach(lazy, "/nonexistent/image", 1, &error));
    assert_non_null(strstr(error.message, "/nonexistent/image"));
    assert_null(lazy->device->lazy);
    assert_int_equal(-EIO, attach(lazy, "/dev/null", 512, &error));
    assert_non_null(strstr(error.message, "/dev/null has 0 bytes, and had 512"));
    calloc_fails = true;
    assert_int_equal(-ENOMEM, attach(lazy, NULL, 0, &error));
    calloc_fails = false;
    open_errno = EMFILE;
    assert_int_equal(-EMFILE, attach(lazy, NULL, 0, &error));
    assert_int_equal(0, attach(lazy, NULL, 0, &error));
    lazy_device_destroy(lazy);
}

static void the_image_goes_with_its_last_user(void **state)
{
    (void)state;
    struct lazy_device *lazy = make(false);
    struct error error = {0};
    assert_int_equal(-1, blk_lazy_use_image(lazy->lazy)); /* there is none */
    assert_int_equal(0, attach(lazy, "/dev/zero", 0, &error));
    int first = blk_lazy_use_image(lazy->lazy);
    assert_true(first >= 0);
    assert_int_equal(first, blk_lazy_use_image(lazy->lazy));
    blk_lazy_drop_image(lazy->lazy);
    assert_int_equal(-1, blk_lazy_use_image(lazy->lazy));
    blk_lazy_release_image(lazy->lazy);
    assert_int_equal(0, fcntl(first, F_GETFD) < 0);
    blk_lazy_release_image(lazy->lazy);
    assert_int_equal(-1, fcntl(first, F_GETFD));
    lazy_device_destroy(lazy);
}

static void the_image_goes_at_once_when_nobody_uses_it(void **state)
{
    (void)state;
    struct lazy_device *lazy = make(false);
    struct error error = {0};
    assert_int_equal(0, attach(lazy, "/dev/zero", 0, &error));
    int fd = lazy->lazy->image_fd;
    blk_lazy_drop_image(lazy->lazy);
    assert_int_equal(-1, fcntl(fd, F_GETFD));
    lazy_device_destroy(lazy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_how_long_each_stripe_is),
        cmocka_unit_test(writes_a_stripe_in_as_many_parts_as_it_takes),
        cmocka_unit_test(enciphers_a_stripe_like_the_guest_s_own_writes),
        cmocka_unit_test(reports_a_stripe_that_cannot_be_written),
        cmocka_unit_test(a_failed_sync_is_the_disk_s),
        cmocka_unit_test(says_why_it_cannot_be_made),
        cmocka_unit_test(the_image_goes_with_its_last_user),
        cmocka_unit_test(the_image_goes_at_once_when_nobody_uses_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
