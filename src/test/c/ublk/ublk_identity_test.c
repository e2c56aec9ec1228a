/* SPDX-License-Identifier: AGPL-3.0-only */
/* Which device belongs to which disk, and what the kernel is told of a disk. */
/* wrap: statx ioctl */
#include "ublk/ublk_identity.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static struct blk_device disk;
static struct ublksrv_ctrl_dev_info info;
static struct ublk_params params;
static struct error error;

enum { HASH = 0x1234 };

static struct statx statx_result; /* stx_mode 0: what is really so */
static uint64_t disk_sequence;    /* 0: not known */

int __real_statx(int fd, const char *path, int flags, unsigned mask, struct statx *out);
int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *out);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *out)
{
    if (statx_result.stx_mode == 0)
        return __real_statx(fd, path, flags, mask, out);
    *out = statx_result;
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    (void)fd;
    assert_int_equal(BLKGETDISKSEQ, request);
    va_list arguments;
    va_start(arguments, request);
    uint64_t *sequence = va_arg(arguments, uint64_t *);
    va_end(arguments);
    errno = ENOTTY;
    if (disk_sequence == 0)
        return -1;
    *sequence = disk_sequence;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&disk, 0, sizeof(disk));
    memset(&statx_result, 0, sizeof(statx_result));
    disk.capacity = 2048;
    disk.queue_count = 2;
    disk.queue_size = 64;
    disk.seg_size_max = 65536;
    disk.logical_block_size = 512;
    disk.file.offset_align = 1;
    info = ublk_identity_info(&disk, HASH, 0x1fe);
    params = ublk_identity_params(&disk);
    error = (struct error){0};
    return 0;
}

static void tells_the_kernel_of_the_disk(void **state)
{
    (void)state;
    assert_int_equal(UBLK_PARAM_TYPE_BASIC, params.types);
    assert_int_equal(2048, params.basic.dev_sectors);
    assert_int_equal(128, params.basic.max_sectors);
    assert_int_equal(9, params.basic.logical_bs_shift);
    assert_int_equal(12, params.basic.physical_bs_shift);
    assert_int_equal(UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA, params.basic.attrs);
    assert_int_equal(2, info.nr_hw_queues);
    assert_int_equal(64, info.queue_depth);
    assert_int_equal(65536, info.max_io_buf_bytes);
    assert_int_equal(HASH, info.ublksrv_flags);
    disk.write_through = true;
    disk.logical_block_size = 4096;
    disk.file.offset_align = 16384;
    params = ublk_identity_params(&disk);
    assert_int_equal(0, params.basic.attrs);
    assert_int_equal(12, params.basic.logical_bs_shift);
    assert_int_equal(14, params.basic.physical_bs_shift);
    assert_int_equal(14, params.basic.io_min_shift);
}

static void a_request_fits_into_whole_pages(void **state)
{
    (void)state;
    const struct {
        uint32_t configured;
        uint32_t sectors;
    } sizes[] = {{512, 8}, {4096, 8}, {5000, 8}, {131072 + 512, 256}, {1 << 30, 8192}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        disk.seg_size_max = sizes[i].configured;
        assert_int_equal(sizes[i].sectors, ublk_identity_params(&disk).basic.max_sectors);
        assert_int_equal(sizes[i].sectors * 512,
                         ublk_identity_info(&disk, HASH, 0x1fe).max_io_buf_bytes);
    }
}

static void asks_for_what_the_kernel_has(void **state)
{
    (void)state;
    const uint64_t recovery = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE;
    assert_int_equal(recovery | UBLK_F_CMD_IOCTL_ENCODE, info.flags);
    assert_int_equal(recovery, ublk_identity_info(&disk, HASH, 0).flags);
    assert_int_equal(UBLK_F_CMD_IOCTL_ENCODE,
                     ublk_identity_info(&disk, HASH, UBLK_F_CMD_IOCTL_ENCODE).flags);
}

static void a_hash_is_of_the_file_and_not_of_its_name(void **state)
{
    (void)state;
    char one[] = "/tmp/ubiblk-hash-XXXXXX", other[] = "/tmp/ubiblk-hash-XXXXXX", moved[64];
    int one_fd = mkstemp(one), other_fd = mkstemp(other);
    uint64_t one_hash = 0, other_hash = 0, again = 0;
    assert_int_equal(0, ublk_identity_hash(one_fd, &one_hash));
    assert_int_equal(0, ublk_identity_hash(other_fd, &other_hash));
    assert_true(one_hash != other_hash);
    snprintf(moved, sizeof(moved), "%s-moved", one);
    assert_int_equal(0, rename(one, moved));
    int moved_fd = open(moved, O_RDONLY);
    assert_int_equal(0, ublk_identity_hash(moved_fd, &again));
    assert_true(one_hash == again);
    close(one_fd);
    close(other_fd);
    close(moved_fd);
    unlink(moved);
    unlink(other);
    assert_int_equal(-EBADF, ublk_identity_hash(-1, &again));
}

