/* SPDX-License-Identifier: AGPL-3.0-only */
/* Reads just as much JSON as the vectors use: no escapes, no nesting inside an object. */
#include "vectors.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void vector_fail(const char *what, const char *name)
{
    fprintf(stderr, "vectors: %s: %s\n", name, what);
    abort();
}

uint8_t *vector_file(const char *path, size_t *byte_len)
{
    char full[4096];
    snprintf(full, sizeof(full), "%s/vectors/%s", UBIBLK_TEST_RESOURCES_DIR, path);
    FILE *file = fopen(full, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        vector_fail("cannot be opened", full);
    long size = ftell(file);
    rewind(file);
    uint8_t *bytes = size < 0 ? NULL : malloc((size_t)size + 1);
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size)
        vector_fail("cannot be read", full);
    fclose(file);
    bytes[size] = 0;
    *byte_len = (size_t)size;
    return bytes;
}

bool vector_next(const char *text, const char **position, struct vector_object *object)
{
    const char *start = strchr(*position ? *position : text, '{');
    const char *end = start ? strchr(start, '}') : NULL;
    if (!end)
        return false;
    *object = (struct vector_object){start, end};
    *position = end;
    return true;
}

/* The first character of the member's value. */
static const char *vector_value(const struct vector_object *object, const char *member)
{
    char quoted[64];
    int length = snprintf(quoted, sizeof(quoted), "\"%s\":", member);
    assert(length > 0 && (size_t)length < sizeof(quoted));
    const char *found = strstr(object->start, quoted);
    if (!found || found > object->end)
        vector_fail("no such member", member);
    found += length;
    return found + strspn(found, " ");
}

static const char *vector_string_start(const struct vector_object *object, const char *member,
                                       const char **end)
{
    const char *value = vector_value(object, member);
    *end = *value == '"' ? strchr(value + 1, '"') : NULL;
    if (!*end)
        vector_fail("not a string", member);
    return value + 1;
}

void vector_hex(const struct vector_object *object, const char *member, uint8_t *bytes,
                size_t byte_len)
{
    const char *end;
    const char *start = vector_string_start(object, member, &end);
    if (!hex_decode(start, end, bytes, byte_len))
        vector_fail("not that many hex bytes", member);
}

uint64_t vector_number(const struct vector_object *object, const char *member)
{
    const char *value = vector_value(object, member);
    char *end;
    uint64_t number = strtoull(value, &end, 10);
    if (end == value)
        vector_fail("not a number", member);
    return number;
}

void vector_string(const struct vector_object *object, const char *member, char *string,
                   size_t byte_len)
{
    const char *end;
    const char *start = vector_string_start(object, member, &end);
    snprintf(string, byte_len, "%.*s", (int)(end - start), start);
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, digit);
    return found ? (int)(found - digits) : -1;
}

bool hex_decode(const char *text, const char *end, uint8_t *bytes, size_t byte_len)
{
    if ((size_t)(end - text) != 2 * byte_len)
        return false;
    for (size_t i = 0; i < byte_len; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
