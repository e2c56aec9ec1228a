/* SPDX-License-Identifier: AGPL-3.0-only */
/* A record per op, in the order of prep; an op is found by its newest record that has not ended. */
#include "support/fake_engine.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/op_progress.h"

static struct fake_engine *from_base(struct io_engine *base)
{
    return (struct fake_engine *)base;
}

static void fake_destroy(struct io_engine *base)
{
    struct fake_engine *fake = from_base(base);
    free(fake->records);
    free(fake);
}

/* The fault meant for this op, if its turn has come: 0 or -errno. */
static int32_t count_faults(struct fake_engine *fake, enum io_opcode opcode)
{
    int32_t result = 0;
    for (uint32_t i = 0; i < fake->fault_count; i++) {
        struct fake_fault *fault = &fake->faults[i];
        if (fault->opcode == opcode && fault->countdown > 0 && --fault->countdown == 0) {
            result = fault->result;
        }
    }
    return result;
}

static void fake_prep(struct io_engine *base, struct io_op *op)
{
    struct fake_engine *fake = from_base(base);
    assert(base->in_flight <= fake->depth);
    assert(fake->fd_count == 0 || op->file < fake->fd_count);
    if (fake->record_count == fake->record_capacity) {
        fake->record_capacity = 2 * fake->record_capacity + 64;
        fake->records = realloc(fake->records, fake->record_capacity * sizeof(struct fake_record));
        assert(fake->records != NULL);
    }
    struct fake_record *record = &fake->records[fake->record_count++];
    *record = (struct fake_record){
        .op = op,
        .opcode = (enum io_opcode)op->opcode,
        .file = op->file,
        .flags = op->flags,
        .buffer_index = op->buffer_index,
        .iov_count = op->iov_count,
        .byte_offset = op->byte_offset,
        .byte_len = op->byte_len,
    };
    if (op->iov_count > 0) {
        record->iov_first = op->iov[0];
    }
    record->command = op->command;
    memcpy(record->argument, op->argument, IO_COMMAND_BYTES);
    record->fault = count_faults(fake, record->opcode);
}

static int32_t issue(int fd, const struct io_op *op)
{
    ssize_t ret;
    if (op->opcode == IO_READV) {
        ret = preadv(fd, op->iov, (int)op->iov_count, (off_t)op_position(op));
    } else if (op->opcode == IO_WRITEV) {
        ret = pwritev2(fd, op->iov, (int)op->iov_count, (off_t)op_position(op),
                       (op->flags & IO_DSYNC) != 0 ? RWF_DSYNC : 0);
    } else {
        ret = fdatasync(fd);
    }
    return ret < 0 ? -errno : (int32_t)ret;
}

static void carry_out(struct fake_engine *fake, struct io_op *op)
{
    op->result = 0;
    if (fake->fd_count == 0 || op->opcode == IO_COMMAND) {
        op->done_bytes = op->byte_len;
        return;
    }
    int fd = fake->fds[op->file];
    while (!op_progress(op, issue(fd, op))) {
    }
}

static bool is_pending(const struct fake_record *record)
{
    return record->submitted && !record->completed;
}

void fake_engine_complete(struct fake_engine *fake, uint32_t record_number, int32_t result)
{
    assert(record_number < fake->record_count);
    struct fake_record *record = &fake->records[record_number];
    assert(is_pending(record));
    struct io_op *op = record->op;
    int32_t wanted = result != 0 ? result : record->fault;
    if (wanted == 0) {
        carry_out(fake, op);
    } else {
        op->result = wanted;
    }
    record->completed = true;
    record->result = op->result;
    record->complete_number = ++fake->complete_count;
    op_list_append(&fake->done, op);
}

void fake_engine_complete_all(struct fake_engine *fake)
{
    for (uint32_t i = fake->first_pending; i < fake->record_count; i++) {
        if (is_pending(&fake->records[i]) && fake->records[i].opcode != IO_COMMAND) {
            fake_engine_complete(fake, i, 0);
        }
    }
    while (fake->first_pending < fake->record_count &&
           fake->records[fake->first_pending].completed) {
        fake->first_pending++;
    }
}

void fake_engine_complete_all_backwards(struct fake_engine *fake)
{
    for (uint32_t i = fake->record_count; i > 0; i--) {
        if (is_pending(&fake->records[i - 1]) && fake->records[i - 1].opcode != IO_COMMAND) {
            fake_engine_complete(fake, i - 1, 0);
        }
    }
}

static int fake_submit(struct io_engine *base)
{
    struct fake_engine *fake = from_base(base);
    fake->submit_count++;
    if (fake->submit_result != 0) {
        return fake->submit_result;
    }
    if (fake->submitted_records < fake->record_count) {
        fake->submit_useful_count++;
    }
    while (fake->submitted_records < fake->record_count) {
        struct fake_record *record = &fake->records[fake->submitted_records++];
        record->submitted = true;
        record->submit_number = fake->submit_count;
    }
    return 0;
}

static uint32_t fake_reap(struct io_engine *base, struct io_op **ops, uint32_t max)
{
    struct fake_engine *fake = from_base(base);
    if (!fake->held) {
        fake_engine_complete_all(fake);
    }
    return op_list_take_many(&fake->done, ops, max);
}

