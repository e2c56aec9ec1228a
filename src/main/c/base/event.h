/* SPDX-License-Identifier: AGPL-3.0-only */
/* Signalling and emptying eventfds. Any thread; -1 stands for "nobody" and is fine. */
#ifndef UBIBLK_BASE_EVENT_H
#define UBIBLK_BASE_EVENT_H

#include <stdint.h>
#include <unistd.h>

static inline void event_signal(int fd)
{
    uint64_t one = 1;
    /* EAGAIN: the counter is full, so the other side has more than one signal waiting. */
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        return;
}

/* Only for non-blocking eventfds. */
static inline void event_drain(int fd)
{
    uint64_t count;
    /* EAGAIN: somebody else emptied it. */
    if (fd >= 0 && read(fd, &count, sizeof(count)) < 0)
        return;
}

#endif
