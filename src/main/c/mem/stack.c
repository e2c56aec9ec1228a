/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A stack grows downwards. Whole pages below the function that is running are dropped, in whose
 * place the kernel gives zero pages when they are touched; what lies between them and that function
 * is overwritten. Guard pages at the lower end have no content, so they may be among the dropped.
 */
#include "stack.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the running function itself may use below its frame's address: locals, and the frame of the
 * system call's wrapper. */
enum { IN_USE_BYTES = 1024, OVERWRITTEN_BYTES = 16384 };

static __attribute__((noinline)) void overwrite(void)
{
    uint8_t stale[OVERWRITTEN_BYTES];
    explicit_bzero(stale, sizeof(stale));
}

static __attribute__((noinline)) void drop_pages(void)
{
    pthread_attr_t attributes;
    void *lowest;
    size_t byte_len;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    int result = pthread_attr_getstack(&attributes, &lowest, &byte_len);
    pthread_attr_destroy(&attributes);
    uintptr_t end = (uintptr_t)__builtin_frame_address(0) - IN_USE_BYTES;
    end -= end % (size_t)sysconf(_SC_PAGESIZE);
    if (result == 0 && end > (uintptr_t)lowest)
        madvise(lowest, end - (uintptr_t)lowest, MADV_DONTNEED);
}

void stack_clear_unused(void)
{
    drop_pages();
    overwrite();
}
