/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The tests' own view of a metadata file: known files of both versions are read, and each kind of
 * damage is found.
 */
#include "support/metadata_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/backend_config.h"
#include "support/cmocka_test.h"
#include "support/vectors.h"

enum { SECTOR = 512, V2_STRIPES = 600 };

#define V1_WRITTEN "metadata/all_fetched_stripe1_written_stripe3_written.bin"
#define V2_LARGE "head/metadata_v2_600_of_1024.bin"

static int read_vector(struct metadata_image *image, const char *name, const struct xts *xts,
                       uint64_t stripe_count)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/vectors/%s", UBIBLK_TEST_RESOURCES_DIR, name);
    return metadata_image_read(image, path, xts, stripe_count);
}

/* Reads a copy of a vector in which one byte differs, or which ends before that byte. */
static int read_damaged(struct metadata_image *image, const char *name, size_t offset, bool cut,
                        uint64_t stripe_count)
{
    char path[] = "/tmp/ubiblk-metadata-XXXXXX";
    size_t byte_len;
    uint8_t *bytes = vector_file(name, &byte_len);
    int fd = mkstemp(path), error;

    assert_true(fd >= 0 && offset < byte_len);
    bytes[offset] ^= 0x18;
    byte_len = cut ? offset : byte_len;
    assert_int_equal(write(fd, bytes, byte_len), byte_len);
    close(fd);
    free(bytes);
    error = metadata_image_read(image, path, NULL, stripe_count);
    unlink(path);
    return error;
}

static void reads_version_1(void **state)
{
    static const uint8_t flags[] = {5, 7, 0, 2};
    struct metadata_image image;

    (void)state;
    assert_int_equal(read_vector(&image, V1_WRITTEN, NULL, 4), 0);
    assert_int_equal(image.version_major, 1);
    assert_int_equal(image.shift, 11);
    assert_memory_equal(image.flags, flags, sizeof(flags));
    assert_int_equal(metadata_image_count(&image, METADATA_WRITTEN, METADATA_FETCHED), 1);
    metadata_image_deinit(&image);
}

static void reads_an_encrypted_file(void **state)
{
    static const uint8_t flags[] = {4, 4, 0, 0};
    struct metadata_image image;
    struct error error;
    struct xts *xts;

    (void)state;
    assert_int_equal(xts_create(backend_host_data_key, backend_host_tweak_key, XTS_ENGINE_AUTO,
                                NULL, &xts, &error),
                     0);
    assert_int_equal(read_vector(&image, "metadata/fresh_8k_encrypted_K1K2.bin", xts, 4), 0);
    assert_memory_equal(image.flags, flags, sizeof(flags));
    metadata_image_deinit(&image);
    assert_int_equal(read_vector(&image, "metadata/fresh_8k_encrypted_K1K2.bin", NULL, 4),
                     -EBADMSG);
    metadata_image_deinit(&image);
    xts_destroy(xts);
}

static void reads_version_2_over_two_sectors(void **state)
{
    struct metadata_image image;

    (void)state;
    assert_int_equal(read_vector(&image, V2_LARGE, NULL, 1024), 0);
    assert_int_equal(image.version_major, 2);
    assert_int_equal(metadata_image_count(&image, METADATA_HAS_SOURCE, 0), V2_STRIPES);
    assert_int_equal(image.flags[V2_STRIPES - 1], METADATA_HAS_SOURCE);
    metadata_image_deinit(&image);
}

/* Each place of a good file whose damage must be found. */
static void finds_damage(void **state)
{
    static const struct {
        const char *name;
        size_t offset;
        bool cut;
        uint64_t stripe_count;
    } damages[] = {
        {V1_WRITTEN, 3, false, 4},                /* magic */
        {V1_WRITTEN, 9, false, 4},                /* major version */
        {V1_WRITTEN, 11, false, 4},               /* minor version */
        {V1_WRITTEN, SECTOR + 2, false, 4},       /* an unknown flag */
        {V1_WRITTEN, SECTOR + 4, false, 4},       /* after the last stripe */
        {V1_WRITTEN, SECTOR, true, 4},            /* no flags at all */
        {V1_WRITTEN, 0, true, 4},                 /* nothing at all */
        {V2_LARGE, 13, false, 1024},              /* covered by the header's checksum */
        {V2_LARGE, 508, false, 1024},             /* that checksum */
        {V2_LARGE, 14, false, 1024},              /* the count */
        {V2_LARGE, 2 * SECTOR + 10, false, 1024}, /* covered by a sector's checksum */
        {V2_LARGE, 1000, true, 1024},             /* the second sector of flags is missing */
    };
    struct metadata_image image;

    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        int error = read_damaged(&image, damages[i].name, damages[i].offset, damages[i].cut,
                                 damages[i].stripe_count);

        if (error != -EBADMSG || image.fault[0] == '\0') {
            fail_msg("damage %zu: %d \"%s\"", i, error, image.fault);
        }
        metadata_image_deinit(&image);
    }
    assert_int_equal(read_vector(&image, "no-such-file", NULL, 4), -ENOENT);
    metadata_image_deinit(&image);
}

static void lists_stripes_as_dump_metadata_does(void **state)
{
    uint8_t flags[] = {1, 1, 1, 0, 1, 0, 1, 1, 0, 1};
    struct metadata_image image = {.stripe_count = sizeof(flags), .flags = flags};
    static char list[METADATA_LIST_BYTES];

    (void)state;
    metadata_image_list(&image, METADATA_FETCHED, list);
    assert_string_equal(list, "0-2, 4, 6, 7, 9");
    metadata_image_list(&image, METADATA_WRITTEN, list);
    assert_string_equal(list, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_version_1),
        cmocka_unit_test(reads_an_encrypted_file),
        cmocka_unit_test(reads_version_2_over_two_sectors),
        cmocka_unit_test(finds_damage),
        cmocka_unit_test(lists_stripes_as_dump_metadata_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
