/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The vectors that standards publish for AES-256-XTS, on an engine itself: their tweaks are not
 * those of our sectors, so they cannot come through xts.h.
 */
#ifndef UBIBLK_SUPPORT_XTS_PUBLISHED_H
#define UBIBLK_SUPPORT_XTS_PUBLISHED_H

#include "crypt/xts.h"

/*
 * Runs as a cmocka group what applies to 512-byte data units of the vectors of IEEE 1619 and of
 * NIST's CAVP, each in both directions, and prints how many those are. A data unit of fewer whole
 * blocks is the beginning of a longer one. Skips where the engine cannot be had. Returns how many
 * tests failed.
 */
int xts_check_published(enum xts_engine_kind kind);

#endif
