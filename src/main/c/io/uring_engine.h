/* SPDX-License-Identifier: AGPL-3.0-only */
/* The engine on io_uring; see io_engine.h for everything but its making. */
#ifndef UBIBLK_IO_URING_ENGINE_H
#define UBIBLK_IO_URING_ENGINE_H

#include "io/io_engine.h"

/* As io_engine_create for IO_ENGINE_URING. The calling thread is the only one that may use it. */
int uring_engine_create(const struct io_engine_params *params, struct io_engine **out,
                        struct error *error);

#endif
