/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Looks for many short byte sequences at once, at any alignment, in memory that comes in chunks.
 *
 * A sequence is a *piece* of exactly PIECE_BYTES; longer things are looked for by several pieces.
 * One pass costs about a nanosecond per byte however many pieces there are. Belongs to one thread.
 */
#ifndef UBIBLK_SUPPORT_PIECE_SEARCH_H
#define UBIBLK_SUPPORT_PIECE_SEARCH_H

#include <stddef.h>
#include <stdint.h>

enum { PIECE_BYTES = 16 };

struct piece_search;

/* Called for each hit, in the order of addresses; owner and offset are those of the piece. */
typedef void (*piece_hit_fn)(void *context, uint64_t address, uint32_t owner, uint32_t offset);

/* Returns owned, or NULL when out of memory. hit (required) is called with context by feeding. */
struct piece_search *piece_search_create(piece_hit_fn hit, void *context);
void piece_search_destroy(struct piece_search *search);

/*
 * Adds a piece (copied), which lies offset bytes into what owner stands for. The same bytes may be
 * added for several owners: each has its hit. 0 or -ENOMEM.
 */
int piece_search_add(struct piece_search *search, const uint8_t *piece, uint32_t owner,
                     uint32_t offset);

/*
 * Searches byte_len bytes that lie at address. A piece that begins in one call and ends in the next
 * is found if the second one's address is where the first one ended.
 */
void piece_search_feed(struct piece_search *search, uint64_t address, const uint8_t *bytes,
                       size_t byte_len);

#endif
