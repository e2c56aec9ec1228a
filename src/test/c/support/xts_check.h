/* SPDX-License-Identifier: AGPL-3.0-only */
/* What every AES-XTS engine has to pass: the same checks for each engine's test program. */
#ifndef UBIBLK_SUPPORT_XTS_CHECK_H
#define UBIBLK_SUPPORT_XTS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypt/xts_engine.h"

/* Sectors by the slow reference; source and destination may be the same. */
void xts_reference(const uint8_t *data_key, const uint8_t *tweak_key, bool decrypt, uint64_t sector,
                   const uint8_t *source, uint8_t *destination, size_t sector_count);

/* The same from any first tweak on, counted as an engine does. */
void xts_reference_from(const uint8_t *data_key, const uint8_t *tweak_key, bool decrypt,
                        struct xts_tweak first, const uint8_t *source, uint8_t *destination,
                        size_t sector_count);

/* The engine of a kind; NULL for XTS_ENGINE_AUTO, and for what is not in a build for this CPU. */
const struct xts_engine *xts_check_engine_of(enum xts_engine_kind kind);

/* Whether the engine can be had here; *error (may be NULL) says why not. */
bool xts_check_offered(enum xts_engine_kind kind, struct error *error);

/* The same; if not, prints why. */
bool xts_check_available(enum xts_engine_kind kind);

/* Returns owned an xts for the two keys on this engine; fails the test if there is none. */
struct xts *xts_check_create(enum xts_engine_kind kind, const uint8_t *data_key,
                             const uint8_t *tweak_key);

/*
 * Runs the checks as cmocka groups: the golden vectors in both directions; random keys, sectors,
 * lengths, alignments and segment lists against the reference; the last sector numbers; bytes
 * around the destination; several threads on one object; a guest that changes or watches its memory
 * meanwhile; then xts_check_published. Skips them where the engine cannot be had.
 * Returns how many failed.
 */
int xts_check_engine(enum xts_engine_kind kind);

#endif
