/* SPDX-License-Identifier: AGPL-3.0-only */
/* What an engine must get right before it touches a disk. Private to crypt/. */
#ifndef UBIBLK_CRYPT_XTS_SELFTEST_H
#define UBIBLK_CRYPT_XTS_SELFTEST_H

#include "crypt/xts_engine.h"

struct error;

/*
 * Creates the engine with fixed keys and compares known sectors in both directions, in place and,
 * for a single-pass engine, from one buffer to another. Returns 0, -EBADMSG, or what create
 * returned. Any thread.
 */
int xts_selftest_known_answers(const struct xts_engine *engine, struct error *error);

/*
 * Compares two engines that were created with the same keys on random sectors under random tweaks,
 * in both directions.
 * Returns 0, -EBADMSG or -ENOMEM. Any thread.
 */
int xts_selftest_compare(const struct xts_engine *engine, void *state,
                         const struct xts_engine *peer, void *peer_state, struct error *error);

#endif
