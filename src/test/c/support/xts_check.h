/* SPDX-License-Identifier: AGPL-3.0-only */
/* What every AES-XTS engine has to pass: the same checks for each engine's test program. */
#ifndef UBIBLK_SUPPORT_XTS_CHECK_H
#define UBIBLK_SUPPORT_XTS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypt/xts.h"

/* Sectors by the slow reference; source and destination may be the same. */
void xts_reference(const uint8_t *data_key, const uint8_t *tweak_key, bool decrypt, uint64_t sector,
                   const uint8_t *source, uint8_t *destination, size_t sector_count);

/* Whether the engine can be had here; if not, prints why. */
bool xts_check_available(enum xts_engine_kind kind);

/* Returns owned an xts for the two keys on this engine; fails the test if there is none. */
struct xts *xts_check_create(enum xts_engine_kind kind, const uint8_t *data_key,
                             const uint8_t *tweak_key);

/*
 * Runs the checks as a cmocka group: the golden vectors in both directions; random keys, sectors,
 * lengths, alignments and segment lists against the reference; the last sector numbers; bytes
 * around the destination; several threads on one object; a guest that changes or watches its memory
 * meanwhile. Skips them where the engine cannot be had.
 * Returns how many failed.
 */
int xts_check_engine(enum xts_engine_kind kind);

#endif
