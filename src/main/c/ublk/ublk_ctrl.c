/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The kernel says by GET_FEATURES that it knows ioctl codes. One that does not know that command
 * either (before 6.5) gets the old numbers, which it is sure to take.
 *
 * Devices are found by their character devices' names: no command lists them.
 */
#include "ublk_ctrl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { NO_QUEUE = 0xffff, DELETE_LIMIT_S = 5 };

/* The old number is what an ioctl code has in its lowest byte. */
static uint32_t code_of(const struct ublk_ctrl *ctrl, uint32_t command)
{
    return ctrl->encoded ? command : _IOC_NR(command);
}

static int ask(struct ublk_ctrl *ctrl, uint32_t command, const struct ublksrv_ctrl_cmd *argument)
{
    int32_t answer = 0;
    int result = ublk_ring_begin(&ctrl->ring, code_of(ctrl, command), argument);
    if (result == 0)
        ublk_ring_wait(&ctrl->ring, NULL, 0, &answer);
    return result < 0 ? result : answer < 0 ? answer : 0;
}

/* As ask; -ETIMEDOUT when the command is still under way after limit_s seconds. */
static int ask_within(struct ublk_ctrl *ctrl, uint32_t command,
                      const struct ublksrv_ctrl_cmd *argument, time_t limit_s)
{
    int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (timer_fd < 0)
        return -errno;
    const struct itimerspec limit = {.it_value.tv_sec = limit_s};
    timerfd_settime(timer_fd, 0, &limit, NULL);
    int32_t answer = 0;
    int result = ublk_ring_begin(&ctrl->ring, code_of(ctrl, command), argument);
    if (result == 0 && ublk_ring_wait(&ctrl->ring, &timer_fd, 1, &answer) >= 0)
        result = -ETIMEDOUT;
    close(timer_fd);
    return result < 0 ? result : answer < 0 ? answer : 0;
}

/* A command about a device, with memory that it reads or fills. */
static int ask_with(struct ublk_ctrl *ctrl, uint32_t command, uint32_t dev_id, void *memory,
                    uint16_t byte_len, uint64_t data)
{
    const struct ublksrv_ctrl_cmd argument = {
        .dev_id = dev_id,
        .queue_id = NO_QUEUE,
        .len = byte_len,
        .addr = (uint64_t)(uintptr_t)memory,
        .data[0] = data,
    };
    return ask(ctrl, command, &argument);
}

static int ask_plain(struct ublk_ctrl *ctrl, uint32_t command, uint32_t dev_id)
{
    return ask_with(ctrl, command, dev_id, NULL, 0, 0);
}

int ublk_ctrl_open(struct ublk_ctrl *ctrl, struct error *error)
{
    *ctrl = (struct ublk_ctrl){.encoded = true};
    int result = ublk_ring_open(&ctrl->ring, error);
    if (result < 0)
        return result;
    result = ask_with(ctrl, UBLK_U_CMD_GET_FEATURES, UINT32_MAX, &ctrl->features,
                      sizeof(ctrl->features), 0);
    if (result == -EPERM || result == -EACCES) {
        ublk_ring_close(&ctrl->ring);
        return error_set(error, result,
                         "the kernel forbids ublk commands: CAP_SYS_ADMIN is needed");
    }
    if (result < 0)
        ctrl->features = 0;
    ctrl->encoded = (ctrl->features & UBLK_F_CMD_IOCTL_ENCODE) != 0;
    return 0;
}

void ublk_ctrl_close(struct ublk_ctrl *ctrl)
{
    ublk_ring_close(&ctrl->ring);
}

int ublk_ctrl_add(struct ublk_ctrl *ctrl, struct ublksrv_ctrl_dev_info *info)
{
    return ask_with(ctrl, UBLK_U_CMD_ADD_DEV, info->dev_id, info, sizeof(*info), 0);
}

int ublk_ctrl_info(struct ublk_ctrl *ctrl, uint32_t dev_id, struct ublksrv_ctrl_dev_info *info)
{
    int result = ask_with(ctrl, UBLK_U_CMD_GET_DEV_INFO, dev_id, info, sizeof(*info), 0);
    /* The device of a user without privileges wants its path to be told, from whomever. */
    return result == -EINVAL ? -ENODEV : result;
}

