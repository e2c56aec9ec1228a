/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A guest and its back end in one process, so that a test can get between the back end and its file
 * (faulty_kernel): a small disk, a connection, two queues, and one request at a time on each.
 *
 * Calls fail the running test (cmocka) when the back end does not answer as it must. Belongs to the
 * test's thread.
 */
#ifndef UBIBLK_SUPPORT_LOCAL_GUEST_H
#define UBIBLK_SUPPORT_LOCAL_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/cmocka_test.h"
#include "vhost/vhost_backend.h"

enum { LOCAL_GUEST_QUEUES = 2 };

/* The features of a driver that cannot flush. */
#define LOCAL_GUEST_NO_FLUSH (BLK_CLIENT_FEATURES & ~FRONTEND_BIT(VIRTIO_BLK_F_FLUSH))

struct local_guest {
    char path[BACKEND_HOST_PATH_BYTES];
    char socket_path[BACKEND_HOST_PATH_BYTES + 8];
    enum io_engine_kind engine;
    bool cached; /* the disk goes through the page cache, else past it where that is possible */
    struct blk_device *device;
    struct vhost_backend *backend; /* NULL: stopped */
    struct vhost_frontend frontend;
    struct guest_ram ram;
    struct frontend_queue queues[LOCAL_GUEST_QUEUES];
    uint64_t place; /* header, status and data of queue 0; those of queue 1 follow */
};

/* cmocka's fixture functions: a back end on the sync engine, on io_uring, or on the sync engine
 * with write_through (also through the page cache), and a guest that is not connected, on a kernel
 * without faults. */
int local_guest_setup(void **state);
int local_guest_setup_uring(void **state);
int local_guest_setup_write_through(void **state);
int local_guest_setup_cached(void **state);
int local_guest_teardown(void **state);

#define LOCAL_GUEST_TEST(name)                                                                     \
    cmocka_unit_test_setup_teardown(name, local_guest_setup, local_guest_teardown)
#define LOCAL_GUEST_URING_TEST(name)                                                               \
    cmocka_unit_test_setup_teardown(name, local_guest_setup_uring, local_guest_teardown)
#define LOCAL_GUEST_WRITE_THROUGH_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, local_guest_setup_write_through, local_guest_teardown)
#define LOCAL_GUEST_CACHED_TEST(name)                                                              \
    cmocka_unit_test_setup_teardown(name, local_guest_setup_cached, local_guest_teardown)

/* A back end on the same disk, when there is none. */
void local_guest_start_backend(struct local_guest *guest, bool write_through);

/* What vhost_backend_stop returned. */
int local_guest_stop_backend(struct local_guest *guest);

/* Connects and starts the queues where they are: fresh, or where they were left. */
void local_guest_connect(struct local_guest *guest, uint64_t features);

/* Makes the queues fresh, as a driver that starts. */
void local_guest_reset_queues(struct local_guest *guest);

/* Makes a request of two sectors (none for FLUSH) available. */
void local_guest_submit(struct local_guest *guest, uint32_t queue, uint32_t type, uint64_t sector);

/* Waits for that request; its status byte. */
uint8_t local_guest_complete(struct local_guest *guest, uint32_t queue);

/* Both, on queue 0. */
uint8_t local_guest_execute(struct local_guest *guest, uint32_t type, uint64_t sector);

/* The two sectors of a queue's request. */
uint8_t *local_guest_data(struct local_guest *guest, uint32_t queue);

/* The writeback byte of the configuration space; setting it returns 0 or -errno. */
uint8_t local_guest_cache_mode(struct local_guest *guest);
int local_guest_set_cache_mode(struct local_guest *guest, uint8_t mode);

#endif
