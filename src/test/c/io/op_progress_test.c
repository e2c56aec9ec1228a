/* SPDX-License-Identifier: AGPL-3.0-only */
#include "io/op_progress.h"

#include "support/cmocka_test.h"

#include <errno.h>

static char memory[100];

static struct io_op transfer(enum io_opcode opcode, struct iovec *iov, uint32_t iov_count)
{
    struct io_op op = {.opcode = (uint8_t)opcode, .iov = iov, .iov_count = iov_count};
    for (uint32_t i = 0; i < iov_count; i++) {
        op.byte_len += iov[i].iov_len;
    }
    op.byte_offset = 1000;
    op.result = 77;
    return op;
}

static void all_of_it_is_success(void **state)
{
    (void)state;
    struct iovec iov[2] = {{memory, 40}, {memory + 40, 60}};
    struct io_op op = transfer(IO_WRITEV, iov, 2);
    assert_true(op_progress(&op, 100));
    assert_int_equal(0, op.result);
}

static void a_part_steps_over_what_is_done(void **state)
{
    (void)state;
    struct iovec iov[3] = {{memory, 10}, {memory + 10, 20}, {memory + 30, 70}};
    struct io_op op = transfer(IO_READV, iov, 3);
    assert_false(op_progress(&op, 4)); /* within an entry */
    assert_int_equal(1004, op_position(&op));
    assert_int_equal(3, op.iov_count);
    assert_ptr_equal(memory + 4, op.iov[0].iov_base);
    assert_int_equal(6, op.iov[0].iov_len);
    assert_false(op_progress(&op, 6)); /* to the end of one */
    assert_int_equal(2, op.iov_count);
    assert_ptr_equal(memory + 10, op.iov[0].iov_base);
    assert_int_equal(20, op.iov[0].iov_len);
    assert_false(op_progress(&op, 50)); /* over one, into the next */
    assert_int_equal(1, op.iov_count);
    assert_ptr_equal(memory + 60, op.iov[0].iov_base);
    assert_int_equal(40, op.iov[0].iov_len);
    assert_int_equal(1060, op_position(&op));
    assert_true(op_progress(&op, 40));
    assert_int_equal(0, op.result);
}

static void entries_of_no_length_are_stepped_over(void **state)
{
    (void)state;
    struct iovec iov[3] = {{memory, 10}, {memory + 10, 0}, {memory + 10, 10}};
    struct io_op op = transfer(IO_READV, iov, 3);
    assert_false(op_progress(&op, 10));
    assert_int_equal(1, op.iov_count);
    assert_int_equal(10, op.iov[0].iov_len);
}

static void nothing_ends_a_read_and_a_write_with_different_errors(void **state)
{
    (void)state;
    struct iovec iov = {memory, 100};
    struct io_op op = transfer(IO_READV, &iov, 1);
    assert_true(op_progress(&op, 0));
    assert_int_equal(-ENODATA, op.result);
    op = transfer(IO_WRITEV, &iov, 1);
    assert_false(op_progress(&op, 30));
    assert_true(op_progress(&op, 0));
    assert_int_equal(-EIO, op.result);
}

static void errors_end_it(void **state)
{
    (void)state;
    struct iovec iov = {memory, 100};
    struct io_op op = transfer(IO_WRITEV, &iov, 1);
    assert_true(op_progress(&op, -ENOSPC));
    assert_int_equal(-ENOSPC, op.result);
}

static void an_interrupted_transfer_is_tried_again_but_not_for_ever(void **state)
{
    (void)state;
    const int32_t errors[2] = {-EINTR, -EAGAIN};
    for (int i = 0; i < 2; i++) {
        struct iovec iov = {memory, 100};
        struct io_op op = transfer(IO_WRITEV, &iov, 1);
        for (int j = 0; j < OP_RETRY_MAX; j++) {
            assert_false(op_progress(&op, errors[i]));
        }
        assert_false(op_progress(&op, 1)); /* progress starts the count again */
        for (int j = 0; j < OP_RETRY_MAX; j++) {
            assert_false(op_progress(&op, errors[i]));
        }
        assert_true(op_progress(&op, errors[i]));
        assert_int_equal(errors[i], op.result);
    }
}

static void a_sync_is_never_tried_again(void **state)
{
    (void)state;
    const int32_t errors[3] = {-EINTR, -EAGAIN, -EIO};
    for (int i = 0; i < 3; i++) {
        struct io_op op = {.opcode = IO_FDATASYNC};
        assert_true(op_progress(&op, errors[i]));
        assert_int_equal(errors[i], op.result);
    }
    struct io_op op = {.opcode = IO_FDATASYNC, .result = 77};
    assert_true(op_progress(&op, 0));
    assert_int_equal(0, op.result);
}

static void what_a_command_means_is_left_to_its_caller(void **state)
{
    (void)state;
    const int32_t results[] = {0, 1, 4096, -EINTR, -EAGAIN, -ENODEV};
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        struct io_op op = {.opcode = IO_COMMAND};
        assert_true(op_progress(&op, results[i]));
        assert_int_equal(results[i], op.result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_success),
        cmocka_unit_test(a_part_steps_over_what_is_done),
        cmocka_unit_test(entries_of_no_length_are_stepped_over),
        cmocka_unit_test(nothing_ends_a_read_and_a_write_with_different_errors),
        cmocka_unit_test(errors_end_it),
        cmocka_unit_test(an_interrupted_transfer_is_tried_again_but_not_for_ever),
        cmocka_unit_test(a_sync_is_never_tried_again),
        cmocka_unit_test(what_a_command_means_is_left_to_its_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
