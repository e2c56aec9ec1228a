/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A line is a list of the requests that wait for one stripe. Nobody stands in two lines, so there
 * are never more lines than held requests, and all of them are made at the start. A hash table
 * finds the line of a stripe; a list of the lines in use is what a look goes over.
 *
 * A request moves forward from stripe to stripe, so going over a large one costs one look at each
 * of its stripes in all. Only when its last stripe goes, all are looked at once more: READABLE is
 * taken back when an fsync fails, and a stripe that was passed may be closed again.
 *
 * A look first lets go whom it can, then asks for every stripe that somebody stands in line for
 * (most were asked for before; after a full ring some were not), and only then for those further
 * on, so that one huge request does not keep a full ring from all others.
 */
#include "stripe/stripe_gate.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/minmax.h"

struct stripe_line {
    uint32_t stripe;
    struct stripe_waiter_list waiters; /* never empty while in use */
    struct stripe_line *next;          /* in use, or free */
    struct stripe_line *previous;      /* in use */
    struct stripe_line *bucket_next;
};

/* Knuth's multiplicative hashing: the high bits of the product. */
enum { HASH_BITS = 32 };

/* The most that fetch_concurrency allows. */
enum { ASK_AHEAD = 256 };
#define HASH_FACTOR UINT32_C(2654435769)

static void list_append(struct stripe_waiter_list *list, struct stripe_waiter *waiter)
{
    waiter->next = NULL;
    waiter->previous = list->last;
    if (list->last)
        list->last->next = waiter;
    else
        list->first = waiter;
    list->last = waiter;
}

static void list_remove(struct stripe_waiter_list *list, struct stripe_waiter *waiter)
{
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        list->first = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    else
        list->last = waiter->previous;
}

int stripe_gate_create(struct stripe_map *map, uint32_t queue, uint32_t capacity,
                       uint64_t timeout_ns, struct stripe_gate **out, struct error *error)
{
    assert(queue < map->queue_count);
    assert(capacity >= 1);
    uint32_t bucket_bits = 1;
    while ((UINT32_C(1) << bucket_bits) < capacity)
        bucket_bits++;
    struct stripe_gate *gate = calloc(1, sizeof(*gate));
    struct stripe_line *lines = calloc(capacity, sizeof(*lines));
    struct stripe_line **buckets = calloc((size_t)1 << bucket_bits, sizeof(struct stripe_line *));
    if (!gate || !lines || !buckets) {
        free(buckets);
        free(lines);
        free(gate);
        return error_set_errno(error, -ENOMEM,
                               "cannot allocate a gate for %" PRIu32 " held requests", capacity);
    }
    *gate = (struct stripe_gate){.map = map,
                                 .queue = queue,
                                 .capacity = capacity,
                                 .bucket_shift = HASH_BITS - bucket_bits,
                                 .timeout_ns = timeout_ns,
                                 .deadline_ns = UINT64_MAX,
                                 .buckets = buckets,
                                 .lines = lines};
    for (uint32_t i = capacity; i-- > 0;) {
        lines[i].next = gate->free_lines;
        gate->free_lines = &lines[i];
    }
    *out = gate;
    return 0;
}

void stripe_gate_destroy(struct stripe_gate *gate)
{
    if (!gate)
        return;
    assert(gate->held == 0);
    assert(!gate->ready.first);
    free(gate->buckets);
    free(gate->lines);
    free(gate);
}

/* Where the pointer to the stripe's line is, or would be. */
static struct stripe_line **line_slot(struct stripe_gate *gate, uint32_t stripe)
{
    struct stripe_line **slot = &gate->buckets[(stripe * HASH_FACTOR) >> gate->bucket_shift];
    while (*slot && (*slot)->stripe != stripe)
        slot = &(*slot)->bucket_next;
    return slot;
}

