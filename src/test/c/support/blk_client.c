/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A plain virtio-blk client.
 *
 * Design: one memory region holds rings, then a small page per slot (header, status, table), then
 * the slots' data, so everything a request needs is found by index.
 */
#include "support/blk_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 4096,
    CLIENT_GPA = 0x40000000,
    REAP_MAX = 64,
    STATUS_UNSET = 0xff,
    EXECUTE_TIMEOUT_MS = 60000,
};

static uint64_t ram_bytes(const struct blk_client_params *params)
{
    uint64_t slots = (uint64_t)params->queue_count * params->depth;
    uint64_t data = ((uint64_t)params->slot_bytes + PAGE - 1) / PAGE * PAGE;
    uint64_t ring = virtq_driver_desc_bytes(params->queue_size) +
                    virtq_driver_avail_bytes(params->queue_size) +
                    virtq_driver_used_bytes(params->queue_size) + 64;

    return params->queue_count * ring + slots * (256 + data) + 2 * (uint64_t)PAGE;
}

static int init_slot(struct blk_client *client, struct blk_client_slot *slot)
{
    slot->header_gpa = guest_ram_alloc(&client->ram, 0, 256, 256, 0);
    slot->data_gpa = GUEST_RAM_NONE;
    if (slot->header_gpa == GUEST_RAM_NONE) {
        return -ENOSPC;
    }
    slot->status_gpa = slot->header_gpa + 16;
    slot->table_gpa = slot->header_gpa + 32;
    slot->header = guest_ram_host(&client->ram, slot->header_gpa, 16);
    slot->status = guest_ram_host(&client->ram, slot->status_gpa, 1);
    slot->table = guest_ram_host(&client->ram, slot->table_gpa, 3 * sizeof(*slot->table));
    return 0;
}

static int init_data(struct blk_client *client, struct blk_client_slot *slot)
{
    slot->data_gpa = guest_ram_alloc(&client->ram, 0, client->slot_bytes, PAGE, 0);
    if (slot->data_gpa == GUEST_RAM_NONE) {
        return -ENOSPC;
    }
    slot->data = guest_ram_host(&client->ram, slot->data_gpa, client->slot_bytes);
    return 0;
}

static int init_slots(struct blk_client *client)
{
    uint32_t count = client->queue_count * client->depth;
    int error = 0;

    client->slots = calloc(count, sizeof(*client->slots));
    if (client->slots == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count && error == 0; i++) {
        error = init_slot(client, &client->slots[i]);
    }
    for (uint32_t i = 0; i < count && error == 0; i++) {
        error = init_data(client, &client->slots[i]);
    }
    return error;
}

static int start_queues(struct blk_client *client, const struct blk_client_params *params)
{
    bool event_idx = vhost_frontend_has(&client->frontend, VIRTIO_RING_F_EVENT_IDX);
    int error = 0;

    for (uint32_t i = 0; i < params->queue_count && error == 0; i++) {
        error = frontend_queue_init(&client->queues[i], &client->ram, 0, i, params->queue_size,
                                    event_idx);
        client->queue_count += error == 0;
    }
    if (error == 0) {
        error = init_slots(client);
    }
    if (error == 0) {
        error = vhost_frontend_share(&client->frontend, &client->ram);
    }
    for (uint32_t i = 0; i < client->queue_count && error == 0; i++) {
        error = frontend_queue_start(&client->frontend, &client->ram, &client->queues[i], 0);
    }
    return error == 0 ? vhost_frontend_sync(&client->frontend) : error;
}

int blk_client_open(struct blk_client *client, const struct blk_client_params *params)
{
    struct guest_ram_spec spec = {
        .gpa = CLIENT_GPA, .size = ram_bytes(params), .sealed = !params->unsealed};
    int error;

    *client = (struct blk_client){
        .frontend.fd = -1, .depth = params->depth, .slot_bytes = params->slot_bytes};
    error = guest_ram_init(&client->ram, &spec, 1);
    if (error < 0) {
        return error;
    }
    error =
        vhost_frontend_connect(&client->frontend, params->socket_path, params->connect_timeout_ms);
    if (error == 0) {
        error = vhost_frontend_negotiate(&client->frontend, params->features,
                                         params->protocol_features);
    }
    if (error == 0) {
        client->frontend.need_reply = true;
        client->indirect = vhost_frontend_has(&client->frontend, VIRTIO_RING_F_INDIRECT_DESC);
        error = start_queues(client, params);
    }
    if (error < 0) {
        blk_client_vanish(client);
    }
    return error;
}

