/* SPDX-License-Identifier: AGPL-3.0-only */
/* The engine on plain system calls; see io_engine.h for everything but its making. */
#ifndef UBIBLK_IO_SYNC_ENGINE_H
#define UBIBLK_IO_SYNC_ENGINE_H

#include "io/io_engine.h"

/* As io_engine_create for IO_ENGINE_SYNC. */
int sync_engine_create(const struct io_engine_params *params, struct io_engine **out,
                       struct error *error);

#endif
