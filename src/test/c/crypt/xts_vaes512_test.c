/* SPDX-License-Identifier: AGPL-3.0-only */
/* The engine for x86-64 with VAES, 512 bits wide. */
#include "support/xts_check.h"

int main(void)
{
    return xts_check_engine(XTS_ENGINE_VAES512);
}
