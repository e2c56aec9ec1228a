/* SPDX-License-Identifier: AGPL-3.0-only */
/* What only the synchronous engine does; the rest is in io_engine_test.c. */
#include "io/sync_engine.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct io_engine *create(int *fd)
{
    char path[] = "/tmp/ubiblk-sync-engine-XXXXXX";
    struct error error;
    struct io_engine *engine;
    *fd = mkstemp(path);
    unlink(path);
    struct io_engine_params params = {.kind = IO_ENGINE_SYNC, .depth = 8, .fds = fd, .fd_count = 1};
    assert_int_equal(0, sync_engine_create(&params, &engine, &error));
    return engine;
}

static void carries_ops_out_in_the_order_of_prep(void **state)
{
    (void)state;
    int fd;
    struct io_engine *engine = create(&fd);
    char bytes[8];
    struct iovec iov[8];
    struct io_op ops[8];
    struct io_op *done[8];
    for (int i = 0; i < 8; i++) { /* all to the same place: the last one stays */
        bytes[i] = (char)('a' + i);
        iov[i] = (struct iovec){&bytes[i], 1};
        ops[i] = (struct io_op){
            .opcode = IO_WRITEV, .buffer_index = -1, .iov = &iov[i], .iov_count = 1, .byte_len = 1};
        io_engine_prep(engine, &ops[i]);
        assert_int_equal(0, lseek(fd, 0, SEEK_END)); /* not before submit */
    }
    assert_int_equal(0, io_engine_submit(engine));
    char byte;
    assert_int_equal(1, pread(fd, &byte, 1, 0));
    assert_int_equal('h', byte);
    assert_int_equal(8, io_engine_reap(engine, done, 8));
    for (int i = 0; i < 8; i++) {
        assert_ptr_equal(&ops[i], done[i]);
    }
    io_engine_destroy(engine);
    close(fd);
}

static void never_reads_from_a_watched_fd(void **state)
{
    (void)state;
    int fd;
    struct io_engine *engine = create(&fd);
    int event_fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(0, io_engine_watch(engine, 0, event_fd));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(0, eventfd_write(event_fd, 1));
        assert_int_equal(0, io_engine_wait(engine, UINT64_MAX));
        assert_int_equal(1, io_engine_fired(engine));
    }
    eventfd_t value;
    assert_int_equal(0, eventfd_read(event_fd, &value));
    assert_int_equal(3, value);
    assert_int_equal(-EEXIST, io_engine_watch(engine, 1, event_fd)); /* one slot per fd */
    io_engine_destroy(engine);
    close(event_fd);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_ops_out_in_the_order_of_prep),
        cmocka_unit_test(never_reads_from_a_watched_fd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
