/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/key_traces.h"

#include <string.h>

#if KEY_TRACES_CAN_BE_SEEN

enum {
    STACK_BYTES = 32768,
    VECTOR_BYTES = 64,
    VECTORS = 32,
    GENERALS = 9,
    WINDOW_BYTES = 8,
    WINDOW_STEP = 4,
};

static struct {
    uint64_t general[GENERALS];
    uint8_t vector[VECTORS][VECTOR_BYTES];
    uint8_t stack[STACK_BYTES];
} noted;

__attribute__((noinline)) void key_traces_forget(void)
{
    uint8_t stale[STACK_BYTES];
    explicit_bzero(stale, sizeof(stale));
}

#define STORE(instruction, name, number, place)                                                    \
    __asm__ volatile(instruction " %%" name #number ", %0" : "=m"(place))

#define STORE_EIGHT(instruction, name, first, a, b, c, d, e, f, g, h)                              \
    do {                                                                                           \
        STORE(instruction, name, a, noted.vector[(first)]);                                        \
        STORE(instruction, name, b, noted.vector[(first) + 1]);                                    \
        STORE(instruction, name, c, noted.vector[(first) + 2]);                                    \
        STORE(instruction, name, d, noted.vector[(first) + 3]);                                    \
        STORE(instruction, name, e, noted.vector[(first) + 4]);                                    \
        STORE(instruction, name, f, noted.vector[(first) + 5]);                                    \
        STORE(instruction, name, g, noted.vector[(first) + 6]);                                    \
        STORE(instruction, name, h, noted.vector[(first) + 7]);                                    \
    } while (0)

#define STORE_SIXTEEN(instruction, name)                                                           \
    do {                                                                                           \
        STORE_EIGHT(instruction, name, 0, 0, 1, 2, 3, 4, 5, 6, 7);                                 \
        STORE_EIGHT(instruction, name, 8, 8, 9, 10, 11, 12, 13, 14, 15);                           \
    } while (0)

/* Nothing here uses a vector register before it is stored, or stack below the caller's but for a
 * few words. */
__attribute__((noinline, no_sanitize("thread", "undefined"))) void key_traces_note(void)
{
    STORE("movq", "rax", , noted.general[0]);
    STORE("movq", "rcx", , noted.general[1]);
    STORE("movq", "rdx", , noted.general[2]);
    STORE("movq", "rsi", , noted.general[3]);
    STORE("movq", "rdi", , noted.general[4]);
    STORE("movq", "r8", , noted.general[5]);
    STORE("movq", "r9", , noted.general[6]);
    STORE("movq", "r10", , noted.general[7]);
    STORE("movq", "r11", , noted.general[8]);
    if (__builtin_cpu_supports("avx512f")) {
        STORE_SIXTEEN("vmovdqu64", "zmm");
        STORE_EIGHT("vmovdqu64", "zmm", 16, 16, 17, 18, 19, 20, 21, 22, 23);
        STORE_EIGHT("vmovdqu64", "zmm", 24, 24, 25, 26, 27, 28, 29, 30, 31);
    } else if (__builtin_cpu_supports("avx")) {
        STORE_SIXTEEN("vmovdqu", "ymm");
    } else {
        STORE_SIXTEEN("movdqu", "xmm");
    }
    const volatile uint8_t *stack = (const uint8_t *)__builtin_frame_address(0) - STACK_BYTES;
    for (size_t i = 0; i < STACK_BYTES; i++)
        noted.stack[i] = stack[i];
}

static size_t count(const void *bytes, size_t byte_len, const uint8_t *secret, size_t secret_bytes)
{
    size_t found = 0;
    for (size_t at = 0; at + WINDOW_BYTES <= byte_len; at++) {
        for (size_t from = 0; from + WINDOW_BYTES <= secret_bytes; from += WINDOW_STEP)
            found += memcmp((const uint8_t *)bytes + at, secret + from, WINDOW_BYTES) == 0;
    }
    return found;
}

size_t key_traces_in_registers(const uint8_t *secret, size_t byte_len)
{
    return count(noted.general, sizeof(noted.general), secret, byte_len) +
           count(noted.vector, sizeof(noted.vector), secret, byte_len);
}

size_t key_traces_on_stack(const uint8_t *secret, size_t byte_len)
{
    return count(noted.stack, sizeof(noted.stack), secret, byte_len);
}

#endif
