/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the stand-ins for libisal_crypto.so.2 in src/test/c/shared have in common: expansion and XTS
 * by the slow reference. ISALCRYPTO_STANDIN in the environment asks for faults: "wrong" flips a bit
 * of what encryption returns.
 */
#ifndef UBIBLK_SUPPORT_STANDIN_ISAL_H
#define UBIBLK_SUPPORT_STANDIN_ISAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "support/reference_aes.h"

static inline bool standin_asked_for(const char *fault)
{
    const char *asked = getenv("ISALCRYPTO_STANDIN");
    return asked && strcmp(asked, fault) == 0;
}

static inline void standin_crypt(const uint8_t *tweak_schedule, const uint8_t *data_schedule,
                                 const uint8_t *tweak, uint64_t byte_len, const uint8_t *in,
                                 uint8_t *out, bool decrypt)
{
    reference_xts(data_schedule, tweak_schedule, decrypt, tweak, in, out, byte_len);
    if (!decrypt && standin_asked_for("wrong"))
        out[byte_len / 2] ^= 1;
}

#endif
