/* SPDX-License-Identifier: AGPL-3.0-only */
#include "blk_request.h"

#include <assert.h>
#include <stddef.h>

static bool move_allowed(enum blk_request_state from, enum blk_request_state to)
{
    switch (to) {
    case BLK_REQUEST_FREE:
        return from == BLK_REQUEST_DONE || from == BLK_REQUEST_WAITING;
    case BLK_REQUEST_PARSED:
        return from == BLK_REQUEST_FREE;
    case BLK_REQUEST_WAITING:
        return from == BLK_REQUEST_PARSED || from == BLK_REQUEST_IN_FLIGHT;
    case BLK_REQUEST_IN_FLIGHT:
        return from == BLK_REQUEST_PARSED || from == BLK_REQUEST_WAITING;
    case BLK_REQUEST_DONE:
        return from == BLK_REQUEST_PARSED || from == BLK_REQUEST_WAITING ||
               from == BLK_REQUEST_IN_FLIGHT;
    }
    return false;
}

void blk_request_move(struct blk_request *request, enum blk_request_state to)
{
    assert(move_allowed(request->state, to));
    request->state = to;
}

void blk_request_list_append(struct blk_request_list *list, struct blk_request *request)
{
    request->next = NULL;
    if (list->first)
        list->last->next = request;
    else
        list->first = request;
    list->last = request;
}

struct blk_request *blk_request_list_take(struct blk_request_list *list)
{
    struct blk_request *request = list->first;
    if (request)
        list->first = request->next;
    return request;
}
