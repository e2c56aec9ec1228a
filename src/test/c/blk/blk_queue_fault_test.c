/* SPDX-License-Identifier: AGPL-3.0-only */
/* A queue that cannot be made, for each thing that it needs. */
/* wrap: calloc mmap open io_engine_create */
#include "blk/blk_queue.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/fake_engine.h"
#include "support/test_device.h"

/* The call that fails, counted from 1 and down; 0: none. */
static uint32_t calloc_countdown;
static uint32_t mmap_countdown;
static int engine_result;
static int open_errno;
static int engine_fds[IO_FILE_MAX];
static uint32_t engine_fd_count;

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void *__real_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
int __real_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);
int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);

void *__wrap_calloc(size_t count, size_t byte_len)
{
    if (calloc_countdown > 0 && --calloc_countdown == 0) {
        return NULL;
    }
    return __real_calloc(count, byte_len);
}

void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset)
{
    if (mmap_countdown > 0 && --mmap_countdown == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(address, byte_len, protection, flags, fd, offset);
}

int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error)
{
    engine_fd_count = params->fd_count;
    memcpy(engine_fds, params->fds, params->fd_count * sizeof(*params->fds));
    if (engine_result < 0) {
        return error_set(error, engine_result, "no engine today");
    }
    return __real_io_engine_create(params, out, error);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
    if (open_errno != 0) {
        errno = open_errno;
        return -1;
    }
    return __real_open(path, flags);
}

static int setup(void **state)
{
    const struct test_device_params params = {.encrypted = true, .sync_engine = true};
    *state = test_device_create(&params);
    return 0;
}

static int teardown(void **state)
{
    test_device_destroy(*state);
    return 0;
}

static int create(struct test_device *test, struct error *error)
{
    struct blk_queue *queue = NULL;
    *error = (struct error){0};
    int result = blk_queue_create(&test->device, 0, &queue, error);
    calloc_countdown = mmap_countdown = 0;
    engine_result = 0;
    assert_int_equal(result == 0, queue != NULL);
    assert_int_equal(result, error->code);
    blk_queue_destroy(queue);
    return result;
}

static void can_be_made_when_nothing_fails(void **state)
{
    struct error error;
    assert_int_equal(0, create(*state, &error));
}

static void reports_that_memory_is_short_wherever_it_is(void **state)
{
    struct error error;
    /* the queue, its requests, its pieces, its pool, its engine */
    for (uint32_t nth = 1; nth <= 5; nth++) {
        calloc_countdown = nth;
        assert_int_equal(-ENOMEM, create(*state, &error));
        assert_true(strlen(error.message) > 0);
    }
    /* the arena, the pool's area */
    for (uint32_t nth = 1; nth <= 2; nth++) {
        mmap_countdown = nth;
        assert_int_equal(-ENOMEM, create(*state, &error));
        assert_true(strlen(error.message) > 0);
    }
}

static void passes_on_what_the_engine_says(void **state)
{
    struct error error;
    engine_result = -ENOSYS;
    assert_int_equal(-ENOSYS, create(*state, &error));
    assert_string_equal("no engine today", error.message);
}

static void reports_that_the_disk_cannot_be_opened_once_more(void **state)
{
    struct error error;
    open_errno = EMFILE;
    assert_int_equal(-EMFILE, create(*state, &error));
    open_errno = 0;
    assert_non_null(strstr(error.message, "to sync it"));
}

/* The kernel tells of lost data once per description: two queues on one could miss it. */
static void syncs_through_a_description_that_no_other_queue_has(void **state)
{
    struct test_device *test = *state;
    struct blk_queue *queue = NULL;
    assert_int_equal(0, blk_queue_create(&test->device, 0, &queue, NULL));
    assert_int_equal(2, engine_fd_count);
    assert_int_equal(test->device.file.fd, engine_fds[0]);
    int sync_fd = engine_fds[1];
    struct stat disk, opened;
    assert_int_equal(0, fstat(engine_fds[0], &disk));
    assert_int_equal(0, fstat(sync_fd, &opened));
    assert_true(disk.st_ino == opened.st_ino && disk.st_dev == opened.st_dev);
    assert_int_equal(512, lseek(sync_fd, 512, SEEK_SET));
    assert_int_equal(0, lseek(engine_fds[0], 0, SEEK_CUR));
    blk_queue_destroy(queue);
    assert_int_equal(-1, fcntl(sync_fd, F_GETFD));
}

static void leaves_the_engine_to_its_maker_when_it_fails(void **state)
{
    struct test_device *test = *state;
    struct fake_engine *fake = fake_engine_create(64, NULL, 0);
    struct blk_queue *queue = NULL;
    calloc_countdown = 3;
    assert_int_equal(-ENOMEM, blk_queue_create_on(&test->device, 0, &fake->base, &queue, NULL));
    assert_null(queue);
    io_engine_destroy(&fake->base);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(can_be_made_when_nothing_fails),
        TEST(reports_that_memory_is_short_wherever_it_is),
        TEST(passes_on_what_the_engine_says),
        TEST(reports_that_the_disk_cannot_be_opened_once_more),
        TEST(syncs_through_a_description_that_no_other_queue_has),
        TEST(leaves_the_engine_to_its_maker_when_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
