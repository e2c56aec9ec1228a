/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Locked, zeroed-on-free memory for keys.
 *
 * Layout of one allocation, all of it one mapping:
 *
 *   guard page | unused … struct secret_header | the caller's bytes | guard page
 *
 * The caller's bytes end at the upper guard page, up to rounding to the alignment, so that reading
 * past them faults. The header sits in front of them and remembers the mapping.
 */
#include "secret.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/align.h"
#include "base/log.h"

enum { STACK_TRACE_BYTES = 4096 };

struct secret_header {
    uint8_t *mapping;
    size_t mapping_bytes;
    size_t page_bytes;
    bool locked;
};

_Static_assert(sizeof(struct secret_header) <= SECRET_ALIGN_BYTES, "the header precedes the data");

/* Advice only: an old kernel may know none of it, and the memory is usable all the same. */
static void secret_advise(void *pages, size_t byte_len)
{
    madvise(pages, byte_len, MADV_DONTDUMP);
    if (madvise(pages, byte_len, MADV_WIPEONFORK) != 0)
        madvise(pages, byte_len, MADV_DONTFORK);
}

static bool secret_lock(void *pages, size_t byte_len, struct log *log)
{
    if (mlock(pages, byte_len) == 0)
        return true;
    log_write(log, LOG_WARN,
              "keys may be swapped out: locking %zu bytes of memory failed with errno %d "
              "(raise LimitMEMLOCK)",
              byte_len, errno);
    return false;
}

void *secret_alloc(size_t byte_len, struct log *log)
{
    assert(byte_len > 0);
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (byte_len > SIZE_MAX / 2)
        return NULL;
    size_t data_bytes = align_up(byte_len, SECRET_ALIGN_BYTES);
    size_t usable_bytes = align_up(SECRET_ALIGN_BYTES + data_bytes, page_bytes);
    size_t mapping_bytes = usable_bytes + 2 * page_bytes;
    uint8_t *mapping = mmap(NULL, mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    uint8_t *usable = mapping + page_bytes;
    if (mprotect(usable, usable_bytes, PROT_READ | PROT_WRITE) != 0) {
        munmap(mapping, mapping_bytes);
        return NULL;
    }
    secret_advise(usable, usable_bytes);
    uint8_t *data = usable + usable_bytes - data_bytes;
    struct secret_header *header = (struct secret_header *)(data - SECRET_ALIGN_BYTES);
    bool locked = secret_lock(usable, usable_bytes, log);
    *header = (struct secret_header){mapping, mapping_bytes, page_bytes, locked};
    return data;
}

void secret_free(void *secret)
{
    if (!secret)
        return;
    struct secret_header header = *(struct secret_header *)((uint8_t *)secret - SECRET_ALIGN_BYTES);
    uint8_t *usable = header.mapping + header.page_bytes;
    size_t usable_bytes = header.mapping_bytes - 2 * header.page_bytes;
    explicit_bzero(usable, usable_bytes);
    if (header.locked)
        munlock(usable, usable_bytes);
    munmap(header.mapping, header.mapping_bytes);
}

static __attribute__((noinline)) void clear_stack(void)
{
    uint8_t stale[STACK_TRACE_BYTES];
    explicit_bzero(stale, sizeof(stale));
}

#if defined(__x86_64__)

/* The low 128 bits of 16 registers are all there are without AVX. */
static void clear_sse_registers(void)
{
    __asm__ volatile("pxor %%xmm0, %%xmm0\n\t"
                     "pxor %%xmm1, %%xmm1\n\t"
                     "pxor %%xmm2, %%xmm2\n\t"
                     "pxor %%xmm3, %%xmm3\n\t"
                     "pxor %%xmm4, %%xmm4\n\t"
                     "pxor %%xmm5, %%xmm5\n\t"
                     "pxor %%xmm6, %%xmm6\n\t"
                     "pxor %%xmm7, %%xmm7\n\t"
                     "pxor %%xmm8, %%xmm8\n\t"
                     "pxor %%xmm9, %%xmm9\n\t"
                     "pxor %%xmm10, %%xmm10\n\t"
                     "pxor %%xmm11, %%xmm11\n\t"
                     "pxor %%xmm12, %%xmm12\n\t"
                     "pxor %%xmm13, %%xmm13\n\t"
                     "pxor %%xmm14, %%xmm14\n\t"
                     "pxor %%xmm15, %%xmm15"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* VZEROALL clears these 16 registers in whatever width the CPU has; the compilers take the names
 * of their lowest parts for all of them. */
static __attribute__((target("avx"))) void clear_avx_registers(void)
{
    __asm__ volatile("vzeroall"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* The 16 more that AVX-512 has. */
static __attribute__((target("avx512f"))) void clear_avx512_registers(void)
{
    __asm__ volatile("vpxorq %%zmm16, %%zmm16, %%zmm16\n\t"
                     "vpxorq %%zmm17, %%zmm17, %%zmm17\n\t"
                     "vpxorq %%zmm18, %%zmm18, %%zmm18\n\t"
                     "vpxorq %%zmm19, %%zmm19, %%zmm19\n\t"
                     "vpxorq %%zmm20, %%zmm20, %%zmm20\n\t"
                     "vpxorq %%zmm21, %%zmm21, %%zmm21\n\t"
                     "vpxorq %%zmm22, %%zmm22, %%zmm22\n\t"
                     "vpxorq %%zmm23, %%zmm23, %%zmm23\n\t"
                     "vpxorq %%zmm24, %%zmm24, %%zmm24\n\t"
                     "vpxorq %%zmm25, %%zmm25, %%zmm25\n\t"
                     "vpxorq %%zmm26, %%zmm26, %%zmm26\n\t"
                     "vpxorq %%zmm27, %%zmm27, %%zmm27\n\t"
                     "vpxorq %%zmm28, %%zmm28, %%zmm28\n\t"
                     "vpxorq %%zmm29, %%zmm29, %%zmm29\n\t"
                     "vpxorq %%zmm30, %%zmm30, %%zmm30\n\t"
                     "vpxorq %%zmm31, %%zmm31, %%zmm31"
                     :
                     :
                     : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
                       "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

/* Whatever the callers use themselves: memcpy takes the widest registers that there are. */
static void clear_vector_registers(void)
{
    if (!__builtin_cpu_supports("avx")) {
        clear_sse_registers();
        return;
    }
    clear_avx_registers();
    if (__builtin_cpu_supports("avx512f"))
        clear_avx512_registers();
}

#else

static void clear_vector_registers(void)
{
}

#endif

void secret_clear_traces(void)
{
    clear_stack();
    clear_vector_registers();
}
