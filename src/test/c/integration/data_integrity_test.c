/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Mixed requests with stamps over every feature on and off, 1 to 4 queues, 1 to 3 memory regions,
 * all layouts, both engines, plain and encrypted, through O_DIRECT and the page cache. At the end
 * of each variant every sector is read back through the device and from the file itself.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/blk_stress.h"
#include "support/cmocka_test.h"

enum { DISK_BYTES = 32 << 20, SECTOR = 512, DEPTH = 128 };

#define BASE_FEATURES                                                                              \
    (FRONTEND_BIT(FRONTEND_F_PROTOCOL_FEATURES) | FRONTEND_BIT(32) |                               \
     FRONTEND_BIT(VIRTIO_BLK_F_SEG_MAX) | FRONTEND_BIT(VIRTIO_BLK_F_BLK_SIZE))
#define EVENT_IDX FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT FRONTEND_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define FLUSH (FRONTEND_BIT(VIRTIO_BLK_F_FLUSH) | FRONTEND_BIT(VIRTIO_BLK_F_CONFIG_WCE))
#define MQ FRONTEND_BIT(VIRTIO_BLK_F_MQ)
#define MEM_SLOTS FRONTEND_BIT(FRONTEND_PROTOCOL_MEM_SLOTS)

struct variant {
    const char *name;
    uint64_t features, protocol_features;
    uint32_t queues, regions;
    enum io_engine_kind engine;
    enum direct_io direct_io;
    bool encrypted, polling, write_through;
    uint32_t poll_us;
    uint64_t bounce_bytes; /* 0: 4 MiB */
    uint32_t block_size;   /* 0: 512 */
};

static const struct variant variants[] = {
    {.name = "bare ring, no features, one region", .queues = 1, .regions = 1, .poll_us = 1000},
    {.name = "bare ring, encrypted, sync engine",
     .queues = 1,
     .regions = 1,
     .engine = IO_ENGINE_SYNC,
     .encrypted = true},
    {.name = "EVENT_IDX",
     .features = EVENT_IDX,
     .protocol_features = MEM_SLOTS,
     .queues = 1,
     .regions = 1,
     .direct_io = DIRECT_IO_FALSE},
    {.name = "EVENT_IDX, polling driver, encrypted",
     .features = EVENT_IDX,
     .protocol_features = MEM_SLOTS,
     .queues = 1,
     .regions = 2,
     .direct_io = DIRECT_IO_FALSE,
     .encrypted = true,
     .polling = true,
     .poll_us = 1000},
    {.name = "INDIRECT", .features = INDIRECT, .queues = 1, .regions = 3, .poll_us = 50},
    {.name = "INDIRECT, polling driver, sync engine, page cache",
     .features = INDIRECT,
     .protocol_features = MEM_SLOTS,
     .queues = 1,
     .regions = 2,
     .engine = IO_ENGINE_SYNC,
     .direct_io = DIRECT_IO_FALSE,
     .polling = true,
     .poll_us = 1000},
    {.name = "INDIRECT, FLUSH, encrypted, page cache",
     .features = INDIRECT | FLUSH,
     .queues = 1,
     .regions = 1,
     .direct_io = DIRECT_IO_FALSE,
     .encrypted = true,
     .poll_us = 1000},
    {.name = "all features, 2 queues, 3 regions",
     .features = EVENT_IDX | INDIRECT | FLUSH | MQ,
     .protocol_features = MEM_SLOTS,
     .queues = 2,
     .regions = 3,
     .poll_us = 1000},
    {.name = "all features, 4 queues, 3 regions, encrypted",
     .features = EVENT_IDX | INDIRECT | FLUSH | MQ,
     .protocol_features = MEM_SLOTS,
     .queues = 4,
     .regions = 3,
     .encrypted = true,
     .poll_us = 1000},
    {.name = "all features, 4 queues, sync engine, encrypted",
     .features = EVENT_IDX | INDIRECT | FLUSH | MQ,
     .queues = 4,
     .regions = 3,
     .engine = IO_ENGINE_SYNC,
     .encrypted = true},
    {.name = "all features, 3 queues, page cache, polling driver",
     .features = EVENT_IDX | INDIRECT | FLUSH | MQ,
     .protocol_features = MEM_SLOTS,
     .queues = 3,
     .regions = 2,
     .direct_io = DIRECT_IO_FALSE,
     .polling = true},
    {.name = "all features, smallest bounce pool, encrypted",
     .features = EVENT_IDX | INDIRECT | FLUSH | MQ,
     .protocol_features = MEM_SLOTS,
     .queues = 2,
     .regions = 2,
     .encrypted = true,
     .poll_us = 1000,
     .bounce_bytes = 1 << 20},
    {.name = "write-through",
     .features = EVENT_IDX | INDIRECT | FLUSH,
     .protocol_features = MEM_SLOTS,
     .queues = 1,
     .regions = 1,
     .write_through = true,
     .poll_us = 1000},
    {.name = "logical blocks of 4096 bytes",
     .features = EVENT_IDX | INDIRECT | FLUSH,
     .protocol_features = MEM_SLOTS,
     .queues = 1,
     .regions = 3,
     .encrypted = true,
     .poll_us = 1000,
     .block_size = 4096},
};

enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

static void check(const struct blk_stress *stress, int error)
{
    if (error < 0) {
        fail_msg("%s", stress->failure);
    }
}

/* What lies in the file must be what was written, or its cipher text. */
static void check_file(struct stamped_disk *disk, const char *path, bool encrypted)
{
    uint8_t bytes[64 * SECTOR];
    struct xts *xts = NULL;
    struct error error;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    if (encrypted) {
        assert_int_equal(xts_create(backend_host_data_key, backend_host_tweak_key, XTS_ENGINE_AUTO,
                                    NULL, &xts, &error),
                         0);
    }
    for (uint64_t sector = 0; sector < disk->sector_count; sector += 64) {
        assert_int_equal(pread(fd, bytes, sizeof(bytes), (off_t)(sector * SECTOR)), sizeof(bytes));
        if (encrypted) {
            assert_false(stamp_matches(bytes, sector, disk->generation[sector]));
            xts_decrypt(xts, sector, bytes, bytes, 64);
        }
        if (!stamped_disk_check(disk, bytes, sector, 64)) {
            fail_msg("in the file: %s", disk->mismatch);
        }
    }
    xts_destroy(xts);
    close(fd);
}

static void run_variant(const struct variant *variant, const char *path, uint64_t requests)
{
    struct backend_host_params host_params = backend_host_defaults(path);
    struct blk_stress_params params = {.seed = test_seed(),
                                       .features = BASE_FEATURES | variant->features,
                                       .protocol_features =
                                           BLK_CLIENT_PROTOCOL_FEATURES & ~MEM_SLOTS,
                                       .queue_count = variant->queues,
                                       .region_count = variant->regions,
                                       .queue_size = 256,
                                       .depth = DEPTH,
                                       .polling = variant->polling};
    struct backend_host host;
    struct stamped_disk disk;
    static struct blk_stress stress;

    params.protocol_features |= variant->protocol_features;
    host_params.device.queue_count = variant->queues;
    host_params.device.io_engine = variant->engine;
    host_params.device.direct_io = variant->direct_io;
    host_params.device.write_through = variant->write_through;
    host_params.device.poll_timeout_us = variant->poll_us;
    host_params.encrypted = variant->encrypted;
    if (variant->bounce_bytes != 0) {
        host_params.device.bounce_bytes = variant->bounce_bytes;
    }
    if (variant->block_size != 0) {
        host_params.device.logical_block_size = variant->block_size;
        params.sector_unit = variant->block_size / SECTOR;
    }
    assert_int_equal(stamped_disk_init(&disk, DISK_BYTES / SECTOR), 0);
    assert_int_equal(blk_stress_init(&stress, &params, &disk), 0);
    assert_int_equal(backend_host_start(&host, &host_params), 0);
    check(&stress, blk_stress_connect(&stress, host.socket_path));
    check(&stress, blk_stress_script_format(&stress));
    check(&stress, blk_stress_run_script(&stress));
    check(&stress, blk_stress_run(&stress, requests));
    check(&stress, blk_stress_drain(&stress));
    check(&stress, blk_stress_script_verify(&stress));
    check(&stress, blk_stress_run_script(&stress));
    assert_int_equal(stress.started, stress.ended);
    assert_true(stress.of_type[VIRTIO_BLK_T_FLUSH] > 0);
    assert_true(stress.of_type[VIRTIO_BLK_T_GET_ID] > 0);
    blk_stress_deinit(&stress);
    assert_int_equal(backend_host_stop(&host), 0);
    check_file(&disk, path, variant->encrypted);
    stamped_disk_deinit(&disk);
}

static void keeps_every_sector_under_mixed_requests(void **state)
{
    uint64_t total = test_count_long(28000, 1000000);
    char path[BACKEND_HOST_PATH_BYTES];

    (void)state;
    test_print_scale(total, "mixed requests at depth 128");
    assert_int_equal(test_disk_create(path, DISK_BYTES), 0);
    for (uint32_t i = 0; i < VARIANTS; i++) {
        printf("  %s\n", variants[i].name);
        fflush(stdout);
        run_variant(&variants[i], path, (total + VARIANTS - 1) / VARIANTS);
    }
    test_disk_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_every_sector_under_mixed_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
