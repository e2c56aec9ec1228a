/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * An exponential average over about eight gaps. A gap counts as twice the limit at most, so a pause
 * of any length is forgotten within a few requests once they come densely again.
 */
#include "poll_pace.h"

#include "base/minmax.h"

enum { AVERAGE_SHIFT = 3 };

void poll_pace_init(struct poll_pace *pace, uint64_t limit_ns)
{
    *pace = (struct poll_pace){.limit_ns = limit_ns};
}

bool poll_pace_continues(struct poll_pace *pace, uint64_t now_ns)
{
    if (pace->idle_since_ns == 0)
        pace->idle_since_ns = now_ns;
    return pace->average_gap_ns <= pace->limit_ns && now_ns - pace->idle_since_ns < pace->limit_ns;
}

void poll_pace_works(struct poll_pace *pace, uint64_t now_ns)
{
    if (pace->idle_since_ns == 0)
        return;
    uint64_t gap_ns = min_u64(now_ns - pace->idle_since_ns, 2 * pace->limit_ns);
    pace->average_gap_ns -= pace->average_gap_ns >> AVERAGE_SHIFT;
    pace->average_gap_ns += gap_ns >> AVERAGE_SHIFT;
    pace->idle_since_ns = 0;
}

void poll_pace_waits_otherwise(struct poll_pace *pace)
{
    pace->idle_since_ns = 0;
}
