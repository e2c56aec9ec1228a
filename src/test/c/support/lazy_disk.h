/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The files of one lazily filled disk, made anew: a raw image, an empty base disk, and a metadata
 * file by the real init-metadata; and what the disk must hold where the guest has not written.
 *
 * The programs are those beside UBIBLK_BACKEND_CMD. Every sector of the image carries a stamp of
 * LAZY_DISK_IMAGE_GENERATION. Belongs to one thread of a process without others.
 */
#ifndef UBIBLK_SUPPORT_LAZY_DISK_H
#define UBIBLK_SUPPORT_LAZY_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "support/backend_host.h"
#include "support/metadata_image.h"

#define LAZY_DISK_IMAGE_GENERATION UINT32_MAX

/* Borrowed by lazy_disk_create. */
struct lazy_disk_params {
    uint64_t disk_bytes;
    uint64_t image_bytes; /* need not be a multiple of anything */
    uint32_t shift;       /* a stripe has 2^shift sectors */
    bool encrypted;
    bool track_written;
    const char *metadata_version; /* "1.0" or "2.0" */
};

struct lazy_disk {
    struct lazy_disk_params params;
    uint64_t stripe_count, source_count; /* all, and those that the image has content for */
    char directory[BACKEND_HOST_PATH_BYTES - 16];
    char base_path[BACKEND_HOST_PATH_BYTES];
    char image_path[BACKEND_HOST_PATH_BYTES];
    char metadata_path[BACKEND_HOST_PATH_BYTES];
    char config_path[BACKEND_HOST_PATH_BYTES]; /* for the metadata programs */
    struct xts *xts;                           /* owned; NULL: a plain disk */
    uint8_t *origin; /* owned: the guest's view of the disk before any write */
};

/* Whatever may differ from one start of the process to the next. */
struct lazy_disk_settings {
    bool copy_on_read, autofetch;
    uint32_t fetch_concurrency;
};

enum { LAZY_DISK_CONFIG_BYTES = 1024 };

/* 0 or -errno (nothing is left behind then); -ECHILD when init-metadata failed. */
int lazy_disk_create(struct lazy_disk *disk, const struct lazy_disk_params *params);

/* Removes the files. */
void lazy_disk_remove(struct lazy_disk *disk);

/* The configuration's lines about where content comes from, for backend_host_params. */
void lazy_disk_config(const struct lazy_disk *disk, const struct lazy_disk_settings *settings,
                      char config[LAZY_DISK_CONFIG_BYTES]);

/* Reads the metadata file and checks what holds for this disk at any time: version, stripe size,
 * which stripes have a source. 0 or -errno with a sentence in image->fault. */
int lazy_disk_look(const struct lazy_disk *disk, struct metadata_image *image);

/* Whether dump-metadata prints what the image says. */
bool lazy_disk_dump_agrees(const struct lazy_disk *disk, const struct metadata_image *image);

/* Reads a range of the base disk past the back end, decrypted. 0 or -errno. */
int lazy_disk_read_base(const struct lazy_disk *disk, uint64_t sector, uint32_t sector_count,
                        void *bytes);

#endif
