/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a metadata file says.
 *
 * Design: a process may be writing a sector while we read it, and a read through the page cache may
 * then see half of it. So the file is read until two readings are the same.
 */
#include "support/metadata_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECTOR = 512,
    MAGIC_BYTES = 9,
    OFFSET_MAJOR = 9,
    OFFSET_MINOR = 11,
    OFFSET_SHIFT = 13,
    OFFSET_COUNT = 14,
    OFFSET_CRC = 508,
    KNOWN_FLAGS = METADATA_FETCHED | METADATA_WRITTEN | METADATA_HAS_SOURCE,
    READS_MAX = 1000,
};

static const uint8_t magic[MAGIC_BYTES] = "BDEV_UBI";

static int fail(struct metadata_image *image, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct metadata_image *image, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(image->fault, sizeof(image->fault), format, args);
    va_end(args);
    return -EBADMSG;
}

static uint32_t little_endian(const uint8_t *bytes, uint32_t byte_len)
{
    uint32_t value = 0;

    for (uint32_t i = byte_len; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    return value;
}

/* CRC-32 of IEEE 802.3, a bit at a time. */
static uint32_t crc32(const uint8_t *bytes, uint32_t byte_len)
{
    uint32_t crc = UINT32_MAX;

    for (uint32_t i = 0; i < byte_len; i++) {
        crc ^= bytes[i];
        for (uint32_t bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (UINT32_C(0) - (crc & 1)));
        }
    }
    return ~crc;
}

/* --- bytes of the file ------------------------------------------------------------------------ */

static int read_once(int fd, uint8_t *bytes, size_t byte_len)
{
    ssize_t got = pread(fd, bytes, byte_len, 0);

    return got < 0 ? -errno : (size_t)got == byte_len ? 0 : -EIO;
}

/* Reads until two readings agree. */
static int read_stable(int fd, uint8_t *bytes, uint8_t *again, size_t byte_len)
{
    int error = read_once(fd, bytes, byte_len);

    for (uint32_t i = 0; i < READS_MAX && error == 0; i++) {
        error = read_once(fd, again, byte_len);
        if (error == 0 && memcmp(bytes, again, byte_len) == 0) {
            return 0;
        }
        memcpy(bytes, again, byte_len);
    }
    return error < 0 ? error : -EBUSY;
}

/* Owned *bytes, a multiple of a sector long. */
static int load(const char *path, uint8_t **bytes, size_t *byte_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *again = NULL;
    struct stat status;
    int error = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;

    *bytes = NULL;
    if (error == 0) {
        *byte_len = (size_t)status.st_size / SECTOR * SECTOR;
        *bytes = malloc(*byte_len + 1);
        again = malloc(*byte_len + 1);
        error =
            *bytes == NULL || again == NULL ? -ENOMEM : read_stable(fd, *bytes, again, *byte_len);
    }
    free(again);
    if (fd >= 0) {
        close(fd);
    }
    return error;
}

/* --- what they mean --------------------------------------------------------------------------- */

static int check_crc(struct metadata_image *image, const uint8_t *bytes, uint64_t sector)
{
    const uint8_t *checked = bytes + sector * SECTOR;

    return crc32(checked, OFFSET_CRC) == little_endian(checked + OFFSET_CRC, 4)
               ? 0
               : fail(image, "sector %" PRIu64 " has a wrong checksum", sector);
}

static int read_header(struct metadata_image *image, const uint8_t *bytes, uint64_t stripe_count)
{
    image->version_major = little_endian(bytes + OFFSET_MAJOR, 2);
    image->shift = bytes[OFFSET_SHIFT];
    image->stripe_count = stripe_count;
    if (memcmp(bytes, magic, MAGIC_BYTES) != 0) {
        return fail(image, "no metadata file");
    }
    if ((image->version_major != 1 && image->version_major != 2) ||
        little_endian(bytes + OFFSET_MINOR, 2) != 0) {
        return fail(image, "version %u", image->version_major);
    }
    if (image->version_major == 1) {
        return 0;
    }
    if (little_endian(bytes + OFFSET_COUNT, 4) != stripe_count) {
        return fail(image, "%u stripes, expected %" PRIu64, little_endian(bytes + OFFSET_COUNT, 4),
                    stripe_count);
    }
    return check_crc(image, bytes, 0);
}

