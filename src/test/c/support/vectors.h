/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The golden vectors under src/test/resources/vectors for C tests: files as bytes, and the flat
 * JSON arrays of objects that hold hex strings and numbers.
 */
#ifndef UBIBLK_SUPPORT_VECTORS_H
#define UBIBLK_SUPPORT_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns owned the bytes of a file below the vectors directory, with a NUL behind them. Ends the
 * test when it cannot be read. */
uint8_t *vector_file(const char *path, size_t *byte_len);

/*
 * Steps through the objects of a JSON array of flat objects: *position is NULL at first (borrows
 * text), and an object is good until the text is freed. Returns false at the end.
 */
struct vector_object {
    const char *start;
    const char *end;
};
bool vector_next(const char *text, const char **position, struct vector_object *object);

/* Fills bytes from the hex string of the member; ends the test unless it has just byte_len bytes.
 */
void vector_hex(const struct vector_object *object, const char *member, uint8_t *bytes,
                size_t byte_len);

/* The number of the member; ends the test if there is none. */
uint64_t vector_number(const struct vector_object *object, const char *member);

/* Copies the string of the member, cut at byte_len. */
void vector_string(const struct vector_object *object, const char *member, char *string,
                   size_t byte_len);

/* Hex digits to bytes; returns false unless text has exactly 2 * byte_len digits up to end. */
bool hex_decode(const char *text, const char *end, uint8_t *bytes, size_t byte_len);

#endif
