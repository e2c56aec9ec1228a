/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/fake_ublk.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "ublk/ublk_ring.h"

enum { GET_FEATURES = 0x13, FEATURES = 0x1fe };

struct fake_ublk fake_ublk;

static uint32_t command;
static struct ublksrv_ctrl_cmd argument;
static bool under_way;

void fake_ublk_reset(void)
{
    fake_ublk = (struct fake_ublk){.features = FEATURES, .cpu_count = 64};
    under_way = false;
}

struct fake_ublk_device *fake_ublk_plant(uint32_t id, uint16_t state, uint64_t hash)
{
    struct fake_ublk_device *device = &fake_ublk.devices[id];
    *device = (struct fake_ublk_device){
        .exists = true,
        .ready = true,
        .info = {.dev_id = id,
                 .state = state,
                 .ublksrv_pid = 4711,
                 .ublksrv_flags = hash,
                 .flags = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE},
    };
    return device;
}

void fake_ublk_fail(uint8_t number, int result, uint32_t times)
{
    fake_ublk.fail_number = number;
    fake_ublk.fail_result = result;
    fake_ublk.fail_times = times;
}

uint32_t fake_ublk_count(uint8_t number)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < fake_ublk.command_count; i++)
        count += _IOC_NR(fake_ublk.commands[i]) == number;
    return count;
}

int fake_ublk_place(uint8_t number)
{
    for (uint32_t i = 0; i < fake_ublk.command_count; i++)
        if (_IOC_NR(fake_ublk.commands[i]) == number)
            return (int)i;
    return -1;
}

static int32_t add_device(void)
{
    struct ublksrv_ctrl_dev_info *info = (void *)(uintptr_t)argument.addr;
    if (argument.len != sizeof(*info) || argument.dev_id != info->dev_id ||
        argument.queue_id != 0xffff)
        return -EINVAL;
    uint32_t id = info->dev_id == UINT32_MAX ? 0 : info->dev_id;
    while (info->dev_id == UINT32_MAX && fake_ublk.devices[id].exists)
        id++;
    assert(id < FAKE_UBLK_DEVICES);
    if (fake_ublk.devices[id].exists)
        return -EEXIST;
    info->dev_id = id;
    if (info->nr_hw_queues > fake_ublk.cpu_count)
        info->nr_hw_queues = (uint16_t)fake_ublk.cpu_count;
    info->state = UBLK_S_DEV_DEAD;
    fake_ublk.devices[id] = (struct fake_ublk_device){.exists = true, .info = *info};
    return 0;
}

static int32_t run_device(struct fake_ublk_device *device, uint16_t from, uint64_t pid)
{
    if (device->info.state != from)
        return from == UBLK_S_DEV_DEAD ? -EEXIST : -EBUSY;
    if (pid == 0)
        return -EINVAL;
    device->info.state = UBLK_S_DEV_LIVE;
    device->ready = true;
    device->info.ublksrv_pid = (int32_t)pid;
    return 0;
}

static int32_t begin_recovery(struct fake_ublk_device *device)
{
    if (!device->ready)
        return -EINVAL;
    if (device->info.state != UBLK_S_DEV_QUIESCED)
        return -EBUSY;
    device->ready = false;
    return 0;
}

static int32_t give_info(struct fake_ublk_device *device)
{
    if (argument.len < sizeof(device->info))
        return -EINVAL;
    if (device->info.state == UBLK_S_DEV_LIVE && fake_ublk.live_looks > 0 &&
        --fake_ublk.live_looks == 0)
        device->info.state = UBLK_S_DEV_QUIESCED;
    memcpy((void *)(uintptr_t)argument.addr, &device->info, sizeof(device->info));
    return 0;
}

