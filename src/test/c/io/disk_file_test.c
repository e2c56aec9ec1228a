/* SPDX-License-Identifier: AGPL-3.0-only */
#include "io/disk_file.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/align.h"

struct fixture {
    char directory[64];
    char path[96];
    struct disk_file_params params;
    struct disk_file file;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->directory, sizeof(f->directory), "/tmp/ubiblk-disk-file-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/disk", f->directory);
    close(open(f->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    f->params = (struct disk_file_params){.path = f->path, .logical_block_size = 512};
    assert_int_equal(0, truncate(f->path, 1 << 20));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static void open_it(struct fixture *f)
{
    int ret = disk_file_open(&f->params, NULL, &f->file, &f->error);
    if (ret != 0) {
        fail_msg("%s", f->error.message);
    }
}

/* Expects a refusal whose sentence has the path and the word in it. */
static void refuse(struct fixture *f, int code, const char *word)
{
    assert_int_equal(code, disk_file_open(&f->params, NULL, &f->file, &f->error));
    if (strstr(f->error.message, f->params.path) == NULL ||
        strstr(f->error.message, word) == NULL) {
        fail_msg("\"%s\" says nothing of \"%s\"", f->error.message, word);
    }
}

static void opens_a_regular_file_and_locks_it(void **state)
{
    struct fixture *f = *state;
    open_it(f);
    assert_int_equal(1 << 20, f->file.byte_len);
    assert_false(f->file.block_device);
    assert_int_equal(O_RDWR, fcntl(f->file.fd, F_GETFL) & O_ACCMODE);
    assert_int_equal(FD_CLOEXEC, fcntl(f->file.fd, F_GETFD));
    struct disk_file file = f->file;
    refuse(f, -EBUSY, "this process");
    disk_file_close(&file);
    open_it(f);
    disk_file_close(&f->file);
    disk_file_close(&f->file); /* closed already */
}

static void the_page_cache_needs_no_alignment(void **state)
{
    struct fixture *f = *state;
    f->params.direct_io = DIRECT_IO_FALSE;
    open_it(f);
    assert_false(f->file.direct);
    assert_int_equal(0, fcntl(f->file.fd, F_GETFL) & O_DIRECT);
    assert_int_equal(1, f->file.offset_align);
    assert_int_equal(1, f->file.memory_align);
    disk_file_close(&f->file);
}

static void transfer(const struct disk_file *file)
{
    void *memory = aligned_alloc(4096, 16384);
    assert_non_null(memory);
    char *bytes = (char *)memory + file->memory_align % 4096;
    memset(bytes, 1, file->offset_align);
    ssize_t expected = (ssize_t)file->offset_align;
    assert_int_equal(expected, pwrite(file->fd, bytes, file->offset_align, file->offset_align));
    assert_int_equal(expected, pread(file->fd, bytes, file->offset_align, file->offset_align));
    free(memory);
}

static void direct_transfers_work_at_the_reported_alignment(void **state)
{
    struct fixture *f = *state;
    f->params.direct_io = DIRECT_IO_TRUE;
    if (disk_file_open(&f->params, NULL, &f->file, &f->error) == -EOPNOTSUPP) {
        skip_because(f->error.message);
    }
    assert_true(f->file.direct);
    assert_int_equal(O_DIRECT, fcntl(f->file.fd, F_GETFL) & O_DIRECT);
    assert_true(is_power_of_two(f->file.offset_align));
    assert_true(is_power_of_two(f->file.memory_align));
    assert_true(f->file.offset_align <= 512);
    transfer(&f->file);
    disk_file_close(&f->file);
    f->params.direct_io = DIRECT_IO_AUTO;
    open_it(f);
    assert_true(f->file.direct);
    disk_file_close(&f->file);
}

static void memory_file_systems_work_either_way(void **state)
{
    struct fixture *f = *state;
    char path[] = "/dev/shm/ubiblk-disk-file-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) {
        skip_because("no /dev/shm here");
    }
    assert_int_equal(0, ftruncate(fd, 8192));
    close(fd);
    f->params.path = path;
    open_it(f);
    transfer(&f->file);
    disk_file_close(&f->file);
    unlink(path);
}

static void follows_symbolic_links(void **state)
{
    struct fixture *f = *state;
    char link[128];
    snprintf(link, sizeof(link), "%s/link", f->directory);
    assert_int_equal(0, symlink(f->path, link));
    f->params.path = link;
    open_it(f);
    disk_file_close(&f->file);
    unlink(link);
}

static void refuses_sizes_that_are_no_disk(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, truncate(f->path, 0));
    refuse(f, -EINVAL, "empty");
    assert_int_equal(0, truncate(f->path, 1000));
    refuse(f, -EINVAL, "1000 bytes, is not a multiple of 512");
    f->params.logical_block_size = 4096;
    refuse(f, -EINVAL, "1000 bytes, is not a multiple of 512");
    assert_int_equal(0, truncate(f->path, 4096 + 512));
    refuse(f, -EINVAL, "4608 bytes, is not a multiple of the logical_block_size of 4096");
    f->params.logical_block_size = 512;
    open_it(f);
    disk_file_close(&f->file);
}

