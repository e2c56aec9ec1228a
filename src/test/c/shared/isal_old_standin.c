/* SPDX-License-Identifier: AGPL-3.0-only */
/* Stand-in for libisal_crypto.so.2 before 2.25: other names, no results. */
#include "support/standin_isal.h"

void aes_keyexp_256(const uint8_t *key, uint8_t *encrypt, uint8_t *decrypt);
void XTS_AES_256_enc_expanded_key(const uint8_t *k2, const uint8_t *k1, const uint8_t *tweak,
                                  uint64_t byte_len, const uint8_t *in, uint8_t *out);
void XTS_AES_256_dec_expanded_key(const uint8_t *k2, const uint8_t *k1, const uint8_t *tweak,
                                  uint64_t byte_len, const uint8_t *in, uint8_t *out);

void aes_keyexp_256(const uint8_t *key, uint8_t *encrypt, uint8_t *decrypt)
{
    reference_expand(key, encrypt, decrypt);
}

void XTS_AES_256_enc_expanded_key(const uint8_t *k2, const uint8_t *k1, const uint8_t *tweak,
                                  uint64_t byte_len, const uint8_t *in, uint8_t *out)
{
    standin_crypt(k2, k1, tweak, byte_len, in, out, false);
}

void XTS_AES_256_dec_expanded_key(const uint8_t *k2, const uint8_t *k1, const uint8_t *tweak,
                                  uint64_t byte_len, const uint8_t *in, uint8_t *out)
{
    standin_crypt(k2, k1, tweak, byte_len, in, out, true);
}
