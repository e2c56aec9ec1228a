/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Random batches of transfers through both engines, on one file through the page cache and with
 * O_DIRECT, against a model in memory. Transfers in flight at the same time do not overlap.
 */
#include "io/io_engine.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/disk_file.h"
#include "support/test_scale.h"

enum {
    DEPTH = 32,
    IOV_MANY = 40,
    FILE_BYTES = 4 << 20,
    CELL_BYTES = FILE_BYTES / DEPTH, /* the part of the file and of the memory of one op */
    AREA_BYTES = DEPTH * 2 * CELL_BYTES
};

struct slot {
    bool busy;
    struct io_op op;
    struct iovec iov[IOV_MANY];
    struct iovec plain[IOV_MANY]; /* as it was before the engine had it */
    uint32_t iov_count;
};

struct check {
    struct disk_file file;
    struct io_engine *engine;
    char *area;  /* registered */
    char *model; /* what the file holds */
    struct slot slots[DEPTH];
    struct test_random random;
    uint64_t unit; /* offsets and lengths */
};

static void cut_into_pieces(struct check *c, struct slot *slot, char *memory, uint64_t byte_len)
{
    slot->iov_count = 0;
    while (byte_len > 0) {
        uint64_t units = byte_len / c->unit;
        uint64_t piece = byte_len;
        if (slot->iov_count < IOV_MANY - 1 && test_random_one_in(&c->random, 2)) {
            piece = (1 + test_random_below(&c->random, units)) * c->unit;
        }
        slot->plain[slot->iov_count++] = (struct iovec){memory, piece};
        memory += piece + (test_random_one_in(&c->random, 2) ? c->unit : 0); /* with gaps */
        byte_len -= piece;
    }
}

static void start(struct check *c, uint32_t index)
{
    struct slot *slot = &c->slots[index];
    uint64_t units = CELL_BYTES / c->unit;
    uint64_t first = test_random_below(&c->random, units);
    uint64_t count = 1 + test_random_below(&c->random, units - first);
    bool write = test_random_one_in(&c->random, 2);
    char *memory = c->area + (size_t)index * 2 * CELL_BYTES;
    if (test_random_one_in(&c->random, 4)) {
        count = count % 8 + 1 <= units - first ? count % 8 + 1 : 1; /* small ones as well */
    }
    cut_into_pieces(c, slot, memory, count * c->unit);
    memcpy(slot->iov, slot->plain, sizeof(slot->iov));
    slot->op = (struct io_op){
        .opcode = write ? IO_WRITEV : IO_READV,
        .flags = write && test_random_one_in(&c->random, 8) ? IO_DSYNC : 0,
        .buffer_index = slot->iov_count == 1 && test_random_one_in(&c->random, 2) ? 0 : -1,
        .iov = slot->iov,
        .iov_count = slot->iov_count,
        .byte_offset = (uint64_t)index * CELL_BYTES + first * c->unit,
        .byte_len = count * c->unit,
        .result = 77,
    };
    for (uint32_t i = 0; i < slot->iov_count; i++) {
        memset(slot->plain[i].iov_base, (int)test_random_next(&c->random), slot->plain[i].iov_len);
    }
    slot->busy = true;
    io_engine_prep(c->engine, &slot->op);
}

static void finish(struct check *c, struct io_op *op)
{
    uint32_t index = (uint32_t)(op->byte_offset / CELL_BYTES);
    struct slot *slot = &c->slots[index];
    char *model = c->model + op->byte_offset;
    assert_ptr_equal(&slot->op, op);
    assert_true(slot->busy);
    assert_int_equal(0, op->result);
    for (uint32_t i = 0; i < slot->iov_count; i++) {
        const struct iovec *piece = &slot->plain[i];
        if (op->opcode == IO_WRITEV) {
            memcpy(model, piece->iov_base, piece->iov_len);
        } else if (memcmp(model, piece->iov_base, piece->iov_len) != 0) {
            fail_msg("a read at %llu brought something else", (unsigned long long)op->byte_offset);
        }
        model += piece->iov_len;
    }
    slot->busy = false;
}

