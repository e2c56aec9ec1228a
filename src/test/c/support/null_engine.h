/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * An engine that completes every op at once without touching a file, to measure what the rest of
 * the path costs. Waiting and watching go to a real engine underneath.
 */
#ifndef UBIBLK_TEST_SUPPORT_NULL_ENGINE_H
#define UBIBLK_TEST_SUPPORT_NULL_ENGINE_H

#include "io/io_engine_ops.h"

/* Takes inner, which is destroyed with it. Returns owned; ended by io_engine_destroy. */
struct io_engine *null_engine_create(struct io_engine *inner);

#endif