static struct stripe_line *line_open(struct stripe_gate *gate, uint32_t stripe)
{
    struct stripe_line **slot = line_slot(gate, stripe);
    if (*slot)
        return *slot;
    struct stripe_line *line = gate->free_lines;
    gate->free_lines = line->next;
    *line = (struct stripe_line){.stripe = stripe, .previous = gate->last_line};
    if (gate->last_line)
        gate->last_line->next = line;
    else
        gate->first_line = line;
    gate->last_line = line;
    *slot = line;
    return line;
}

static void line_close(struct stripe_gate *gate, struct stripe_line *line)
{
    *line_slot(gate, line->stripe) = line->bucket_next;
    if (line->previous)
        line->previous->next = line->next;
    else
        gate->first_line = line->next;
    if (line->next)
        line->next->previous = line->previous;
    else
        gate->last_line = line->previous;
    line->next = gate->free_lines;
    gate->free_lines = line;
}

static void stand_in_line(struct stripe_gate *gate, struct stripe_waiter *waiter, uint32_t stripe)
{
    waiter->line = line_open(gate, stripe);
    list_append(&waiter->line->waiters, waiter);
}

static void leave_line(struct stripe_gate *gate, struct stripe_waiter *waiter)
{
    list_remove(&waiter->line->waiters, waiter);
    if (!waiter->line->waiters.first)
        line_close(gate, waiter->line);
    waiter->line = NULL;
}

static void hold(struct stripe_gate *gate, struct stripe_waiter *waiter, uint32_t stripe)
{
    assert(gate->held < gate->capacity);
    stand_in_line(gate, waiter, stripe);
    waiter->held = true;
    if (waiter->deadline_ns < gate->deadline_ns)
        gate->deadline_ns = waiter->deadline_ns;
    if (gate->held++ == 0)
        stripe_map_set_waiting(gate->map, gate->queue, true);
}

static void release(struct stripe_gate *gate, struct stripe_waiter *waiter)
{
    assert(waiter->held);
    leave_line(gate, waiter);
    waiter->held = false;
    if (--gate->held > 0)
        return;
    stripe_map_set_waiting(gate->map, gate->queue, false);
    gate->deadline_ns = UINT64_MAX;
}

static void hand_back(struct stripe_gate *gate, struct stripe_waiter *waiter, bool expired)
{
    release(gate, waiter);
    waiter->expired = expired;
    list_append(&gate->ready, waiter);
}

static uint32_t first_stripe(const struct stripe_map *map, const struct stripe_waiter *waiter)
{
    return stripe_map_stripe_of(map, waiter->sector);
}

/* One past its last. */
static uint32_t end_stripe(const struct stripe_map *map, const struct stripe_waiter *waiter)
{
    return stripe_map_stripe_of(map, waiter->sector + waiter->sector_count - 1) + 1;
}

static enum miss_kind kind_of(const struct stripe_waiter *waiter)
{
    return waiter->write ? MISS_WRITE : MISS_READ;
}

/* The first of its stripes from here on that it cannot touch yet; end_stripe when there is none. */
static uint32_t closed_from(const struct stripe_map *map, const struct stripe_waiter *waiter,
                            uint32_t stripe)
{
    uint32_t end = end_stripe(map, waiter);
    for (; stripe < end; stripe++) {
        uint8_t flags = stripe_map_flags(map, stripe);
        if (!(waiter->write ? stripe_write_goes(map, flags) : stripe_read_goes(map, flags)))
            break;
    }
    return stripe;
}

/*
 * Asks for its stripes, as far as there is room to be told of them, and no further ahead of where
 * it stands than is fetched at once: what one request makes the control plane remember is bounded,
 * however long it is.
 */
static void ask_ahead(struct stripe_gate *gate, struct stripe_waiter *waiter)
{
    uint32_t end = min_u32(end_stripe(gate->map, waiter), waiter->line->stripe + ASK_AHEAD);
    while (waiter->unasked < end && stripe_map_ask(gate->map, waiter->unasked, kind_of(waiter))) {
        waiter->unasked++;
    }
}

/* Lets it go, moves it to the line of its next closed stripe, or leaves it where it is. False: it
 * is still held. */
