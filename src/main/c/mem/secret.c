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
#include "mem/registers.h"

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

void secret_clear_traces(void)
{
    clear_stack();
    registers_clear();
}
