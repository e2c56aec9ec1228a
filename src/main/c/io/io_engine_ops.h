/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What an engine implements. Callers use io_engine.h; this header is for the engines, the fake ones
 * of tests included.
 *
 * An engine's struct begins with a struct io_engine. io_engine.c checks the ops and the slots
 * (asserts), counts what is in flight, and clears the engine's own fields of an op before prep;
 * beyond that each member does what the function of the same name in io_engine.h promises, on the
 * engine's thread. All are required.
 */
#ifndef UBIBLK_IO_IO_ENGINE_OPS_H
#define UBIBLK_IO_IO_ENGINE_OPS_H

#include <stdint.h>

#include "io/io_engine.h"

struct io_engine_ops {
    void (*destroy)(struct io_engine *engine);
    void (*prep)(struct io_engine *engine, struct io_op *op);
    int (*submit)(struct io_engine *engine);
    uint32_t (*reap)(struct io_engine *engine, struct io_op **ops, uint32_t max);
    int (*wait)(struct io_engine *engine, uint64_t timeout_ns);
    int (*watch)(struct io_engine *engine, uint32_t slot, int fd);
    void (*unwatch)(struct io_engine *engine, uint32_t slot);
    uint32_t (*fired)(struct io_engine *engine);
    void (*drop_file)(struct io_engine *engine, uint8_t file);
};

struct io_engine {
    const struct io_engine_ops *ops;
    uint32_t in_flight; /* kept by io_engine.c */
    uint32_t commands;  /* those of them that are IO_COMMANDs, kept by io_engine.c */
    uint32_t watched;   /* bit per slot in use, kept by io_engine.c */
};

#endif
