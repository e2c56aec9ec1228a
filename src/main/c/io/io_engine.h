/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reads, writes and syncs of a few files, many at a time: the one vtable of the core.
 *
 * io/ holds what talks to the host's storage: opening a disk, the two engines, nothing of guests.
 * One engine serves one thread. That thread creates it, makes every call below, and destroys it.
 * The caller owns the ops; nothing is allocated after io_engine_create.
 *
 * The life of an op: prep, submit, reap. From prep until reap hands it back, the engine keeps the
 * op, its iovecs and the memory behind them. An op is handed back exactly once, and only when it is
 * complete: a short transfer is continued inside the engine.
 */
#ifndef UBIBLK_IO_IO_ENGINE_H
#define UBIBLK_IO_IO_ENGINE_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/log.h"

enum io_engine_kind { IO_ENGINE_URING, IO_ENGINE_SYNC };

/* IO_COMMAND: a command of the file's own, to the driver behind it; io_uring only. */
enum io_opcode { IO_READV, IO_WRITEV, IO_FDATASYNC, IO_COMMAND };

/* The write is durable when it completes (RWF_DSYNC). */
enum { IO_DSYNC = 1 };

enum { IO_FILE_MAX = 4, IO_WATCH_MAX = 4, IO_DEPTH_MAX = 8192 };

enum { IO_TRANSFER_BYTES_MAX = 1 << 30, IO_COMMAND_BYTES = 16 };

/* Owned by the caller. Only the caller's part needs to be filled. */
struct io_op {
    uint8_t opcode;
    uint8_t file;         /* index into io_engine_params.fds */
    uint8_t flags;        /* IO_DSYNC or 0 */
    uint8_t retries;      /* the engine's own */
    int32_t buffer_index; /* the registered buffer that the single iov lies in, or -1 */
    /* Lent to the engine until reaped. When a transfer was short, iov and iov_count step over what
     * is done and the entries themselves are changed. NULL and 0 unless data is transferred. */
    struct iovec *iov;
    uint32_t iov_count;                 /* <= IOV_MAX */
    uint64_t byte_offset;               /* in the file */
    uint64_t byte_len;                  /* sum of iov, 1 to IO_TRANSFER_BYTES_MAX; 0 without data */
    uint32_t command;                   /* of an IO_COMMAND: which one */
    uint8_t argument[IO_COMMAND_BYTES]; /* and what the driver is told with it */
    /* After reap of an IO_COMMAND: what the driver said. Of others: 0 when all of byte_len was
     * transferred, else -errno. A read that meets the end of the file is -ENODATA, a write that
     * makes no progress -EIO. */
    int32_t result;
    uint64_t done_bytes; /* the engine's own */
    struct io_op *next;  /* the engine's own */
};

/* Borrowed by io_engine_create; the fds and buffers themselves are kept until io_engine_destroy. */
struct io_engine_params {
    enum io_engine_kind kind;
    uint32_t depth;    /* ops in flight at most, 1 to IO_DEPTH_MAX; the caller keeps to it */
    const int *fds;    /* -1: no such file */
    uint32_t fd_count; /* 1 to IO_FILE_MAX */
    const struct iovec *buffers; /* page-aligned memory that buffer_index refers to */
    uint32_t buffer_count;       /* 0: none */
    struct log *log;             /* may be NULL */
};

struct io_engine;

/*
 * Returns 0 with *out owned, or -errno with a sentence. When the kernel or its administrator
 * refuses io_uring, the sentence says so and names the setting that does without. Buffers that
 * cannot be registered for want of lockable memory cost one warning, nothing else.
 */
int io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                     struct error *error);

/* Ends the watches and frees the engine. No transfer or sync may be in flight (asserted); commands
 * may, and the kernel cancels them soon afterwards. NULL is fine. */
void io_engine_destroy(struct io_engine *engine);

/* Keeps the op for the next submit. Never fails; submits by itself when its queue is full. */
void io_engine_prep(struct io_engine *engine, struct io_op *op);

/*
 * Hands everything prepared to the kernel, in one system call as a rule. Passing shortages (EINTR,
 * EAGAIN, EBUSY) are waited for inside. Returns 0, or -errno when the engine has become unusable:
 * ops that the kernel had not taken, and all that are prepared later, then come out of reap with
 * that errno.
 */
int io_engine_submit(struct io_engine *engine);

/* Fills ops with up to max ended ones and returns how many. Does not sleep, and makes no system
 * call unless the kernel has flagged work to be collected or a short transfer is continued. */
uint32_t io_engine_reap(struct io_engine *engine, struct io_op **ops, uint32_t max);

/*
 * Submits what is prepared and sleeps, in the same system call, until there is something to reap or
 * a watched fd fired. timeout_ns UINT64_MAX: for ever. Returns 0, -ETIME, or what
 * io_engine_submit returns when the engine is unusable.
 */
int io_engine_wait(struct io_engine *engine, uint64_t timeout_ns);

/*
 * Reports in io_engine_fired whenever fd is readable, beginning with its state now and then once or
 * more after each write to it. Made for eventfds, which nobody needs to read. The fd is borrowed
 * until unwatch; slot is free and below IO_WATCH_MAX. An fd that is hung up or broken fires once
 * more and then stays silent. Returns 0, -EBADF, -EPERM for a file that cannot be waited for, or
 * what io_engine_submit returns.
 */
int io_engine_watch(struct io_engine *engine, uint32_t slot, int fd);

/* On return the engine no longer refers to the fd and has forgotten that it fired. A slot that is
 * free is fine. */
void io_engine_unwatch(struct io_engine *engine, uint32_t slot);

/* One bit per slot that fired since the last call. Does not sleep; io_uring makes no system call
 * unless the kernel has flagged work to be collected. */
uint32_t io_engine_fired(struct io_engine *engine);

/* The engine lets go of file number file at once; no op on it is in flight or will be prepared. */
void io_engine_drop_file(struct io_engine *engine, uint8_t file);

/* Ops between prep and reap. */
uint32_t io_engine_in_flight(const struct io_engine *engine);

#endif
