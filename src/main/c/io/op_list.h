/* SPDX-License-Identifier: AGPL-3.0-only */
/* First in, first out, through io_op.next: what an engine has in hand outside the kernel. */
#ifndef UBIBLK_IO_OP_LIST_H
#define UBIBLK_IO_OP_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "io/io_engine.h"

/* Zeroed: empty. An op is in one list at most. */
struct op_list {
    struct io_op *first;
    struct io_op *last;
};

static inline bool op_list_empty(const struct op_list *list)
{
    return list->first == NULL;
}

static inline void op_list_append(struct op_list *list, struct io_op *op)
{
    op->next = NULL;
    if (list->first == NULL) {
        list->first = op;
    } else {
        list->last->next = op;
    }
    list->last = op;
}

/* NULL when empty. */
static inline struct io_op *op_list_take(struct op_list *list)
{
    struct io_op *op = list->first;
    if (op != NULL) {
        list->first = op->next;
        op->next = NULL;
    }
    return op;
}

/* Moves up to max ops into ops, oldest first; returns how many. */
static inline uint32_t op_list_take_many(struct op_list *list, struct io_op **ops, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && !op_list_empty(list)) {
        ops[count++] = op_list_take(list);
    }
    return count;
}

#endif
