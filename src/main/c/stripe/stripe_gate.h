/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Lets the requests of one queue pass, or holds them until their stripes are there.
 *
 * A held request stands in the line of one stripe, the first of its stripes that it cannot touch
 * yet; the control plane is told of all of them at once, up to 256 ahead. It never holds up a
 * request for another stripe. When its stripe is published it is looked at again: it goes, or it
 * stands in the line of the next. Of the requests in one line, those that may go are let go in the
 * order in which they came. (One that enters after the publishing and before the look goes before
 * them.)
 *
 * Nothing is allocated after create. Queue thread only.
 */
#ifndef UBIBLK_STRIPE_STRIPE_GATE_H
#define UBIBLK_STRIPE_STRIPE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "stripe/stripe_map.h"

struct stripe_line; /* of one stripe */

/* Part of a request. The caller sets the first three before stripe_gate_enter. */
struct stripe_waiter {
    uint64_t sector;
    uint32_t sector_count; /* not 0; within the disk */
    bool write;
    /* The gate's own. */
    bool held;
    bool expired;     /* set when it is handed back because its time was over */
    uint32_t unasked; /* its stripes from here on are still to be asked for */
    uint64_t deadline_ns;
    struct stripe_line *line; /* where it stands */
    struct stripe_waiter *next;
    struct stripe_waiter *previous;
};

struct stripe_waiter_list {
    struct stripe_waiter *first;
    struct stripe_waiter *last;
};

/* Only stripe_gate.c looks inside; it is here for the fast path of stripe_gate_enter. */
struct stripe_gate {
    struct stripe_map *map;
    uint32_t queue;
    uint32_t capacity;
    uint32_t held;
    uint32_t bucket_shift;
    uint64_t timeout_ns;
    uint64_t deadline_ns;            /* no held request has an earlier one */
    struct stripe_waiter_list ready; /* for stripe_gate_next */
    struct stripe_line *first_line;  /* the lines with somebody in them */
    struct stripe_line *last_line;
    struct stripe_line *free_lines;
    struct stripe_line **buckets; /* lines by a hash of their stripe */
    struct stripe_line *lines;
};

/*
 * The gate of queue number queue, for at most capacity (at least 1) held requests. timeout_ns is
 * how long a request is held at most (UINT64_MAX: for ever). map is kept. Returns 0 with *out
 * owned, or -ENOMEM with a sentence.
 */
int stripe_gate_create(struct stripe_map *map, uint32_t queue, uint32_t capacity,
                       uint64_t timeout_ns, struct stripe_gate **out, struct error *error);

/* Holds nothing, and stripe_gate_next has nothing left (asserted). NULL is fine. */
void stripe_gate_destroy(struct stripe_gate *gate);

/* stripe_gate_enter where the map is not open. */
bool stripe_gate_enter_closed(struct stripe_gate *gate, struct stripe_waiter *waiter,
                              uint64_t now_ns);

/* Whether it has nothing: no request is held, none waits for stripe_gate_next. */
static inline bool stripe_gate_idle(const struct stripe_gate *gate)
{
    return gate->held == 0 && !gate->ready.first;
}

/* Whether every request may go, now and for ever. */
static inline bool stripe_gate_open(const struct stripe_gate *gate)
{
    return stripe_map_open(gate->map);
}

/* True: the request may go. False: it is held, and comes out of stripe_gate_next or
 * stripe_gate_withdraw. Once the map is open the waiter is not even touched. */
static inline bool stripe_gate_enter(struct stripe_gate *gate, struct stripe_waiter *waiter,
                                     uint64_t now_ns)
{
    return stripe_gate_open(gate) || stripe_gate_enter_closed(gate, waiter, now_ns);
}

/*
 * Looks at the held requests if something was published or a deadline has passed since the last
 * call; else costs one load. Those that may go, or that expired, then come out of
 * stripe_gate_next.
 */
void stripe_gate_look(struct stripe_gate *gate, uint64_t now_ns);

/* A request that is no longer held, first let go first; waiter->expired says why. NULL: no more. */
struct stripe_waiter *stripe_gate_next(struct stripe_gate *gate);

/* Takes a held request (asserted) out; it will not come out of stripe_gate_next. */
void stripe_gate_withdraw(struct stripe_gate *gate, struct stripe_waiter *waiter);

/* Expires every held request: they come out of stripe_gate_next. */
void stripe_gate_expire_all(struct stripe_gate *gate);

/* Held requests. */
uint32_t stripe_gate_held(const struct stripe_gate *gate);

/* When the first of them expires; UINT64_MAX: never. May be too early, never too late. */
uint64_t stripe_gate_deadline_ns(const struct stripe_gate *gate);

#endif
