/* SPDX-License-Identifier: AGPL-3.0-only */
/* What functions have left on the stack of a thread. */
#ifndef UBIBLK_MEM_STACK_H
#define UBIBLK_MEM_STACK_H

/*
 * Clears all of the calling thread's stack that lies below the caller's frame, and gives the pages
 * back. For a thread that handled keys in functions that are not ours, after their return; ours
 * call secret_clear_traces. Any thread; where the extent of its stack is unknown, or its pages are
 * locked, only the nearest part is cleared.
 */
void stack_clear_unused(void);

#endif