/* The flags of every stripe, and nothing but zeros after them. */
static int read_flags(struct metadata_image *image, const uint8_t *bytes, size_t byte_len)
{
    uint32_t per_sector = image->version_major == 1 ? SECTOR : OFFSET_CRC;
    uint64_t sectors = (image->stripe_count + per_sector - 1) / per_sector;

    if ((1 + sectors) * SECTOR > byte_len) {
        return fail(image, "too short for %" PRIu64 " stripes", image->stripe_count);
    }
    for (uint64_t i = 0; i < sectors * per_sector; i++) {
        uint64_t sector = 1 + i / per_sector;
        uint8_t flags = bytes[sector * SECTOR + i % per_sector];

        if (image->version_major == 2 && i % per_sector == 0 &&
            check_crc(image, bytes, sector) < 0) {
            return -EBADMSG;
        }
        if ((flags & ~KNOWN_FLAGS) != 0 || (i >= image->stripe_count && flags != 0)) {
            return fail(image, "stripe %" PRIu64 " has flags 0x%02x", i, flags);
        }
        if (i < image->stripe_count) {
            image->flags[i] = flags;
        }
    }
    return 0;
}

int metadata_image_read(struct metadata_image *image, const char *path, const struct xts *xts,
                        uint64_t stripe_count)
{
    uint8_t *bytes;
    size_t byte_len = 0;
    int error;

    *image = (struct metadata_image){.flags = calloc(stripe_count, 1)};
    error = load(path, &bytes, &byte_len);
    if (error == 0 && (image->flags == NULL || byte_len < SECTOR)) {
        error = image->flags == NULL ? -ENOMEM : fail(image, "an empty file");
    } else if (error < 0) {
        snprintf(image->fault, sizeof(image->fault), "reading: %s", strerror(-error));
    }
    if (error == 0 && xts != NULL) {
        xts_decrypt(xts, 0, bytes, bytes, byte_len / SECTOR);
    }
    if (error == 0) {
        error = read_header(image, bytes, stripe_count);
    }
    if (error == 0) {
        error = read_flags(image, bytes, byte_len);
    }
    free(bytes);
    return error;
}

void metadata_image_deinit(struct metadata_image *image)
{
    free(image->flags);
    image->flags = NULL;
}

uint64_t metadata_image_count(const struct metadata_image *image, uint8_t wanted, uint8_t unwanted)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < image->stripe_count; i++) {
        count += (image->flags[i] & (wanted | unwanted)) == wanted;
    }
    return count;
}

/* The end of the run of stripes with the flag that begins at stripe. */
static uint64_t run_end(const struct metadata_image *image, uint8_t flag, uint64_t stripe)
{
    while (stripe < image->stripe_count && (image->flags[stripe] & flag) != 0) {
        stripe++;
    }
    return stripe;
}

void metadata_image_list(const struct metadata_image *image, uint8_t flag,
                         char list[METADATA_LIST_BYTES])
{
    size_t used = 0;
    uint64_t end;

    list[0] = '\0';
    for (uint64_t i = 0; i < image->stripe_count; i = end + 1) {
        end = run_end(image, flag, i);
        if (end == i) {
            continue;
        }
        used += (size_t)snprintf(list + used, METADATA_LIST_BYTES - used, "%s%" PRIu64,
                                 used > 0 ? ", " : "", i);
        if (end - i > 1) {
            used += (size_t)snprintf(list + used, METADATA_LIST_BYTES - used, "%s%" PRIu64,
                                     end - i > 2 ? "-" : ", ", end - 1);
        }
    }
}
