/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The first eight bytes of every piece are hashed. At each address of the searched memory the same
 * eight bytes are hashed and looked up in a bitmap that stays in the second-level cache; only where
 * its bit is set, the chains of a hash table are compared.
 *
 * Between two calls the last bytes of the first are kept, one less than a piece has, so that the
 * pieces which straddle the boundary are found in them and the beginning of the second, and none is
 * found twice.
 */
#include "support/piece_search.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    HASH_BITS = 19,
    BUCKETS = 1 << HASH_BITS,
    CARRY_BYTES = PIECE_BYTES - 1,
    NO_ENTRY = 0,
};

struct entry {
    uint8_t piece[PIECE_BYTES];
    uint32_t owner, offset;
    uint32_t next; /* in the bucket; NO_ENTRY ends it, so entry 0 is not used */
};

struct piece_search {
    piece_hit_fn hit;
    void *context;
    struct entry *entries;
    uint32_t entry_count, entry_capacity;
    uint8_t bitmap[BUCKETS / 8];
    uint32_t buckets[BUCKETS];
    uint64_t carry_end; /* address behind the carried bytes */
    size_t carry_len;
    uint8_t carry[CARRY_BYTES];
};

struct piece_search *piece_search_create(piece_hit_fn hit, void *context)
{
    struct piece_search *search = calloc(1, sizeof(*search));

    if (search == NULL) {
        return NULL;
    }
    search->hit = hit;
    search->context = context;
    search->entry_count = 1;
    return search;
}

void piece_search_destroy(struct piece_search *search)
{
    if (search != NULL) {
        free(search->entries);
        free(search);
    }
}

static inline uint32_t hash_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return (uint32_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HASH_BITS));
}

static bool grow(struct piece_search *search)
{
    uint32_t capacity = search->entry_capacity == 0 ? 1024 : 2 * search->entry_capacity;
    struct entry *entries = realloc(search->entries, capacity * sizeof(*entries));

    if (entries == NULL) {
        return false;
    }
    search->entries = entries;
    search->entry_capacity = capacity;
    return true;
}

int piece_search_add(struct piece_search *search, const uint8_t *piece, uint32_t owner,
                     uint32_t offset)
{
    uint32_t bucket = hash_at(piece);
    struct entry *entry;

    if (search->entry_count >= search->entry_capacity && !grow(search)) {
        return -ENOMEM;
    }
    entry = &search->entries[search->entry_count];
    memcpy(entry->piece, piece, PIECE_BYTES);
    entry->owner = owner;
    entry->offset = offset;
    entry->next = search->buckets[bucket];
    search->buckets[bucket] = search->entry_count++;
    search->bitmap[bucket / 8] |= (uint8_t)(1u << bucket % 8);
    return 0;
}

static __attribute__((noinline)) void compare(const struct piece_search *search, uint32_t bucket,
                                              uint64_t address, const uint8_t *bytes)
{
    for (uint32_t i = search->buckets[bucket]; i != NO_ENTRY; i = search->entries[i].next) {
        const struct entry *entry = &search->entries[i];
        if (memcmp(entry->piece, bytes, PIECE_BYTES) == 0) {
            search->hit(search->context, address, entry->owner, entry->offset);
        }
    }
}

static void search_flat(const struct piece_search *search, uint64_t address, const uint8_t *bytes,
                        size_t byte_len)
{
    for (size_t at = 0; at + PIECE_BYTES <= byte_len; at++) {
        uint32_t bucket = hash_at(bytes + at);
        if (search->bitmap[bucket / 8] & 1u << bucket % 8) {
            compare(search, bucket, address + at, bytes + at);
        }
    }
}

/* Pieces that begin in the carried bytes. */
static void search_boundary(const struct piece_search *search, const uint8_t *bytes,
                            size_t byte_len)
{
    uint8_t both[2 * CARRY_BYTES];
    size_t more = byte_len < CARRY_BYTES ? byte_len : CARRY_BYTES;

    memcpy(both, search->carry, search->carry_len);
    memcpy(both + search->carry_len, bytes, more);
    search_flat(search, search->carry_end - search->carry_len, both, search->carry_len + more);
}

/* The last bytes of what was carried and of this call together. */
static void carry_on(struct piece_search *search, const uint8_t *bytes, size_t byte_len)
{
    size_t fresh = byte_len < CARRY_BYTES ? byte_len : CARRY_BYTES;
    size_t old = search->carry_len < CARRY_BYTES - fresh ? search->carry_len : CARRY_BYTES - fresh;

    memmove(search->carry, search->carry + search->carry_len - old, old);
    memcpy(search->carry + old, bytes + byte_len - fresh, fresh);
    search->carry_len = old + fresh;
    search->carry_end += byte_len;
}

void piece_search_feed(struct piece_search *search, uint64_t address, const uint8_t *bytes,
                       size_t byte_len)
{
    if (byte_len == 0) {
        return;
    }
    if (address != search->carry_end) {
        search->carry_len = 0;
        search->carry_end = address;
    }
    search_boundary(search, bytes, byte_len);
    search_flat(search, address, bytes, byte_len);
    carry_on(search, bytes, byte_len);
}
