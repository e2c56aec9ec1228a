/* SPDX-License-Identifier: AGPL-3.0-only */
/* What functions have left in vector registers. */
#ifndef UBIBLK_MEM_REGISTERS_H
#define UBIBLK_MEM_REGISTERS_H

/*
 * Zeroes the vector registers, in the width that the CPU has (x86-64; elsewhere nothing happens).
 * Whoever has worked with keys in them calls it last: a core file shows the registers of all
 * threads, and a signal or the JVM writes them to memory. Any thread.
 */
void registers_clear(void);

#endif
