/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Stand-in for libisal_crypto.so.2 from 2.25 on: results are codes, 0 for success.
 * ISALCRYPTO_STANDIN=expand or =encrypt makes that function fail.
 */
#include "support/standin_isal.h"

int isal_aes_keyexp_256(const uint8_t *key, uint8_t *encrypt, uint8_t *decrypt);
int isal_aes_xts_enc_256_expanded_key(const uint8_t *k2, const uint8_t *k1, const uint8_t *tweak,
                                      uint64_t byte_len, const void *in, void *out);
int isal_aes_xts_dec_256_expanded_key(const uint8_t *k2, const uint8_t *k1, const uint8_t *tweak,
                                      uint64_t byte_len, const void *in, void *out);

int isal_aes_keyexp_256(const uint8_t *key, uint8_t *encrypt, uint8_t *decrypt)
{
    reference_expand(key, encrypt, decrypt);
    return standin_asked_for("expand") ? 1 : 0;
}

int isal_aes_xts_enc_256_expanded_key(const uint8_t *k2, const uint8_t *k1, const uint8_t *tweak,
                                      uint64_t byte_len, const void *in, void *out)
{
    standin_crypt(k2, k1, tweak, byte_len, in, out, false);
    return standin_asked_for("encrypt") ? 1 : 0;
}

int isal_aes_xts_dec_256_expanded_key(const uint8_t *k2, const uint8_t *k1, const uint8_t *tweak,
                                      uint64_t byte_len, const void *in, void *out)
{
    standin_crypt(k2, k1, tweak, byte_len, in, out, true);
    return 0;
}