static void refuses_what_is_no_file_and_no_device(void **state)
{
    struct fixture *f = *state;
    f->params.path = f->directory;
    refuse(f, -EINVAL, "neither");
    f->params.path = "/dev/null";
    refuse(f, -EINVAL, "neither");
    char fifo[128];
    snprintf(fifo, sizeof(fifo), "%s/fifo", f->directory);
    assert_int_equal(0, mkfifo(fifo, 0600));
    f->params.path = fifo;
    refuse(f, -EINVAL, "neither");
    unlink(fifo);
    f->params.path = "/nowhere/disk";
    refuse(f, -ENOENT, "No such file");
}

/* --- other accesses --------------------------------------------------------------------------- */

static void reading_takes_no_lock_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    open_it(f);
    struct disk_file held = f->file;
    f->params.access = DISK_READ;
    open_it(f);
    assert_int_equal(O_RDONLY, fcntl(f->file.fd, F_GETFL) & O_ACCMODE);
    assert_int_equal(1 << 20, f->file.byte_len);
    char byte = 1;
    assert_int_equal(-EBADF, disk_file_write(&f->file, 0, &byte, 1));
    disk_file_close(&f->file);
    disk_file_close(&held);
    f->params.path = "/nowhere/disk";
    refuse(f, -ENOENT, "No such file");
}

static void creating_makes_a_file_for_its_owner(void **state)
{
    struct fixture *f = *state;
    struct stat status;
    assert_int_equal(0, unlink(f->path));
    f->params.access = DISK_CREATE;
    f->params.create_byte_len = 3 * 512;
    open_it(f);
    assert_int_equal(3 * 512, f->file.byte_len);
    assert_int_equal(0, fstat(f->file.fd, &status));
    assert_int_equal(0600, status.st_mode & 0777);
    assert_int_equal(3 * 512, status.st_size);
    struct disk_file held = f->file;
    refuse(f, -EBUSY, "this process");
    disk_file_close(&held);
    f->params.path = "/nowhere/disk";
    refuse(f, -ENOENT, "cannot create");
}

static void creating_replaces_all_that_was_there(void **state)
{
    struct fixture *f = *state;
    char sector[512];
    memset(sector, 1, sizeof(sector));
    f->params.direct_io = DIRECT_IO_FALSE;
    open_it(f);
    assert_int_equal(0, disk_file_write(&f->file, 0, sector, sizeof(sector)));
    disk_file_close(&f->file);
    f->params.access = DISK_CREATE;
    f->params.create_byte_len = 1024;
    open_it(f);
    assert_int_equal(0, disk_file_read(&f->file, 0, sector, sizeof(sector)));
    for (size_t i = 0; i < sizeof(sector); i++) {
        assert_int_equal(0, sector[i]);
    }
    assert_int_equal(-ENODATA, disk_file_read(&f->file, 1024, sector, sizeof(sector)));
    disk_file_close(&f->file);
    f->params.create_byte_len = 0;
    open_it(f);
    assert_int_equal(0, f->file.byte_len);
    disk_file_close(&f->file);
}

static void tells_holes_from_data(void **state)
{
    struct fixture *f = *state;
    char *bytes = calloc(1, 65536);
    f->params.direct_io = DIRECT_IO_FALSE;
    open_it(f);
    assert_int_equal(1 << 20, disk_file_next_data(&f->file, 0));
    assert_int_equal(0, disk_file_write(&f->file, 262144, bytes, 65536));
    assert_int_equal(0, disk_file_sync(&f->file));
    assert_int_equal(262144, disk_file_next_data(&f->file, 0));
    assert_int_equal(0, disk_file_next_hole(&f->file, 0));
    assert_int_equal(262144 + 65536, disk_file_next_hole(&f->file, 262144));
    assert_int_equal(1 << 20, disk_file_next_data(&f->file, 262144 + 65536));
    disk_file_close(&f->file);
    free(bytes);
}

