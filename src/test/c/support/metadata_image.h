/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a metadata file says, read without the product's code: versions 1.0 and 2.0, encrypted or
 * not. For tests that look at the file of a process which may be running.
 */
#ifndef UBIBLK_SUPPORT_METADATA_IMAGE_H
#define UBIBLK_SUPPORT_METADATA_IMAGE_H

#include <stdint.h>

#include "crypt/xts.h"

enum { METADATA_FETCHED = 1, METADATA_WRITTEN = 2, METADATA_HAS_SOURCE = 4 };

enum { METADATA_FAULT_BYTES = 120, METADATA_LIST_BYTES = 65536 };

struct metadata_image {
    uint32_t version_major;
    uint32_t shift;
    uint64_t stripe_count;
    uint8_t *flags; /* one byte per stripe, owned */
    char fault[METADATA_FAULT_BYTES];
};

/*
 * Reads the file, decrypted by xts unless NULL, and checks all that its format lets one check:
 * magic, version, stripe count, checksums, unknown flags, zero padding. 0, or -errno (-EBADMSG for
 * content) with a sentence in fault. Free it with metadata_image_deinit either way.
 */
int metadata_image_read(struct metadata_image *image, const char *path, const struct xts *xts,
                        uint64_t stripe_count);
void metadata_image_deinit(struct metadata_image *image);

/* Stripes with all flags of wanted and none of unwanted. */
uint64_t metadata_image_count(const struct metadata_image *image, uint8_t wanted, uint8_t unwanted);

/* The stripes with a flag as dump-metadata prints them: "0-5, 7, 9, 10". Up to 8192 stripes. */
void metadata_image_list(const struct metadata_image *image, uint8_t flag,
                         char list[METADATA_LIST_BYTES]);

#endif
