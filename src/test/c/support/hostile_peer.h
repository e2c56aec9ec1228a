/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A front end for tests of what no honest one does. The worst that may happen is that its
 * connection ends: the back end's process lives, keeps no descriptor and no mapping, and serves the
 * next front end, which the checks below look at.
 *
 * A group of tests shares one back end and one peer; each test connects and hangs up. Calls fail
 * the running test (cmocka) when the back end does not answer as it must. One thread.
 */
#ifndef UBIBLK_SUPPORT_HOSTILE_PEER_H
#define UBIBLK_SUPPORT_HOSTILE_PEER_H

#include <stdint.h>

#include "support/backend_host.h"
#include "support/cmocka_test.h"
#include "support/frontend_queue.h"
#include "support/guest_ram.h"
#include "support/vhost_frontend.h"

enum { PEER_QUEUES = 2, PEER_QUEUE_SIZE = 64 }; /* of the back end */

struct peer {
    struct backend_host host;
    struct vhost_frontend frontend;
    struct guest_ram ram;        /* one region of 1 MiB */
    struct frontend_queue queue; /* for queue 0 */
    uint32_t fd_count;           /* of the back end when nobody is connected */
    char path[BACKEND_HOST_PATH_BYTES];
};

/* cmocka's fixture functions of a group, with either engine; *state is the peer. */
int peer_setup_uring(void **state);
int peer_setup_sync(void **state);
int peer_teardown(void **state);

/* That of a test, which may have failed while it was connected. */
int peer_leave(void **state);

#define PEER_TEST(name) cmocka_unit_test_teardown(name, peer_leave)

/* A connection in three stages: only open; with features acked and replies wanted; and, after that,
 * with memory shared and queue 0 started afresh. */
void peer_connect(struct peer *peer);
void peer_negotiate(struct peer *peer);
void peer_start_queue(struct peer *peer);

void peer_hang_up(struct peer *peer);

/* Another front end comes, is served, and the back end is as it was before. Nobody is connected. */
void peer_check_clean(struct peer *peer);

/* The message that was sent ends this connection; then as peer_check_clean. */
void peer_check_dropped(struct peer *peer);

/* What had this result was refused, or ended the connection; it was not obeyed. Hangs up, then as
 * peer_check_clean. */
void peer_check_refused(struct peer *peer, int result);

#endif