static void look_at_watches(struct fake_engine *fake)
{
    for (uint32_t slot = 0; slot < IO_WATCH_MAX; slot++) {
        struct pollfd set = {.fd = fake->watched_fds[slot], .events = POLLIN};
        uint64_t value;
        if (set.fd >= 0 && poll(&set, 1, 0) == 1 && set.revents != 0) {
            fake->fired |= 1u << slot;
            if ((set.revents & POLLIN) != 0 && read(set.fd, &value, sizeof(value)) < 0) {
                fake->watched_fds[slot] = -1;
            }
        }
    }
}

static bool completes_by_itself(const struct fake_engine *fake)
{
    for (uint32_t i = fake->first_pending; i < fake->record_count; i++) {
        if (is_pending(&fake->records[i]) && fake->records[i].opcode != IO_COMMAND) {
            return true;
        }
    }
    return false;
}

static int fake_wait(struct io_engine *base, uint64_t timeout_ns)
{
    struct fake_engine *fake = from_base(base);
    fake->wait_count++;
    int ret = fake_submit(base);
    if (ret != 0) {
        return ret;
    }
    look_at_watches(fake);
    bool completing = !fake->held && completes_by_itself(fake);
    if (!op_list_empty(&fake->done) || completing || fake->fired != 0) {
        return 0;
    }
    if (timeout_ns == UINT64_MAX && !fake->sleep_forever_ok) {
        fprintf(stderr, "the code under test sleeps for ever with nothing to wake it\n");
        abort();
    }
    return -ETIME;
}

static int fake_watch(struct io_engine *base, uint32_t slot, int fd)
{
    from_base(base)->watched_fds[slot] = fd;
    return 0;
}

static void fake_unwatch(struct io_engine *base, uint32_t slot)
{
    struct fake_engine *fake = from_base(base);
    fake->watched_fds[slot] = -1;
    fake->fired &= ~(1u << slot);
}

static uint32_t fake_fired(struct io_engine *base)
{
    struct fake_engine *fake = from_base(base);
    look_at_watches(fake);
    uint32_t fired = fake->fired;
    fake->fired = 0;
    return fired;
}

static void fake_drop_file(struct io_engine *base, uint8_t file)
{
    from_base(base)->dropped_files |= 1u << file;
}

static const struct io_engine_ops fake_engine_ops = {
    .destroy = fake_destroy,
    .prep = fake_prep,
    .submit = fake_submit,
    .reap = fake_reap,
    .wait = fake_wait,
    .watch = fake_watch,
    .unwatch = fake_unwatch,
    .fired = fake_fired,
    .drop_file = fake_drop_file,
};

struct fake_engine *fake_engine_create(uint32_t depth, const int *fds, uint32_t fd_count)
{
    struct fake_engine *fake = calloc(1, sizeof(*fake));
    assert(fake != NULL);
    assert(fd_count <= IO_FILE_MAX);
    fake->base.ops = &fake_engine_ops;
    fake->depth = depth;
    fake->fd_count = fd_count;
    for (uint32_t i = 0; i < fd_count; i++) {
        fake->fds[i] = fds[i];
    }
    for (uint32_t slot = 0; slot < IO_WATCH_MAX; slot++) {
        fake->watched_fds[slot] = -1;
    }
    return fake;
}

void fake_engine_hold(struct fake_engine *fake, bool held)
{
    fake->held = held;
}

void fake_engine_fail(struct fake_engine *fake, enum io_opcode opcode, uint64_t nth, int32_t result)
{
    assert(nth >= 1);
    assert(result < 0);
    for (uint32_t i = 0; i < fake->fault_count; i++) {
        if (fake->faults[i].countdown == 0) {
            fake->faults[i] = (struct fake_fault){opcode, nth, result};
            return;
        }
    }
    assert(fake->fault_count < FAKE_FAULT_MAX);
    fake->faults[fake->fault_count++] = (struct fake_fault){opcode, nth, result};
}

uint32_t fake_engine_pending(const struct fake_engine *fake)
{
    uint32_t count = 0;
    for (uint32_t i = fake->first_pending; i < fake->record_count; i++) {
        count += is_pending(&fake->records[i]);
    }
    return count;
}

uint32_t fake_engine_pending_at(const struct fake_engine *fake, uint32_t nth)
{
    for (uint32_t i = fake->first_pending; i < fake->record_count; i++) {
        if (is_pending(&fake->records[i]) && nth-- == 0) {
            return i;
        }
    }
    fprintf(stderr, "fewer ops are pending than the test thinks\n");
    abort();
}

void fake_engine_fire(struct fake_engine *fake, uint32_t slot)
{
    fake->fired |= 1u << slot;
}

uint32_t fake_engine_count(const struct fake_engine *fake, enum io_opcode opcode)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < fake->record_count; i++) {
        count += fake->records[i].opcode == opcode;
    }
    return count;
}

void fake_engine_forget(struct fake_engine *fake)
{
    for (uint32_t i = 0; i < fake->record_count; i++) {
        assert(fake->records[i].completed);
    }
    fake->record_count = 0;
    fake->submitted_records = 0;
    fake->first_pending = 0;
}
