/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The kernel's side of /dev/ublk-control for tests of what sends commands there. The test wraps
 * ublk_ring_open, ublk_ring_close, ublk_ring_begin and ublk_ring_wait; this takes their place and
 * keeps devices with their states as the kernel does, refuses what it would refuse, and fails on
 * request. Where the test wraps ublk_ctrl_list as well, that finds a node of every number, also of
 * devices that are gone.
 */
#ifndef UBIBLK_SUPPORT_FAKE_UBLK_H
#define UBIBLK_SUPPORT_FAKE_UBLK_H

#include <stdbool.h>
#include <stdint.h>

#include "ublk/ublk_uapi.h"

enum { FAKE_UBLK_DEVICES = 8, FAKE_UBLK_COMMANDS = 256, DEL_DEV_ASYNC = 0x14 };

struct fake_ublk_device {
    bool exists;
    struct ublksrv_ctrl_dev_info info;
    struct ublk_params params;
    bool ready; /* a queue is, or was since the last START_USER_RECOVERY, which refuses else */
    bool dirty; /* something waits to be written, which STOP_DEV makes lost */
    bool lost;
    bool opened; /* the block device: a DEL_DEV waits for that, and the number stays taken */
};

struct fake_ublk {
    struct fake_ublk_device devices[FAKE_UBLK_DEVICES];
    uint64_t features;   /* 0: GET_FEATURES is not known */
    bool legacy;         /* ioctl codes are not known */
    bool waits_for_del;  /* DEL_DEV_ASYNC is not known */
    int open_result;     /* of the next opens */
    int begin_result;    /* of the next begins */
    int list_result;     /* of the next lists of devices; 0: the list is there */
    uint32_t cpu_count;  /* queues are cut to it */
    uint8_t fail_number; /* as fake_ublk_fail was told */
    int fail_result;
    uint32_t fail_times;
    bool stop_hangs;     /* for requests that do not end */
    bool run_hangs;      /* START_DEV and END_USER_RECOVERY stay under way */
    uint32_t live_looks; /* after so many more GET_DEV_INFO a LIVE device is QUIESCED */
    uint32_t commands[FAKE_UBLK_COMMANDS]; /* as they came */
    uint32_t ids[FAKE_UBLK_COMMANDS];      /* of which device */
    uint32_t command_count;
    uint32_t open_count;            /* rings that are open */
    void (*before)(uint8_t number); /* called before a command is carried out; may be NULL */
};

/* The one of the running test. */
extern struct fake_ublk fake_ublk;

/* Everything as it is on a recent kernel without devices. */
void fake_ublk_reset(void);

/* Makes a device without any command. */
struct fake_ublk_device *fake_ublk_plant(uint32_t id, uint16_t state, uint64_t hash);

/* The next commands with that number (times: how many) fail with result (-errno), not carried out.
 * Ends what an earlier call asked for. */
void fake_ublk_fail(uint8_t number, int result, uint32_t times);

/* How many commands with that number came. */
uint32_t fake_ublk_count(uint8_t number);

/* Place of the first command with that number, or -1. */
int fake_ublk_place(uint8_t number);

#endif
