/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The requests that a stress makes before random ones (see blk_stress.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "support/blk_stress.h"

enum { CHUNK_SECTORS = 128 };

static int script_add(struct blk_stress *stress, uint32_t type, uint64_t sector, uint32_t count)
{
    if (stress->script_next == stress->script_count) {
        stress->script_next = stress->script_count = 0;
    }
    if (stress->script_count == stress->script_room) {
        uint64_t room = stress->script_room * 2 + 64;
        struct stress_script *grown = realloc(stress->script, room * sizeof(*grown));

        if (grown == NULL) {
            return -ENOMEM;
        }
        stress->script = grown;
        stress->script_room = room;
    }
    stress->script[stress->script_count++] = (struct stress_script){type, sector, count};
    return 0;
}

static int script_range(struct blk_stress *stress, uint32_t type, uint64_t sector, uint64_t count)
{
    int error = 0;

    while (count > 0 && error == 0) {
        uint32_t chunk = count < CHUNK_SECTORS ? (uint32_t)count : CHUNK_SECTORS;

        error = script_add(stress, type, sector, chunk);
        sector += chunk;
        count -= chunk;
    }
    return error;
}

int blk_stress_script_read(struct blk_stress *stress, uint64_t sector, uint64_t sector_count)
{
    return script_range(stress, VIRTIO_BLK_T_IN, sector, sector_count);
}

int blk_stress_script_format(struct blk_stress *stress)
{
    return script_range(stress, VIRTIO_BLK_T_OUT, 0, stress->disk->sector_count);
}

int blk_stress_script_verify(struct blk_stress *stress)
{
    return blk_stress_script_read(stress, 0, stress->disk->sector_count);
}
