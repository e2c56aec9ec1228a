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
    uint64_t bounce_bytes;
};

static const struct variant variants[] = {
    {"bare ring, no features, one region", 0, 0, 1, 1, IO_ENGINE_URING, DIRECT_IO_AUTO, false,
     false, false, 1000, 4 << 20},
    {"bare ring, encrypted, sync engine", 0, 0, 1, 1, IO_ENGINE_SYNC, DIRECT_IO_AUTO, true, false,
     false, 0, 4 << 20},
    {"EVENT_IDX", EVENT_IDX, MEM_SLOTS, 1, 1, IO_ENGINE_URING, DIRECT_IO_FALSE, false, false, false,
     0, 4 << 20},
    {"EVENT_IDX, polling driver, encrypted", EVENT_IDX, MEM_SLOTS, 1, 2, IO_ENGINE_URING,
     DIRECT_IO_FALSE, true, true, false, 1000, 4 << 20},
    {"INDIRECT", INDIRECT, 0, 1, 3, IO_ENGINE_URING, DIRECT_IO_AUTO, false, false, false, 50,
     4 << 20},
    {"INDIRECT, polling driver, sync engine, page cache", INDIRECT, MEM_SLOTS, 1, 2, IO_ENGINE_SYNC,
     DIRECT_IO_FALSE, false, true, false, 1000, 4 << 20},
    {"INDIRECT, FLUSH, encrypted, page cache", INDIRECT | FLUSH, 0, 1, 1, IO_ENGINE_URING,
     DIRECT_IO_FALSE, true, false, false, 1000, 4 << 20},
    {"all features, 2 queues, 3 regions", EVENT_IDX | INDIRECT | FLUSH | MQ, MEM_SLOTS, 2, 3,
     IO_ENGINE_URING, DIRECT_IO_AUTO, false, false, false, 1000, 4 << 20},
    {"all features, 4 queues, 3 regions, encrypted", EVENT_IDX | INDIRECT | FLUSH | MQ, MEM_SLOTS,
     4, 3, IO_ENGINE_URING, DIRECT_IO_AUTO, true, false, false, 1000, 4 << 20},
    {"all features, 4 queues, sync engine, encrypted", EVENT_IDX | INDIRECT | FLUSH | MQ, 0, 4, 3,
     IO_ENGINE_SYNC, DIRECT_IO_AUTO, true, false, false, 0, 4 << 20},
    {"all features, 3 queues, page cache, polling driver", EVENT_IDX | INDIRECT | FLUSH | MQ,
     MEM_SLOTS, 3, 2, IO_ENGINE_URING, DIRECT_IO_FALSE, false, true, false, 0, 4 << 20},
    {"all features, smallest bounce pool, encrypted", EVENT_IDX | INDIRECT | FLUSH | MQ, MEM_SLOTS,
     2, 2, IO_ENGINE_URING, DIRECT_IO_AUTO, true, false, false, 1000, 1 << 20},
    {"write-through", EVENT_IDX | INDIRECT | FLUSH, MEM_SLOTS, 1, 1, IO_ENGINE_URING,
     DIRECT_IO_AUTO, false, false, true, 1000, 4 << 20},
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
    host_params.device.bounce_bytes = variant->bounce_bytes;
    host_params.encrypted = variant->encrypted;
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
    uint64_t total = test_count(26000, 1000000);
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
