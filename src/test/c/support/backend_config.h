/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a test's back end is configured with, and the configuration file that says the same to the
 * real programs.
 */
#ifndef UBIBLK_SUPPORT_BACKEND_CONFIG_H
#define UBIBLK_SUPPORT_BACKEND_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/blk_device.h"
#include "crypt/xts.h"

/* Borrowed by whatever takes it. */
struct backend_host_params {
    struct blk_device_params device; /* path as well */
    bool encrypted;                  /* with the keys below */
    uint32_t stop_timeout_ms;        /* 0: 10 s */
    const char *extra_config;        /* further lines for the real program, or NULL */
};

extern const uint8_t backend_host_data_key[XTS_KEY_BYTES];
extern const uint8_t backend_host_tweak_key[XTS_KEY_BYTES];

/* The defaults of the configuration, with this path. */
struct backend_host_params backend_host_defaults(const char *path);

/* Writes the configuration file. 0 or -errno. */
int backend_config_write(const char *config_path, const char *socket_path,
                         const struct backend_host_params *params);

#endif
