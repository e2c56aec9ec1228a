/* SPDX-License-Identifier: AGPL-3.0-only */
/* AES-256 key schedules (FIPS 197) for our XTS engines, made with AES-NI. x86-64 only. */
#ifndef UBIBLK_CRYPT_AES_SCHEDULE_H
#define UBIBLK_CRYPT_AES_SCHEDULE_H

#include <stdint.h>

enum { AES_ROUNDS = 14, AES_BLOCK_BYTES = 16, AES_SCHEDULE_KEYS = AES_ROUNDS + 1 };

/* One round key per entry, in the order in which the cipher uses them. */
struct aes_schedule {
    uint8_t round[AES_SCHEDULE_KEYS][AES_BLOCK_BYTES];
} __attribute__((aligned(AES_BLOCK_BYTES)));

/*
 * Expands a 32-byte key (borrowed) for encryption and, unless decrypt is NULL, for decryption with
 * the equivalent inverse cipher. Leaves nothing of the key in registers or on the stack. Only where
 * cpu_lacks_for_aesni returns NULL. Any thread.
 */
void aes_schedule_expand(const uint8_t *key, struct aes_schedule *encrypt,
                         struct aes_schedule *decrypt);

/*
 * Has round keys loaded from memory again through this pointer from here on. What the compiler
 * keeps of them between two uses that are far apart it would put on the stack, which is not locked.
 */
#define AES_LOAD_ANEW(pointer) __asm__ volatile("" : "+r"(pointer))

/* The state of an engine of ours: one key pair. */
struct xts_schedules {
    struct aes_schedule encrypt;
    struct aes_schedule decrypt;
    struct aes_schedule tweak; /* for encryption, in both directions */
};

struct error;
struct log;

/*
 * Expands both keys (borrowed) into secret memory, unless the CPU lacks something, which is then
 * named (NULL: it does not). Returns 0 and an owned *out for secret_free, -ENOTSUP or -ENOMEM with
 * a sentence. Any thread.
 */
int xts_schedules_create(const char *cpu_lacks, const uint8_t *data_key, const uint8_t *tweak_key,
                         struct log *log, void **out, struct error *error);

#endif