static uint64_t hash_now(void)
{
    uint64_t hash = 0;
    assert_int_equal(0, ublk_identity_hash(0, &hash));
    return hash;
}

static void a_number_that_is_used_again_is_of_another_file(void **state)
{
    (void)state;
    statx_result = (struct statx){
        .stx_mask = STATX_BTIME, .stx_mode = S_IFREG, .stx_dev_minor = 3, .stx_ino = 99};
    statx_result.stx_btime.tv_sec = 1000;
    uint64_t first = hash_now();
    statx_result.stx_btime.tv_nsec = 1;
    assert_true(hash_now() != first);
    statx_result.stx_btime = (struct statx_timestamp){.tv_sec = 1001};
    assert_true(hash_now() != first);
    statx_result.stx_mask = 0; /* no such time here, whatever is in it */
    first = hash_now();
    statx_result.stx_btime.tv_sec = 1001;
    assert_true(hash_now() == first);
    statx_result.stx_dev_minor = 4;
    assert_true(hash_now() != first);
}

static void a_number_that_is_used_again_is_of_another_disk(void **state)
{
    (void)state;
    statx_result = (struct statx){
        .stx_mask = STATX_BTIME, .stx_mode = S_IFBLK, .stx_rdev_minor = 3, .stx_ino = 99};
    disk_sequence = 7;
    uint64_t first = hash_now();
    disk_sequence = 8;
    assert_true(hash_now() != first);
    disk_sequence = 7;
    statx_result.stx_ino = 98; /* of the node, which may be made again */
    statx_result.stx_btime.tv_sec = 1001;
    assert_true(hash_now() == first);
    statx_result.stx_rdev_minor = 4;
    assert_true(hash_now() != first);
    disk_sequence = 0; /* the kernel does not know */
    first = hash_now();
    disk_sequence = 1;
    assert_true(hash_now() != first);
}

static void matches_what_it_would_make_itself(void **state)
{
    (void)state;
    assert_int_equal(0, ublk_identity_match(&disk, HASH, &info, &params, &error));
    params.types |= 1 << 2; /* what the kernel adds does not count */
    assert_int_equal(0, ublk_identity_match(&disk, HASH, &info, &params, &error));
}

static void a_host_with_fewer_cpus_has_fewer_queues(void **state)
{
    (void)state;
    disk.queue_count = (uint32_t)get_nprocs_conf() + 3;
    info.nr_hw_queues = (uint16_t)get_nprocs_conf();
    assert_int_equal(0, ublk_identity_match(&disk, HASH, &info, &params, &error));
    if (get_nprocs_conf() > 1) {
        info.nr_hw_queues--;
        assert_int_equal(-EINVAL, ublk_identity_match(&disk, HASH, &info, &params, &error));
    }
}

static void refused(const char *text)
{
    assert_int_equal(-EINVAL, ublk_identity_match(&disk, HASH, &info, &params, &error));
    if (!strstr(error.message, text))
        fail_msg("does not say \"%s\": %s", text, error.message);
    setup(NULL);
}

static void names_what_does_not_match(void **state)
{
    (void)state;
    info.dev_id = 7;
    info.ublksrv_flags = 0xabc;
    refused("ublk device 7 is not of this disk: its hash is 0000000000000abc, this disk's is "
            "0000000000001234");
    info.flags = 0;
    refused("without recovery");
    params.basic.dev_sectors = 4096;
    refused("has 4096 sectors, this disk 2048");
    info.nr_hw_queues = 3;
    refused("has 3 queues of 64, the configuration says 2 of 64");
    info.queue_depth = 128;
    refused("has 2 queues of 128");
    params.basic.attrs = 0;
    refused("write_through");
    params.basic.max_sectors = 8;
    refused("seg_size_max");
    params.basic.logical_bs_shift = 12;
    refused("logical_block_size");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_the_kernel_of_the_disk),
        TEST(a_request_fits_into_whole_pages),
        TEST(asks_for_what_the_kernel_has),
        TEST(a_hash_is_of_the_file_and_not_of_its_name),
        TEST(a_number_that_is_used_again_is_of_another_file),
        TEST(a_number_that_is_used_again_is_of_another_disk),
        TEST(matches_what_it_would_make_itself),
        TEST(a_host_with_fewer_cpus_has_fewer_queues),
        TEST(names_what_does_not_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