void blk_client_close(struct blk_client *client)
{
    for (uint32_t i = 0; i < client->queue_count; i++) {
        uint32_t base;

        if (frontend_queue_stop(&client->frontend, &client->queues[i], &base) < 0) {
            break;
        }
    }
    blk_client_vanish(client);
}

void blk_client_vanish(struct blk_client *client)
{
    vhost_frontend_disconnect(&client->frontend);
    for (uint32_t i = 0; i < client->queue_count; i++) {
        frontend_queue_deinit(&client->queues[i]);
    }
    client->queue_count = 0;
    free(client->slots);
    client->slots = NULL;
    guest_ram_deinit(&client->ram);
}

struct blk_client_slot *blk_client_slot(struct blk_client *client, uint32_t queue, uint16_t slot)
{
    return &client->slots[queue * client->depth + slot];
}

int blk_client_submit(struct blk_client *client, uint32_t queue, uint16_t slot, uint32_t type,
                      uint64_t sector, uint32_t byte_len)
{
    struct blk_client_slot *parts = blk_client_slot(client, queue, slot);
    struct virtq_driver *driver = &client->queues[queue].driver;
    bool reads = type != VIRTIO_BLK_T_OUT;
    struct virtq_segment segments[3] = {{parts->header_gpa, sizeof(*parts->header), false},
                                        {parts->data_gpa, byte_len, reads},
                                        {parts->status_gpa, 1, true}};
    uint32_t count = 3;

    if (byte_len == 0) {
        segments[1] = segments[2];
        count = 2;
    }
    *parts->header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
    *parts->status = STATUS_UNSET;
    parts->used_len = 1 + (reads ? byte_len : 0);
    if (client->indirect) {
        return virtq_driver_add_indirect(driver, segments, count, 0, parts->table, parts->table_gpa,
                                         slot, NULL);
    }
    return virtq_driver_add(driver, segments, count, slot, NULL);
}

void blk_client_publish(struct blk_client *client, uint32_t queue)
{
    virtq_driver_publish_and_kick(&client->queues[queue].driver);
}

int blk_client_reap(struct blk_client *client, uint32_t queue, struct blk_client_done *done,
                    uint32_t max)
{
    struct virtq_completion completions[REAP_MAX];
    int count = virtq_driver_reap(&client->queues[queue].driver, completions,
                                  max < REAP_MAX ? max : REAP_MAX);

    for (int i = 0; i < count; i++) {
        uint16_t slot = (uint16_t)completions[i].token;
        const struct blk_client_slot *parts = blk_client_slot(client, queue, slot);

        done[i] = (struct blk_client_done){.slot = slot, .status = *parts->status};
        if (done[i].status == VIRTIO_BLK_S_OK && completions[i].used_len != parts->used_len) {
            return -EPROTO;
        }
    }
    return count;
}

int blk_client_execute(struct blk_client *client, uint32_t queue, uint32_t type, uint64_t sector,
                       void *data, uint32_t byte_len)
{
    struct blk_client_slot *parts = blk_client_slot(client, queue, 0);
    struct blk_client_done done;
    int error;

    if (type == VIRTIO_BLK_T_OUT) {
        memcpy(parts->data, data, byte_len);
    }
    error = blk_client_submit(client, queue, 0, type, sector, byte_len);
    if (error < 0) {
        return error;
    }
    blk_client_publish(client, queue);
    if (virtq_driver_wait(&client->queues[queue].driver, EXECUTE_TIMEOUT_MS) == 0) {
        return -ETIMEDOUT;
    }
    error = blk_client_reap(client, queue, &done, 1);
    if (error < 0) {
        return error;
    }
    if (type != VIRTIO_BLK_T_OUT && done.status == VIRTIO_BLK_S_OK && byte_len > 0) {
        memcpy(data, parts->data, byte_len);
    }
    return done.status;
}
