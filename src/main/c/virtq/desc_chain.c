/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A chain with a fault is walked to its end all the same, without collecting segments, because the
 * driver still waits for a status byte and that byte lies at the end. Only a fault in the links
 * themselves ends the walk at once.
 */
#include "desc_chain.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/minmax.h"

struct walk {
    const struct guest_memory *memory;
    const struct desc_chain_storage *storage;
    struct desc_chain *chain;
    uint32_t capacity;
    int fault; /* the first one */
};

static void walk_fault(struct walk *walk, int fault)
{
    if (walk->fault == 0)
        walk->fault = fault;
}

static bool segment_add(struct walk *walk, void *base, uint64_t byte_len)
{
    struct desc_chain *chain = walk->chain;
    uint32_t count = chain->out_count + chain->in_count;
    if (count == walk->capacity) {
        if (chain->iov == walk->storage->large || walk->storage->large_count <= count) {
            walk_fault(walk, -E2BIG);
            return false;
        }
        memcpy(walk->storage->large, chain->iov, count * sizeof(*chain->iov));
        chain->iov = walk->storage->large;
        walk->capacity = walk->storage->large_count;
    }
    chain->iov[count] = (struct iovec){.iov_base = base, .iov_len = byte_len};
    return true;
}

/* A buffer may run over from one region into the next; each region gives a segment. */
static void buffer_add(struct walk *walk, const struct virtq_desc *desc)
{
    struct desc_chain *chain = walk->chain;
    bool writable = desc->flags & VIRTQ_DESC_F_WRITE;
    if (writable)
        chain->last_in_byte = NULL;
    else if (chain->in_count > 0)
        walk_fault(walk, -EINVAL);
    uint64_t addr = desc->addr;
    uint64_t left = desc->len;
    while (left > 0) {
        uint64_t contiguous;
        uint8_t *base = guest_memory_at_gpa(walk->memory, addr, &contiguous);
        if (!base) {
            walk_fault(walk, -EFAULT);
            return;
        }
        uint64_t taken = min_u64(left, contiguous);
        if (walk->fault == 0 && segment_add(walk, base, taken)) {
            if (writable)
                chain->in_count++;
            else
                chain->out_count++;
        }
        left -= taken;
        addr += taken;
        if (writable && left == 0)
            chain->last_in_byte = base + taken - 1;
    }
    if (writable)
        chain->in_bytes += desc->len;
    else
        chain->out_bytes += desc->len;
}

static bool indirect_table(const struct walk *walk, const struct virtq_desc *desc,
                           const struct virtq_desc **table, uint32_t *count)
{
    uint64_t contiguous;
    if ((desc->flags & VIRTQ_DESC_F_NEXT) || desc->len == 0 || desc->len % sizeof(**table) != 0)
        return false;
    const void *base = guest_memory_at_gpa(walk->memory, desc->addr, &contiguous);
    if (!base || contiguous < desc->len)
        return false;
    *table = base;
    *count = (uint32_t)(desc->len / sizeof(**table));
    return true;
}

/* Returns false when the links lead nowhere. */
static bool links_follow(struct walk *walk, const struct virtq *vq, uint16_t head)
{
    const struct virtq_desc *table = vq->desc;
    uint32_t count = vq->size;
    uint32_t index = head;
    uint32_t steps = 0;
    bool indirect = false;
    for (;;) {
        if (index >= count || steps++ == min_u32(count, DESC_CHAIN_MAX))
            return false;
        struct virtq_desc desc;
        memcpy(&desc, (const uint8_t *)table + index * sizeof(desc), sizeof(desc));
        if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
            if (indirect || !indirect_table(walk, &desc, &table, &count))
                return false;
            indirect = true;
            index = 0;
            steps = 0;
            continue;
        }
        if (desc.len > 0)
            buffer_add(walk, &desc);
        if (!(desc.flags & VIRTQ_DESC_F_NEXT))
            return true;
        index = desc.next;
    }
}

int desc_chain_walk(const struct virtq *vq, const struct guest_memory *memory, uint16_t head,
                    const struct desc_chain_storage *storage, struct desc_chain *chain)
{
    *chain = (struct desc_chain){.iov = storage->small};
    struct walk walk = {
        .memory = memory, .storage = storage, .chain = chain, .capacity = storage->small_count};
    if (!links_follow(&walk, vq, head)) {
        chain->last_in_byte = NULL;
        return -EINVAL;
    }
    return walk.fault;
}
