/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the libFuzzer targets share: the entry point, a reader of the input, and a check that stays
 * in every build.
 *
 * A target keeps what is costly to make (memory maps, threads) from one input to the next, and
 * resets whatever an input can change.
 */
#ifndef UBIBLK_FUZZ_FUZZ_TARGET_H
#define UBIBLK_FUZZ_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_len);

#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The part of the input that was not read yet. */
struct fuzz_input {
    const uint8_t *bytes;
    size_t byte_len;
};

/* Takes up to byte_len bytes; what is missing stays 0. Returns how many there were. */
static inline size_t fuzz_take(struct fuzz_input *input, void *to, size_t byte_len)
{
    size_t part = byte_len < input->byte_len ? byte_len : input->byte_len;
    memset(to, 0, byte_len);
    if (part > 0) {
        memcpy(to, input->bytes, part);
    }
    input->bytes += part;
    input->byte_len -= part;
    return part;
}

static inline uint8_t fuzz_take_u8(struct fuzz_input *input)
{
    uint8_t value;
    fuzz_take(input, &value, sizeof(value));
    return value;
}

static inline uint16_t fuzz_take_u16(struct fuzz_input *input)
{
    uint16_t value;
    fuzz_take(input, &value, sizeof(value));
    return value;
}

#endif
