/* SPDX-License-Identifier: AGPL-3.0-only */
/* Which of our AES engines this CPU and the running kernel can execute; x86-64 only. */
#ifndef UBIBLK_CRYPT_CPU_H
#define UBIBLK_CRYPT_CPU_H

#include <stdbool.h>

/* Each NULL when the CPU has what the engine needs, else what is missing, as a noun phrase. */
const char *cpu_lacks_for_aesni(void);
const char *cpu_lacks_for_vaes256(void);
const char *cpu_lacks_for_vaes512(void);

#endif
