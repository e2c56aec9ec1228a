/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a test's back end is configured with. The keys in the file are the two below, in base64.
 */
#include "support/backend_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

const uint8_t backend_host_data_key[XTS_KEY_BYTES] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};
const uint8_t backend_host_tweak_key[XTS_KEY_BYTES] = {
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f,
    0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f};

struct backend_host_params backend_host_defaults(const char *path)
{
    return (struct backend_host_params){.device = {.path = path,
                                                   .device_id = "ubiblk",
                                                   .queue_count = 1,
                                                   .queue_size = 256,
                                                   .seg_size_max = 65536,
                                                   .seg_count_max = 4,
                                                   .poll_timeout_us = 1000,
                                                   .logical_block_size = 512,
                                                   .bounce_bytes = 4 << 20,
                                                   .direct_io = DIRECT_IO_AUTO,
                                                   .io_engine = IO_ENGINE_URING}};
}

static const char *direct_io_name(enum direct_io direct_io)
{
    return direct_io == DIRECT_IO_AUTO ? "auto" : direct_io == DIRECT_IO_TRUE ? "true" : "false";
}

int backend_config_write(const char *config_path, const char *socket_path,
                         const struct backend_host_params *params)
{
    const struct blk_device_params *device = &params->device;
    FILE *config = fopen(config_path, "we");

    if (config == NULL) {
        return -errno;
    }
    fprintf(config, "path: %s\nsocket: %s\ndevice_id: %s\nnum_queues: %u\nqueue_size: %u\n",
            device->path, socket_path, device->device_id, device->queue_count, device->queue_size);
    fprintf(config, "seg_size_max: %u\nseg_count_max: %u\npoll_queue_timeout_us: %u\n",
            device->seg_size_max, device->seg_count_max, device->poll_timeout_us);
    fprintf(config, "logical_block_size: %u\nbounce_bytes: %" PRIu64 "\nwrite_through: %s\n",
            device->logical_block_size, device->bounce_bytes,
            device->write_through ? "true" : "false");
    fprintf(config, "direct_io: %s\nio_engine: %s\n", direct_io_name(device->direct_io),
            device->io_engine == IO_ENGINE_URING ? "io_uring" : "sync");
    if (params->stop_timeout_ms != 0) {
        fprintf(config, "stop_timeout_ms: %u\n", params->stop_timeout_ms);
    }
    if (params->encrypted) {
        fprintf(config, "encryption_key:\n"
                        "  - AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
                        "  - gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=\n");
    }
    if (params->extra_config != NULL) {
        fputs(params->extra_config, config);
    }
    return fclose(config) == 0 ? 0 : -errno;
}
