/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whether polling for the next head pays: it does while heads lately came, on average, within the
 * configured poll time. A guest with a request every few milliseconds would otherwise cost a poll
 * time of CPU for each, and gain nothing.
 *
 * Pure arithmetic on times that the caller passes in. Queue thread.
 */
#ifndef UBIBLK_VHOST_POLL_PACE_H
#define UBIBLK_VHOST_POLL_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct poll_pace {
    uint64_t limit_ns;       /* the configured poll time; 0: never poll */
    uint64_t average_gap_ns; /* between the last completion and the next head, lately */
    uint64_t idle_since_ns;  /* 0: not idle */
};

/* Begins by polling. */
void poll_pace_init(struct poll_pace *pace, uint64_t limit_ns);

/* There is nothing to do but wait for heads, at now_ns (not 0): whether to look again at once. */
bool poll_pace_continues(struct poll_pace *pace, uint64_t now_ns);

/* A head came, or other work. Ends the idle time if there was one. */
void poll_pace_works(struct poll_pace *pace, uint64_t now_ns);

/* What is waited for now is not a head: such times do not count. */
void poll_pace_waits_otherwise(struct poll_pace *pace);

#endif
