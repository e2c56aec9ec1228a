/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Random block requests of every legal kind against a back end, with everything checked: data by
 * stamps, statuses, used lengths, heads, and that the device leaves alone what it must not write.
 *
 * One stress outlives connections: it can stop and start queues, vanish and come back with its
 * rings as they were, and change its memory while requests are in flight. On failure calls return
 * -errno and leave a sentence in failure. Belongs to one thread.
 */
#ifndef UBIBLK_SUPPORT_BLK_STRESS_H
#define UBIBLK_SUPPORT_BLK_STRESS_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/frontend_queue.h"
#include "support/guest_ram.h"
#include "support/request_shape.h"
#include "support/stamped_disk.h"
#include "support/test_scale.h"
#include "support/vhost_frontend.h"

enum {
    STRESS_QUEUES_MAX = 4,
    STRESS_DEPTH_MAX = 256,
    STRESS_FAILURE_BYTES = 400,
    STRESS_REQUEST_BYTES_MAX = 1 << 20, /* oversize requests, beyond seg_max · size_max */
    STRESS_REQUEST_BYTES = 64 * 1024,   /* requests of ordinary size */
    STRESS_LARGE_SLOTS = 4,             /* slots per queue that have room for those */
};

/* Borrowed by blk_stress_init. */
struct blk_stress_params {
    uint64_t seed;
    uint64_t features;          /* wanted, as far as offered */
    uint64_t protocol_features; /* wanted, as far as offered */
    uint32_t queue_count;
    uint32_t region_count; /* 1 to 3 regions of guest memory for requests */
    uint16_t queue_size;
    uint16_t depth;       /* requests in flight per queue */
    uint32_t styles;      /* bit per enum shape_style; 0: all */
    bool polling;         /* looks at the rings with signals off; else waits for signals */
    uint32_t sector_unit; /* sectors and counts are multiples of this; 0: 1 */
};

enum stress_expectation { EXPECT_OK, EXPECT_IOERR, EXPECT_UNSUPP, EXPECT_ANY };

struct stress_request {
    struct request_shape shape;
    struct shape_arena arenas[SHAPE_ARENAS_MAX];
    struct vring_desc *table;
    uint64_t table_gpa;
    uint64_t sector;
    uint32_t sector_count;
    uint32_t generation;
    uint32_t type;
    enum stress_expectation expectation;
    uint32_t readable_bytes, writable_bytes;
    bool busy;
    bool claimed; /* its sectors are claimed for this transfer */
    bool audited; /* the device's own writes are checked byte by byte */
};

/* Reads or writes to be made before random ones. */
struct stress_script {
    uint32_t type; /* IN or OUT */
    uint64_t sector;
    uint32_t sector_count;
};

struct blk_stress {
    struct blk_stress_params params;
    struct stamped_disk *disk; /* kept */
    struct test_random random;
    struct guest_ram ram;    /* region 0: rings and tables; then request memory */
    uint32_t usable_regions; /* bit per region that new requests may use */
    struct vhost_frontend frontend;
    struct frontend_queue queues[STRESS_QUEUES_MAX];
    uint32_t base[STRESS_QUEUES_MAX];
    struct stress_request *requests; /* depth per queue, owned */
    uint64_t window_sector;          /* random transfers lie in */
    uint64_t window_sectors;         /* these sectors; 0: anywhere */
    struct stress_script *script;    /* owned */
    uint64_t script_count, script_next, script_room;
    uint8_t *scratch, *scratch2; /* STRESS_REQUEST_BYTES_MAX + some, owned */
    uint64_t started, ended, lost, io_errors;
    uint64_t of_type[VIRTIO_BLK_T_GET_ID + 1];
    bool event_idx, indirect;
    bool forget; /* at the next connect */
    char failure[STRESS_FAILURE_BYTES];
};

/* Makes memory, rings and requests; nothing is sent. The features that matter for the rings'
 * layout are taken from params. 0 or -errno. */
int blk_stress_init(struct blk_stress *stress, const struct blk_stress_params *params,
                    struct stamped_disk *disk);
void blk_stress_deinit(struct blk_stress *stress);

/*
 * Connects, negotiates, shares the memory and starts the queues at base[]. After blk_stress_vanish
 * with forget, the rings are zeroed and requests forgotten once the new connection answers: what
 * the old one had in flight has ended by then.
 */
int blk_stress_connect(struct blk_stress *stress, const char *socket_path);

/* Adds a write (read) of every sector to the script: the disk's content is known (verified) when
 * the script has been run. */
int blk_stress_script_format(struct blk_stress *stress);
int blk_stress_script_verify(struct blk_stress *stress);

/* Adds reads of a range. */
int blk_stress_script_read(struct blk_stress *stress, uint64_t sector, uint64_t sector_count);

/* Starts count requests, scripted ones first, and returns when they have been made available; up
 * to depth per queue are then in flight. */
int blk_stress_run(struct blk_stress *stress, uint64_t count);

/* Starts requests at full depth until the monotonic clock shows deadline_ns, and returns then, not
 * waiting for anything: for a back end that is about to be killed. */
int blk_stress_run_until(struct blk_stress *stress, uint64_t deadline_ns);

/* Takes what has completed without waiting, from a back end that is dead as well. */
int blk_stress_collect(struct blk_stress *stress);

/* Runs what is left of the script. */
int blk_stress_run_script(struct blk_stress *stress);

/* Waits until nothing is in flight. */
int blk_stress_drain(struct blk_stress *stress);

/* Waits until no request in flight lies in a region, which new ones may not use any more. */
int blk_stress_drain_region(struct blk_stress *stress, uint32_t region);

/* Requests in flight that lie in a region may end in any way from here on: it is about to go. */
void blk_stress_expect_anything(struct blk_stress *stress, uint32_t region);

/* Removes a region that nothing in flight lies in, and adds it at another address. */
int blk_stress_move_region(struct blk_stress *stress, uint32_t region, uint64_t gpa);

/* Stops a queue (ENABLE 0, GET_VRING_BASE), checks that used entries and base agree and that
 * nothing is pushed afterwards. Requests not popped stay on the available ring. */
int blk_stress_stop_queue(struct blk_stress *stress, uint32_t queue);
int blk_stress_start_queue(struct blk_stress *stress, uint32_t queue);

/*
 * Closes the socket with requests in flight. Without forget the rings stay as they are and connect
 * resumes them; the bases that it sends are the driver's used indices, which are stale if the
 * device pushes more. With forget, connect begins with fresh rings, as after a guest's reset, and
 * writes in flight become unsettled and are read back first of all.
 */
void blk_stress_vanish(struct blk_stress *stress, bool forget);

/* In-flight requests over all queues. */
uint32_t blk_stress_in_flight(const struct blk_stress *stress);

#endif