static void reap_some(struct check *c)
{
    struct io_op *done[DEPTH];
    if (test_random_one_in(&c->random, 2)) {
        assert_int_equal(0, io_engine_wait(c->engine, UINT64_MAX));
    } else {
        assert_int_equal(0, io_engine_submit(c->engine));
    }
    uint32_t count = io_engine_reap(c->engine, done, DEPTH);
    for (uint32_t i = 0; i < count; i++) {
        finish(c, done[i]);
    }
}

static void run_transfers(struct check *c, uint64_t transfers)
{
    while (transfers > 0 || io_engine_in_flight(c->engine) > 0) {
        uint64_t batch = test_random_below(&c->random, DEPTH);
        for (; batch > 0 && transfers > 0; batch--) {
            uint32_t index = (uint32_t)test_random_below(&c->random, DEPTH);
            if (!c->slots[index].busy) {
                start(c, index);
                transfers--;
            }
        }
        if (io_engine_in_flight(c->engine) > 0) {
            reap_some(c);
        }
    }
}

static void open_file(struct check *c, enum direct_io direct_io)
{
    char path[] = "/tmp/ubiblk-io-random-XXXXXX";
    struct error error;
    int fd = mkstemp(path);
    assert_int_equal(0, ftruncate(fd, FILE_BYTES));
    close(fd);
    struct disk_file_params params = {
        .path = path, .direct_io = direct_io, .logical_block_size = 512};
    int ret = disk_file_open(&params, NULL, &c->file, &error);
    unlink(path);
    if (ret == -EOPNOTSUPP) {
        skip_because(error.message);
    }
    assert_int_equal(0, ret);
}

static void check_engine(enum io_engine_kind kind, enum direct_io direct_io)
{
    uint64_t transfers = test_count(1000, 50000);
    struct check *c = calloc(1, sizeof(*c));
    struct error error;
    test_print_scale(transfers, "transfers");
    open_file(c, direct_io);
    c->random.state = test_seed();
    c->unit = c->file.direct ? 512 : 1 + test_random_below(&c->random, 900);
    c->model = calloc(1, FILE_BYTES);
    c->area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec buffer = {c->area, AREA_BYTES};
    struct io_engine_params params = {.kind = kind,
                                      .depth = DEPTH,
                                      .fds = &c->file.fd,
                                      .fd_count = 1,
                                      .buffers = &buffer,
                                      .buffer_count = 1};
    assert_int_equal(0, io_engine_create(&params, &c->engine, &error));
    run_transfers(c, transfers);
    io_engine_destroy(c->engine);
    disk_file_close(&c->file);
    munmap(c->area, AREA_BYTES);
    free(c->model);
    free(c);
}

static void io_uring_agrees_with_the_model_through_the_page_cache(void **state)
{
    (void)state;
    check_engine(IO_ENGINE_URING, DIRECT_IO_FALSE);
}

static void io_uring_agrees_with_the_model_with_direct_io(void **state)
{
    (void)state;
    check_engine(IO_ENGINE_URING, DIRECT_IO_TRUE);
}

static void sync_agrees_with_the_model_through_the_page_cache(void **state)
{
    (void)state;
    check_engine(IO_ENGINE_SYNC, DIRECT_IO_FALSE);
}

static void sync_agrees_with_the_model_with_direct_io(void **state)
{
    (void)state;
    check_engine(IO_ENGINE_SYNC, DIRECT_IO_TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(io_uring_agrees_with_the_model_through_the_page_cache),
        cmocka_unit_test(io_uring_agrees_with_the_model_with_direct_io),
        cmocka_unit_test(sync_agrees_with_the_model_through_the_page_cache),
        cmocka_unit_test(sync_agrees_with_the_model_with_direct_io),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
