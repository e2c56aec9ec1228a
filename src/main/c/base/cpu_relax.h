/* SPDX-License-Identifier: AGPL-3.0-only */
/* One breath of a thread that polls memory, kind to the core's other hardware thread. */
#ifndef UBIBLK_BASE_CPU_RELAX_H
#define UBIBLK_BASE_CPU_RELAX_H

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
