/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a function has left of a key in registers and on the stack below its caller. One thread at a
 * time; x86-64 only, and not under the address sanitizer, which lays out stacks of its own.
 */
#ifndef UBIBLK_SUPPORT_KEY_TRACES_H
#define UBIBLK_SUPPORT_KEY_TRACES_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define KEY_TRACES_CAN_BE_SEEN 1
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef KEY_TRACES_CAN_BE_SEEN
#define KEY_TRACES_CAN_BE_SEEN 0
#endif
#endif
#else
#define KEY_TRACES_CAN_BE_SEEN 0
#endif

/* Overwrites the stack below the caller, so that nothing older is taken for a trace. */
void key_traces_forget(void);

/* Notes the registers that a function may leave changed, vectors in their full width, and the stack
 * below the caller. Comes right after the call that is looked at. */
void key_traces_note(void);

/*
 * At how many places of what was noted there are eight consecutive bytes of secret, which begin at
 * a multiple of four bytes of it.
 */
size_t key_traces_in_registers(const uint8_t *secret, size_t byte_len);
size_t key_traces_on_stack(const uint8_t *secret, size_t byte_len);

#endif