static int32_t carry_out(uint8_t number)
{
    void *memory = (void *)(uintptr_t)argument.addr;
    if (number == UBLK_CMD_ADD_DEV)
        return add_device();
    if (number == GET_FEATURES) {
        if (fake_ublk.features == 0 || argument.len != sizeof(uint64_t))
            return -EINVAL;
        memcpy(memory, &fake_ublk.features, sizeof(fake_ublk.features));
        return 0;
    }
    if (argument.dev_id >= FAKE_UBLK_DEVICES || !fake_ublk.devices[argument.dev_id].exists)
        return -ENODEV;
    struct fake_ublk_device *device = &fake_ublk.devices[argument.dev_id];
    switch (number) {
    case UBLK_CMD_GET_DEV_INFO:
        return give_info(device);
    case UBLK_CMD_SET_PARAMS:
        if (device->info.state != UBLK_S_DEV_DEAD)
            return -EACCES;
        memcpy(&device->params, memory, sizeof(device->params));
        return 0;
    case UBLK_CMD_GET_PARAMS:
        memcpy(memory, &device->params, sizeof(device->params));
        return 0;
    case UBLK_CMD_GET_QUEUE_AFFINITY:
        ((uint8_t *)memory)[0] = (uint8_t)(1u << argument.data[0]);
        return argument.len % sizeof(long) != 0 ? -EINVAL : 0;
    case UBLK_CMD_START_DEV:
        return run_device(device, UBLK_S_DEV_DEAD, argument.data[0]);
    case UBLK_CMD_START_USER_RECOVERY:
        return begin_recovery(device);
    case UBLK_CMD_END_USER_RECOVERY:
        return run_device(device, UBLK_S_DEV_QUIESCED, argument.data[0]);
    case UBLK_CMD_STOP_DEV:
        device->lost = device->dirty;
        device->info.state = UBLK_S_DEV_DEAD;
        return 0;
    case DEL_DEV_ASYNC:
        if (fake_ublk.waits_for_del)
            return -EOPNOTSUPP;
        /* fall through */
    case UBLK_CMD_DEL_DEV:
        device->info.state = UBLK_S_DEV_DEAD;
        device->exists = device->opened;
        return 0;
    default:
        return -EINVAL;
    }
}

int __wrap_ublk_ring_open(struct ublk_ring *ring, struct error *error);
void __wrap_ublk_ring_close(struct ublk_ring *ring);
int __wrap_ublk_ring_begin(struct ublk_ring *ring, uint32_t begun,
                           const struct ublksrv_ctrl_cmd *begun_argument);
int __wrap_ublk_ring_wait(struct ublk_ring *ring, const int *fds, uint32_t count, int32_t *result);
int __wrap_ublk_ctrl_list(uint32_t *ids, struct error *error);

int __wrap_ublk_ring_open(struct ublk_ring *ring, struct error *error)
{
    (void)ring;
    if (fake_ublk.open_result < 0)
        return error_set(error, fake_ublk.open_result, "no ublk here");
    fake_ublk.open_count++;
    return 0;
}

void __wrap_ublk_ring_close(struct ublk_ring *ring)
{
    (void)ring;
    assert(fake_ublk.open_count > 0);
    fake_ublk.open_count--;
    under_way = false;
}

int __wrap_ublk_ring_begin(struct ublk_ring *ring, uint32_t begun,
                           const struct ublksrv_ctrl_cmd *begun_argument)
{
    (void)ring;
    assert(!under_way);
    if (fake_ublk.begin_result < 0)
        return fake_ublk.begin_result;
    command = begun;
    argument = *begun_argument;
    assert(fake_ublk.command_count < FAKE_UBLK_COMMANDS);
    fake_ublk.commands[fake_ublk.command_count] = command;
    fake_ublk.ids[fake_ublk.command_count++] = argument.dev_id;
    if (fake_ublk.before)
        fake_ublk.before(_IOC_NR(command));
    under_way = true;
    return 0;
}

static bool hangs(uint8_t number)
{
    if (number == UBLK_CMD_START_DEV || number == UBLK_CMD_END_USER_RECOVERY)
        return fake_ublk.run_hangs;
    if (number == UBLK_CMD_STOP_DEV)
        return fake_ublk.stop_hangs;
    return number == UBLK_CMD_DEL_DEV && argument.dev_id < FAKE_UBLK_DEVICES &&
           fake_ublk.devices[argument.dev_id].opened;
}

static int32_t end_command(uint8_t number)
{
    if (fake_ublk.legacy && command != number)
        return -EOPNOTSUPP;
    if (fake_ublk.fail_times > 0 && fake_ublk.fail_number == number) {
        fake_ublk.fail_times--;
        return fake_ublk.fail_result;
    }
    return carry_out(number);
}

/* A command that hangs leaves the caller waiting for its fds. */
int __wrap_ublk_ring_wait(struct ublk_ring *ring, const int *fds, uint32_t count, int32_t *result)
{
    (void)ring;
    assert(under_way);
    uint8_t number = _IOC_NR(command);
    while (hangs(number)) {
        assert(count > 0); /* or it would be for ever */
        struct pollfd events[UBLK_RING_FDS_MAX];
        for (uint32_t i = 0; i < count; i++)
            events[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        int ready = poll(events, count, 20000);
        assert(ready > 0);
        for (uint32_t i = 0; i < count; i++)
            if (events[i].revents)
                return (int)i;
    }
    under_way = false;
    *result = end_command(number);
    return -1;
}

int __wrap_ublk_ctrl_list(uint32_t *ids, struct error *error)
{
    if (fake_ublk.list_result < 0)
        return error_set(error, fake_ublk.list_result, "no list");
    for (uint32_t i = 0; i < FAKE_UBLK_DEVICES; i++)
        ids[i] = i;
    return FAKE_UBLK_DEVICES;
}
