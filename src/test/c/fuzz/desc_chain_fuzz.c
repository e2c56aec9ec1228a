/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Walks a chain in a descriptor table and a guest memory that are the input: ring size, head and
 * storage first, then the ring's table, then the bytes of guest memory, where indirect tables lie.
 *
 * Guest addresses are small, so that mutations find them: a table at 0x1000, regions at 0 (4 KiB),
 * 0x1000 (2 KiB, adjacent) and 0x4000 (0x801 bytes).
 */
#include "virtq/desc_chain.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_target.h"

enum { REGIONS = 3, RING_MAX = 256, SMALL = 8, LARGE = 40 };

struct region {
    uint64_t gpa;
    uint64_t byte_len;
    uint8_t *host;
};

static struct region regions[REGIONS] = {
    {0, 0x1000, NULL}, {0x1000, 0x800, NULL}, {0x4000, 0x801, NULL}};
static struct guest_memory *memory;

static void make_memory(void)
{
    memory = guest_memory_create(NULL);
    FUZZ_CHECK(memory);
    for (int i = 0; i < REGIONS; i++) {
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        FUZZ_CHECK(fd >= 0 && ftruncate(fd, (off_t)regions[i].byte_len) == 0);
        const struct guest_region_params params = {
            .gpa = regions[i].gpa, .byte_len = regions[i].byte_len, .uaddr = regions[i].gpa};
        struct guest_memory *larger;
        FUZZ_CHECK(guest_memory_add(memory, &params, fd, &larger, NULL) == 0);
        guest_memory_unref(memory);
        memory = larger;
        close(fd);
    }
    for (int i = 0; i < REGIONS; i++) {
        uint64_t contiguous;
        regions[i].host = guest_memory_at_gpa(memory, regions[i].gpa, &contiguous);
        FUZZ_CHECK(regions[i].host && contiguous == regions[i].byte_len);
    }
}

static bool is_mapped(const uint8_t *at, uint64_t byte_len)
{
    for (int i = 0; i < REGIONS; i++) {
        uint64_t offset = (uint64_t)(at - regions[i].host);
        if (at >= regions[i].host && offset < regions[i].byte_len &&
            byte_len <= regions[i].byte_len - offset) {
            return true;
        }
    }
    return false;
}

static uint64_t check_segments(const struct iovec *iov, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        FUZZ_CHECK(iov[i].iov_len > 0);
        FUZZ_CHECK(is_mapped(iov[i].iov_base, iov[i].iov_len));
        bytes += iov[i].iov_len;
    }
    return bytes;
}

static void check_chain(const struct desc_chain *chain, const struct desc_chain_storage *storage)
{
    uint32_t count = chain->out_count + chain->in_count;
    bool is_small = chain->iov == storage->small;
    FUZZ_CHECK(is_small || chain->iov == storage->large);
    FUZZ_CHECK(count <= (is_small ? storage->small_count : storage->large_count));
    FUZZ_CHECK(check_segments(chain->iov, chain->out_count) == chain->out_bytes);
    FUZZ_CHECK(check_segments(chain->iov + chain->out_count, chain->in_count) == chain->in_bytes);
    FUZZ_CHECK((chain->in_count > 0) == (chain->last_in_byte != NULL));
    if (chain->in_count > 0) {
        const struct iovec *last = &chain->iov[count - 1];
        FUZZ_CHECK(chain->last_in_byte == (uint8_t *)last->iov_base + last->iov_len - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_len)
{
    struct fuzz_input input = {bytes, byte_len};
    if (!memory) {
        make_memory();
    }
    uint16_t size = (uint16_t)(1u << (fuzz_take_u8(&input) % 9));
    uint16_t head = fuzz_take_u16(&input);
    struct iovec small[SMALL];
    struct iovec large[LARGE];
    const struct desc_chain_storage storage = {
        .small = small,
        .small_count = fuzz_take_u8(&input) % (SMALL + 1),
        .large = large,
        .large_count = fuzz_take_u8(&input) % (LARGE + 1),
    };
    struct virtq_desc table[RING_MAX];
    fuzz_take(&input, table, size * sizeof(table[0]));
    for (int i = 0; i < REGIONS; i++) {
        fuzz_take(&input, regions[i].host, regions[i].byte_len);
    }
    const struct virtq vq = {.desc = table, .size = size};
    struct desc_chain chain;
    int result = desc_chain_walk(&vq, memory, head, &storage, &chain);
    FUZZ_CHECK(result == 0 || result == -EINVAL || result == -EFAULT || result == -E2BIG);
    if (result == 0) {
        check_chain(&chain, &storage);
    }
    if (chain.last_in_byte) {
        FUZZ_CHECK(is_mapped(chain.last_in_byte, 1));
    }
    return 0;
}
