/* SPDX-License-Identifier: AGPL-3.0-only */
/* The life of a request's slot, move by move, and the lists that requests wait in. */
#include "blk/blk_request.h"

#include <string.h>

#include "support/aborts.h"
#include "support/cmocka_test.h"

enum { STATES = BLK_REQUEST_DONE + 1 };

/* The table of blk_request.h, by from and to. */
static const bool legal[STATES][STATES] = {
    [BLK_REQUEST_FREE] = {[BLK_REQUEST_PARSED] = true},
    [BLK_REQUEST_PARSED] =
        {[BLK_REQUEST_WAITING] = true, [BLK_REQUEST_IN_FLIGHT] = true, [BLK_REQUEST_DONE] = true},
    [BLK_REQUEST_WAITING] =
        {[BLK_REQUEST_IN_FLIGHT] = true, [BLK_REQUEST_DONE] = true, [BLK_REQUEST_FREE] = true},
    [BLK_REQUEST_IN_FLIGHT] = {[BLK_REQUEST_WAITING] = true, [BLK_REQUEST_DONE] = true},
    [BLK_REQUEST_DONE] = {[BLK_REQUEST_FREE] = true},
};

struct move {
    enum blk_request_state from;
    enum blk_request_state to;
};

static void make_move(void *argument)
{
    const struct move *move = argument;
    struct blk_request request = {.state = move->from};
    blk_request_move(&request, move->to);
}

static void makes_every_legal_move(void **state)
{
    (void)state;
    for (int from = 0; from < STATES; from++) {
        for (int to = 0; to < STATES; to++) {
            if (legal[from][to]) {
                struct blk_request request = {.state = (enum blk_request_state)from};
                blk_request_move(&request, (enum blk_request_state)to);
                assert_int_equal(to, request.state);
            }
        }
    }
}

static void asserts_at_every_illegal_move(void **state)
{
    (void)state;
    for (int from = 0; from < STATES; from++) {
        for (int to = 0; to < STATES; to++) {
            struct move move = {(enum blk_request_state)from, (enum blk_request_state)to};
            assert_int_equal(!legal[from][to], call_aborts(make_move, &move));
        }
    }
}

static void asserts_at_a_move_to_no_state(void **state)
{
    (void)state;
    struct move move = {BLK_REQUEST_PARSED, (enum blk_request_state)STATES};
    assert_true(call_aborts(make_move, &move));
}

static void is_free_when_zeroed(void **state)
{
    (void)state;
    struct blk_request request;
    memset(&request, 0, sizeof(request));
    assert_int_equal(BLK_REQUEST_FREE, request.state);
}

static void hands_out_requests_in_the_order_they_came(void **state)
{
    (void)state;
    struct blk_request requests[3] = {{.slot = 0}, {.slot = 1}, {.slot = 2}};
    struct blk_request_list list = {0};
    assert_null(blk_request_list_take(&list));
    for (int i = 0; i < 3; i++) {
        requests[i].next = &requests[0]; /* whatever was there */
        blk_request_list_append(&list, &requests[i]);
    }
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(&requests[i], blk_request_list_take(&list));
    }
    assert_null(blk_request_list_take(&list));
}

static void can_be_filled_again_after_it_ran_empty(void **state)
{
    (void)state;
    struct blk_request requests[2] = {{.slot = 0}, {.slot = 1}};
    struct blk_request_list list = {0};
    blk_request_list_append(&list, &requests[0]);
    assert_ptr_equal(&requests[0], blk_request_list_take(&list));
    assert_null(blk_request_list_take(&list));
    blk_request_list_append(&list, &requests[1]);
    blk_request_list_append(&list, &requests[0]);
    assert_ptr_equal(&requests[1], blk_request_list_take(&list));
    assert_ptr_equal(&requests[0], blk_request_list_take(&list));
    assert_null(blk_request_list_take(&list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_every_legal_move),
        cmocka_unit_test(asserts_at_every_illegal_move),
        cmocka_unit_test(asserts_at_a_move_to_no_state),
        cmocka_unit_test(is_free_when_zeroed),
        cmocka_unit_test(hands_out_requests_in_the_order_they_came),
        cmocka_unit_test(can_be_filled_again_after_it_ran_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