/* --- block devices ---------------------------------------------------------------------------- */

/* A loop device over the file, or a skipped test. */
static int attach_loop(struct fixture *f, uint32_t sector_bytes, char *path, size_t path_bytes)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    snprintf(path, path_bytes, "/dev/loop%d", number);
    int loop = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
    int backing = open(f->path, O_RDWR | O_CLOEXEC);
    struct loop_config config = {.fd = (uint32_t)backing, .block_size = sector_bytes};
    int ret = loop < 0 ? -1 : ioctl(loop, LOOP_CONFIGURE, &config);
    close(backing);
    if (control >= 0) {
        close(control);
    }
    if (ret != 0) {
        if (loop >= 0) {
            close(loop);
        }
        skip_because("no loop device can be set up here");
    }
    return loop;
}

static void detach_loop(int loop)
{
    ioctl(loop, LOOP_CLR_FD);
    close(loop);
}

static void opens_a_block_device_for_itself_alone(void **state)
{
    struct fixture *f = *state;
    char path[32];
    int loop = attach_loop(f, 512, path, sizeof(path));
    f->params.path = path;
    open_it(f);
    assert_true(f->file.block_device);
    assert_int_equal(1 << 20, f->file.byte_len);
    transfer(&f->file);
    int fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
    assert_int_equal(-1, fd);
    assert_int_equal(EBUSY, errno);
    struct disk_file file = f->file;
    f->params.lock_timeout_ms = 30;
    refuse(f, -EBUSY, "this process");
    disk_file_close(&file);
    detach_loop(loop);
}

static void of_a_device_nothing_is_replaced(void **state)
{
    struct fixture *f = *state;
    char path[32];
    char sector[512];
    int loop = attach_loop(f, 512, path, sizeof(path));
    memset(sector, 7, sizeof(sector));
    assert_int_equal(512, pwrite(loop, sector, sizeof(sector), 0));
    f->params.path = path;
    f->params.direct_io = DIRECT_IO_FALSE;
    f->params.access = DISK_CREATE;
    f->params.create_byte_len = (1 << 20) + 512;
    refuse(f, -ENOSPC, "1048576 bytes, of 1049088");
    f->params.create_byte_len = 512;
    open_it(f);
    assert_int_equal(1 << 20, f->file.byte_len);
    memset(sector, 0, sizeof(sector));
    assert_int_equal(0, disk_file_read(&f->file, 0, sector, sizeof(sector)));
    assert_int_equal(7, sector[0]);
    assert_int_equal(7, sector[511]);
    disk_file_close(&f->file);
    f->params.access = DISK_READ;
    open_it(f);
    struct disk_file reading = f->file;
    f->params.access = DISK_UPDATE;
    open_it(f);
    disk_file_close(&f->file);
    disk_file_close(&reading);
    detach_loop(loop);
}

static void refuses_a_device_with_sectors_larger_than_the_guest_is_shown(void **state)
{
    struct fixture *f = *state;
    char path[32];
    int loop = attach_loop(f, 4096, path, sizeof(path));
    f->params.path = path;
    refuse(f, -EINVAL, "4096 bytes, more than the logical_block_size of 512");
    f->params.logical_block_size = 4096;
    open_it(f);
    assert_true(f->file.offset_align <= 4096);
    transfer(&f->file);
    disk_file_close(&f->file);
    detach_loop(loop);
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILE(opens_a_regular_file_and_locks_it),
        WITH_FILE(the_page_cache_needs_no_alignment),
        WITH_FILE(direct_transfers_work_at_the_reported_alignment),
        WITH_FILE(memory_file_systems_work_either_way),
        WITH_FILE(follows_symbolic_links),
        WITH_FILE(refuses_sizes_that_are_no_disk),
        WITH_FILE(refuses_what_is_no_file_and_no_device),
        WITH_FILE(reading_takes_no_lock_and_changes_nothing),
        WITH_FILE(creating_makes_a_file_for_its_owner),
        WITH_FILE(creating_replaces_all_that_was_there),
        WITH_FILE(tells_holes_from_data),
        WITH_FILE(opens_a_block_device_for_itself_alone),
        WITH_FILE(of_a_device_nothing_is_replaced),
        WITH_FILE(refuses_a_device_with_sectors_larger_than_the_guest_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
