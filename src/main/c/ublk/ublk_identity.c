/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Taking over the device of another disk would show one VM's or user's data under the name of
 * another's, so everything that can differ is compared. Numbers of inodes and block devices are
 * used again; with the time of birth of a file, and the sequence number of a disk, they are not.
 *
 * Sizes follow from the disk: the logical block from the configuration, the physical one from how
 * the file wants to be accessed, a page at least.
 */
#include "ublk_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/minmax.h"
#include "base/sector.h"

enum { BUFFER_BYTES_MIN = 4096, BUFFER_BYTES_MAX = 4 << 20, PHYSICAL_BLOCK_BYTES = 4096 };

/* FNV-1a, byte by byte. */
static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    for (int i = 0; i < 8; i++)
        hash = (hash ^ (word >> 8 * i & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

/* What the kernel counts up with every disk that it gets; 0 before Linux 5.15. */
static uint64_t disk_sequence(int fd)
{
    uint64_t sequence = 0;
    return ioctl(fd, BLKGETDISKSEQ, &sequence) == 0 ? sequence : 0;
}

int ublk_identity_hash(int fd, uint64_t *hash)
{
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
        return -errno;
    const struct statx_timestamp born =
        status.stx_mask & STATX_BTIME ? status.stx_btime : (struct statx_timestamp){0};
    bool block = S_ISBLK(status.stx_mode);
    const uint64_t words[] = {
        block ? makedev(status.stx_rdev_major, status.stx_rdev_minor)
              : makedev(status.stx_dev_major, status.stx_dev_minor),
        block ? 0 : status.stx_ino,
        block ? disk_sequence(fd) : (uint64_t)born.tv_sec,
        block ? 0 : born.tv_nsec,
    };
    *hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        *hash = hash_word(*hash, words[i]);
    return 0;
}

static uint8_t shift_of(uint32_t byte_len)
{
    return (uint8_t)__builtin_ctz(byte_len);
}

/* Whole pages, so that every buffer begins at one. */
static uint32_t buffer_bytes(const struct blk_device *disk)
{
    uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
    uint32_t wanted = min_u32(disk->seg_size_max, BUFFER_BYTES_MAX);
    if (wanted < BUFFER_BYTES_MIN)
        wanted = BUFFER_BYTES_MIN;
    return wanted < page ? page : wanted / page * page;
}

struct ublk_params ublk_identity_params(const struct blk_device *disk)
{
    uint32_t physical = PHYSICAL_BLOCK_BYTES;
    if (physical < disk->logical_block_size)
        physical = disk->logical_block_size;
    if (physical < disk->file.offset_align)
        physical = disk->file.offset_align;
    return (struct ublk_params){
        .len = sizeof(struct ublk_params),
        .types = UBLK_PARAM_TYPE_BASIC,
        .basic =
            {
                .attrs = disk->write_through ? 0 : UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA,
                .logical_bs_shift = shift_of(disk->logical_block_size),
                .physical_bs_shift = shift_of(physical),
                .io_min_shift = shift_of(physical),
                .io_opt_shift = shift_of(physical),
                .max_sectors = (uint32_t)bytes_to_sectors(buffer_bytes(disk)),
                .dev_sectors = disk->capacity,
            },
    };
}

struct ublksrv_ctrl_dev_info ublk_identity_info(const struct blk_device *disk, uint64_t hash,
                                                uint64_t features)
{
    uint64_t wanted = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_CMD_IOCTL_ENCODE;
    /* A kernel that does not tell its features knows recovery from 6.1 on; it leaves out what it
     * does not know. */
    return (struct ublksrv_ctrl_dev_info){
        .nr_hw_queues = (uint16_t)disk->queue_count,
        .queue_depth = (uint16_t)disk->queue_size,
        .max_io_buf_bytes = buffer_bytes(disk),
        .ublksrv_pid = getpid(),
        .flags = features ? features & wanted : UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE,
        .ublksrv_flags = hash,
    };
}

/* The kernel makes no more queues than the host has CPUs. */
static bool queues_match(const struct blk_device *disk, const struct ublksrv_ctrl_dev_info *info)
{
    return info->nr_hw_queues == disk->queue_count ||
           (info->nr_hw_queues < disk->queue_count && info->nr_hw_queues >= get_nprocs_conf());
}

int ublk_identity_match(const struct blk_device *disk, uint64_t hash,
                        const struct ublksrv_ctrl_dev_info *info, const struct ublk_params *params,
                        struct error *error)
{
    const struct ublk_params own = ublk_identity_params(disk);
    uint32_t id = info->dev_id;
    if (info->ublksrv_flags != hash) {
        return error_set(error, -EINVAL,
                         "ublk device %u is not of this disk: its hash is %016" PRIx64
                         ", this disk's is %016" PRIx64,
                         id, (uint64_t)info->ublksrv_flags, hash);
    }
    if (!(info->flags & UBLK_F_USER_RECOVERY))
        return error_set(error, -EINVAL, "ublk device %u was made without recovery", id);
    if (params->basic.dev_sectors != own.basic.dev_sectors) {
        return error_set(error, -EINVAL,
                         "ublk device %u has %" PRIu64 " sectors, this disk %" PRIu64, id,
                         (uint64_t)params->basic.dev_sectors, (uint64_t)own.basic.dev_sectors);
    }
    if (!queues_match(disk, info) || info->queue_depth != disk->queue_size) {
        return error_set(
            error, -EINVAL, "ublk device %u has %u queues of %u, the configuration says %u of %u",
            id, info->nr_hw_queues, info->queue_depth, disk->queue_count, disk->queue_size);
    }
    if (memcmp(&params->basic, &own.basic, sizeof(own.basic)) != 0) {
        return error_set(error, -EINVAL,
                         "ublk device %u was made with another logical_block_size, seg_size_max, "
                         "write_through or direct_io",
                         id);
    }
    return 0;
}
