/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A driver of the test's own behind the commands of a queue: transfers go to the real engine,
 * commands (IO_COMMAND with a struct ublksrv_io_cmd) stay with the test until it completes them,
 * which wakes the queue's thread as the kernel would. The test's side is for one other thread.
 */
#ifndef UBIBLK_SUPPORT_DRIVER_ENGINE_H
#define UBIBLK_SUPPORT_DRIVER_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/io_engine.h"
#include "io/op_list.h"
#include "ublk/ublk_uapi.h"

enum { DRIVER_TAGS = 64 };

/* What the driver has of a tag. */
struct driver_tag {
    struct io_op *op; /* NULL: the server has it */
    uint32_t command;
    struct ublksrv_io_cmd argument;
};

struct driver {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int event_fd; /* wakes the queue's thread */
    int refusal;  /* 0, or how every command ends at once */
    struct driver_tag tags[DRIVER_TAGS];
    struct op_list completed;
};

void driver_init(struct driver *driver);
void driver_deinit(struct driver *driver);

/* An engine of the calling thread; takes inner, keeps driver. Returns owned. */
struct io_engine *driver_engine_create(struct driver *driver, struct io_engine *inner);

/* Waits until the driver has the tag, for 20 s at most, and says what came with it. */
struct driver_tag driver_await(struct driver *driver, uint32_t tag);

/* Ends the command of a tag that the driver has. */
void driver_complete(struct driver *driver, uint32_t tag, int32_t result);

/* Whether the driver has the tag at this moment. */
bool driver_has(struct driver *driver, uint32_t tag);

#endif