static bool advance(struct stripe_gate *gate, struct stripe_waiter *waiter)
{
    const struct stripe_map *map = gate->map;
    uint32_t end = end_stripe(map, waiter);
    uint32_t stripe = closed_from(map, waiter, waiter->line->stripe);
    if (stripe == end)
        stripe = closed_from(map, waiter, first_stripe(map, waiter));
    if (stripe == end)
        return true;
    if (stripe != waiter->line->stripe) {
        leave_line(gate, waiter);
        stand_in_line(gate, waiter, stripe);
    }
    return false;
}

static uint64_t deadline_after(uint64_t now_ns, uint64_t timeout_ns)
{
    return timeout_ns < UINT64_MAX - now_ns ? now_ns + timeout_ns : UINT64_MAX;
}

bool stripe_gate_enter_closed(struct stripe_gate *gate, struct stripe_waiter *waiter,
                              uint64_t now_ns)
{
    const struct stripe_map *map = gate->map;
    assert(waiter->sector_count > 0);
    assert(range_within(waiter->sector, waiter->sector_count, map->sector_count));
    waiter->held = false;
    waiter->expired = false;
    uint32_t stripe = closed_from(map, waiter, first_stripe(map, waiter));
    if (stripe == end_stripe(map, waiter))
        return true;
    waiter->deadline_ns = deadline_after(now_ns, gate->timeout_ns);
    waiter->unasked = stripe;
    hold(gate, waiter, stripe);
    ask_ahead(gate, waiter);
    /* Whatever was published before the publisher could see that we wait. */
    if (!advance(gate, waiter))
        return false;
    release(gate, waiter);
    return true;
}

static void look_at(struct stripe_gate *gate, struct stripe_waiter *waiter, uint64_t now_ns)
{
    if (advance(gate, waiter))
        hand_back(gate, waiter, false);
    else if (waiter->deadline_ns <= now_ns)
        hand_back(gate, waiter, true);
}

static void ask_again(struct stripe_gate *gate)
{
    struct stripe_line *line;
    struct stripe_waiter *waiter;
    gate->deadline_ns = UINT64_MAX;
    for (line = gate->first_line; line; line = line->next) {
        for (waiter = line->waiters.first; waiter; waiter = waiter->next) {
            stripe_map_ask(gate->map, line->stripe, kind_of(waiter));
            if (waiter->deadline_ns < gate->deadline_ns)
                gate->deadline_ns = waiter->deadline_ns;
        }
    }
    for (line = gate->first_line; line; line = line->next) {
        for (waiter = line->waiters.first; waiter; waiter = waiter->next)
            ask_ahead(gate, waiter);
    }
}

void stripe_gate_look(struct stripe_gate *gate, uint64_t now_ns)
{
    if (!stripe_map_was_woken(gate->map, gate->queue) && now_ns < gate->deadline_ns)
        return;
    struct stripe_line *next_line;
    for (struct stripe_line *line = gate->first_line; line; line = next_line) {
        next_line = line->next; /* the line ends with its last waiter */
        struct stripe_waiter *next;
        for (struct stripe_waiter *waiter = line->waiters.first; waiter; waiter = next) {
            next = waiter->next;
            look_at(gate, waiter, now_ns);
        }
    }
    ask_again(gate);
}

struct stripe_waiter *stripe_gate_next(struct stripe_gate *gate)
{
    struct stripe_waiter *waiter = gate->ready.first;
    if (waiter)
        list_remove(&gate->ready, waiter);
    return waiter;
}

void stripe_gate_withdraw(struct stripe_gate *gate, struct stripe_waiter *waiter)
{
    release(gate, waiter);
}

void stripe_gate_expire_all(struct stripe_gate *gate)
{
    while (gate->first_line)
        hand_back(gate, gate->first_line->waiters.first, true);
}

uint32_t stripe_gate_held(const struct stripe_gate *gate)
{
    return gate->held;
}

uint64_t stripe_gate_deadline_ns(const struct stripe_gate *gate)
{
    return gate->deadline_ns;
}