int ublk_ctrl_node(uint32_t dev_id)
{
    char path[32];
    snprintf(path, sizeof(path), "/dev/ublkc%u", dev_id);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int ublk_ctrl_set_params(struct ublk_ctrl *ctrl, uint32_t dev_id, struct ublk_params *params)
{
    params->len = sizeof(*params);
    return ask_with(ctrl, UBLK_U_CMD_SET_PARAMS, dev_id, params, sizeof(*params), 0);
}

int ublk_ctrl_params(struct ublk_ctrl *ctrl, uint32_t dev_id, struct ublk_params *params)
{
    *params = (struct ublk_params){.len = sizeof(*params)};
    return ask_with(ctrl, UBLK_U_CMD_GET_PARAMS, dev_id, params, sizeof(*params), 0);
}

int ublk_ctrl_affinity(struct ublk_ctrl *ctrl, uint32_t dev_id, uint32_t q_id, cpu_set_t *cpus)
{
    CPU_ZERO(cpus);
    return ask_with(ctrl, UBLK_U_CMD_GET_QUEUE_AFFINITY, dev_id, cpus, sizeof(*cpus), q_id);
}

int ublk_ctrl_recover(struct ublk_ctrl *ctrl, uint32_t dev_id)
{
    return ask_plain(ctrl, UBLK_U_CMD_START_USER_RECOVERY, dev_id);
}

int ublk_ctrl_run(struct ublk_ctrl *ctrl, uint32_t dev_id, bool recovered)
{
    const struct ublksrv_ctrl_cmd argument = {
        .dev_id = dev_id, .queue_id = NO_QUEUE, .data[0] = (unsigned)getpid()};
    uint32_t command = recovered ? UBLK_U_CMD_END_USER_RECOVERY : UBLK_U_CMD_START_DEV;
    return ublk_ring_begin(&ctrl->ring, code_of(ctrl, command), &argument);
}

int ublk_ctrl_wait(struct ublk_ctrl *ctrl, const int *fds, uint32_t count, int32_t *result)
{
    return ublk_ring_wait(&ctrl->ring, fds, count, result);
}

int ublk_ctrl_stop(struct ublk_ctrl *ctrl, uint32_t dev_id)
{
    return ask_plain(ctrl, UBLK_U_CMD_STOP_DEV, dev_id);
}

int ublk_ctrl_stop_within(struct ublk_ctrl *ctrl, uint32_t dev_id, uint32_t limit_s)
{
    const struct ublksrv_ctrl_cmd argument = {.dev_id = dev_id, .queue_id = NO_QUEUE};
    return ask_within(ctrl, UBLK_U_CMD_STOP_DEV, &argument, limit_s);
}

int ublk_ctrl_delete(struct ublk_ctrl *ctrl, uint32_t dev_id)
{
    int result = ask_plain(ctrl, UBLK_U_CMD_DEL_DEV_ASYNC, dev_id);
    if (result == 0 || result == -ENODEV)
        return result;
    const struct ublksrv_ctrl_cmd argument = {.dev_id = dev_id, .queue_id = NO_QUEUE};
    return ask_within(ctrl, UBLK_U_CMD_DEL_DEV, &argument, DELETE_LIMIT_S);
}

static int compare_ids(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Whether the name is that of a character device. */
static bool id_of_node(const char *name, uint32_t *id)
{
    static const char prefix[] = "ublkc";
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return false;
    const char *digits = name + strlen(prefix);
    if (*digits == 0 || strlen(digits) > 9 || digits[strspn(digits, "0123456789")] != 0)
        return false;
    *id = (uint32_t)strtoul(digits, NULL, 10);
    return true;
}

/* Returns how many there are, or -errno. */
static int read_ids(DIR *directory, uint32_t *ids)
{
    int count = 0;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(directory))) {
        uint32_t id;
        if (!id_of_node(entry->d_name, &id))
            continue;
        if (count == UBLK_DEVICES_MAX)
            return -EOVERFLOW;
        ids[count++] = id;
    }
    return errno ? -errno : count;
}

int ublk_ctrl_list(uint32_t *ids, struct error *error)
{
    DIR *directory = opendir("/dev");
    int count = directory ? read_ids(directory, ids) : -errno;
    if (directory)
        closedir(directory);
    if (count < 0)
        return error_set_errno(error, count, "looking for ublk devices in /dev");
    qsort(ids, (size_t)count, sizeof(*ids), compare_ids);
    return count;
}
