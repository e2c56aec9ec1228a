/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-256-XTS over 512-byte sectors: what is stored on an encrypted disk and metadata file.
 *
 * Layout: the data unit is one sector. Its tweak, 16 bytes before encryption with the tweak key, is
 * eight zero bytes followed by the sector number as a little-endian 64-bit integer. This is not
 * dm-crypt's plain64, which puts the number first. The number is that of the sector within the
 * file. The layout lives here and nowhere else.
 *
 * crypt/ holds this front, one file for each engine that does the work behind it
 * (xts_engine.h), and what the engines share. It knows sectors and iovecs, not requests.
 */
#ifndef UBIBLK_CRYPT_XTS_H
#define UBIBLK_CRYPT_XTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct error;
struct log;

/* In the order in which XTS_ENGINE_AUTO tries them. */
enum xts_engine_kind {
    XTS_ENGINE_AUTO,    /* the first of the others that works */
    XTS_ENGINE_VAES512, /* ours, x86-64 with VAES and AVX-512 */
    XTS_ENGINE_VAES256, /* ours, x86-64 with VAES and AVX2 */
    XTS_ENGINE_AESNI,   /* ours, x86-64 with AES-NI */
    XTS_ENGINE_ISAL,    /* libisal_crypto.so.2, loaded when asked for */
    XTS_ENGINE_OPENSSL, /* libcrypto.so.3, loaded when asked for */
};

enum { XTS_KEY_BYTES = 32 };

/* One key pair on one engine. Immutable to its users: any number of threads may use it at once. */
struct xts;

/*
 * Expands the keys (borrowed; the caller wipes them) on the wanted engine after the engine passed
 * its self-test: known answers, and random sectors compared with another engine if there is one.
 * XTS_ENGINE_AUTO takes the first that passes; each that falls out writes one line to log
 * (borrowed, may be NULL). Any other kind that does not work is an error that says why. Returns 0
 * and an owned *out, or -errno: -ENOTSUP when the CPU or library is not there, -EBADMSG when the
 * self-test failed, -ENOMEM. Any thread; takes milliseconds.
 *
 * Key schedules are in secret memory (mem/secret.h), except for openssl's, which are in that
 * library's heap: wiped before they are freed, but not locked. The comparison is made with the keys
 * themselves, so where openssl is the other engine they are there for that moment, too. Leaves
 * nothing of the keys in vector registers or on the stack; what encryption and decryption leave
 * there of round keys is overwritten by the next call.
 */
int xts_create(const uint8_t data_key[XTS_KEY_BYTES], const uint8_t tweak_key[XTS_KEY_BYTES],
               enum xts_engine_kind kind, struct log *log, struct xts **out, struct error *error);

/* Zeroes and frees the key schedules. No call may be under way. NULL is fine. */
void xts_destroy(struct xts *xts);

/* "vaes512", "vaes256", "aesni", "isa-l" or "openssl"; lives as long as xts. */
const char *xts_engine_name(const struct xts *xts);

/* One short sentence: why this engine. Lives as long as xts. */
const char *xts_engine_reason(const struct xts *xts);

/*
 * Encrypts or decrypts whole sectors, the first of which is number sector. source and destination
 * (borrowed) are the same or do not overlap, and have any alignment. Each source byte is read once;
 * where they differ, destination receives nothing but the result unless the engine is a library's.
 * Any thread, concurrently; no allocation, no lock, no system call (but openssl yields the CPU
 * while more threads are inside than there are CPUs).
 *
 * An engine of a library that reports a failure here ends the process: neither plain bytes nor
 * garbage may reach a disk.
 */
void xts_encrypt(const struct xts *xts, uint64_t sector, const void *source, void *destination,
                 size_t sector_count);
void xts_decrypt(const struct xts *xts, uint64_t sector, const void *source, void *destination,
                 size_t sector_count);

/*
 * Deciphers sectors by one pair of keys and enciphers them by another, in place, a few at a time,
 * so that they stay in the first-level cache in between. bytes is private memory. Any thread.
 */
void xts_recrypt(const struct xts *from, const struct xts *to, uint64_t sector, void *bytes,
                 size_t sector_count);

/*
 * Encryption and decryption with one side scattered over guest memory: the bytes from byte_offset
 * of the list on, which must hold sector_count sectors from there. Sectors may straddle segments of
 * any size, empty ones included. All pointers are borrowed.
 *
 * Guest memory is read once and gets only final plain text, whatever the engine: the bounce buffer
 * (destination; source) is where intermediate bytes go. So source is overwritten in part or whole.
 */
void xts_encrypt_from_iov(const struct xts *xts, uint64_t sector, const struct iovec *iov,
                          size_t iov_count, size_t byte_offset, void *destination,
                          size_t sector_count);
void xts_decrypt_to_iov(const struct xts *xts, uint64_t sector, void *source,
                        const struct iovec *iov, size_t iov_count, size_t byte_offset,
                        size_t sector_count);

#endif
