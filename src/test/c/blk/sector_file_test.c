/* SPDX-License-Identifier: AGPL-3.0-only */
#include "blk/sector_file.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sector.h"
#include "support/vectors.h"

/* More than what is enciphered at once, and no multiple of it. */
enum { MANY_SECTORS = 75 };

struct fixture {
    char directory[64];
    char path[96];
    struct xts *xts;
    struct sector_file file;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint8_t data_key[XTS_KEY_BYTES];
    uint8_t tweak_key[XTS_KEY_BYTES];
    for (int i = 0; i < XTS_KEY_BYTES; i++) {
        data_key[i] = (uint8_t)i; /* those of the vectors */
        tweak_key[i] = (uint8_t)(0x80 + i);
    }
    assert_int_equal(0, xts_create(data_key, tweak_key, XTS_ENGINE_AUTO, NULL, &f->xts, &f->error));
    snprintf(f->directory, sizeof(f->directory), "/tmp/ubiblk-sector-file-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/metadata", f->directory);
    umask(022);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->directory);
    xts_destroy(f->xts);
    free(f);
    return 0;
}

static void open_it(struct fixture *f, enum sector_file_mode mode, struct xts *xts)
{
    int ret = sector_file_open(f->path, mode, 0, xts, NULL, &f->file, &f->error);
    if (ret != 0) {
        fail_msg("%s", f->error.message);
    }
}

/* Expects a refusal whose sentence has the path and the words in it. */
static void refuse(struct fixture *f, const char *path, enum sector_file_mode mode, int code,
                   const char *words)
{
    struct sector_file file;
    assert_int_equal(code, sector_file_open(path, mode, 0, NULL, NULL, &file, &f->error));
    assert_int_equal(code, f->error.code);
    if (strstr(f->error.message, path) == NULL || strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" says nothing of \"%s\"", f->error.message, words);
    }
}

static void put_file(struct fixture *f, const void *bytes, size_t byte_len)
{
    int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(byte_len, write(fd, bytes, byte_len));
    close(fd);
}

static void assert_file_is(struct fixture *f, const void *expected, size_t byte_len)
{
    char *bytes = malloc(byte_len + 1);
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(byte_len, read(fd, bytes, byte_len + 1));
    assert_memory_equal(expected, bytes, byte_len);
    close(fd);
    free(bytes);
}

static void creates_a_file_for_its_owner_alone(void **state)
{
    struct fixture *f = *state;
    struct stat status;
    open_it(f, SECTOR_FILE_CREATE, NULL);
    assert_true(f->file.created);
    assert_int_equal(0, stat(f->path, &status));
    assert_int_equal(S_IFREG | 0600, status.st_mode);
    assert_int_equal(0, sector_file_byte_len(&f->file));
    assert_int_equal(FD_CLOEXEC, fcntl(f->file.fd, F_GETFD));
    sector_file_close(&f->file);
    sector_file_close(&f->file); /* closed already */
}

static void opens_a_file_that_is_there_as_it_is(void **state)
{
    struct fixture *f = *state;
    put_file(f, "not whole sectors", 17);
    for (enum sector_file_mode mode = SECTOR_FILE_READ; mode <= SECTOR_FILE_CREATE; mode++) {
        open_it(f, mode, NULL);
        assert_false(f->file.created);
        assert_int_equal(17, sector_file_byte_len(&f->file));
        sector_file_close(&f->file);
    }
    assert_file_is(f, "not whole sectors", 17);
}

static void refuses_what_is_not_there(void **state)
{
    struct fixture *f = *state;
    refuse(f, f->path, SECTOR_FILE_READ, -ENOENT, "cannot open");
    refuse(f, f->path, SECTOR_FILE_UPDATE, -ENOENT, "No such file");
    refuse(f, "/nowhere/metadata", SECTOR_FILE_CREATE, -ENOENT, "cannot create");
    assert_int_equal(-1, access(f->path, F_OK));
}

static void refuses_what_is_no_regular_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, mkfifo(f->path, 0600));
    for (enum sector_file_mode mode = SECTOR_FILE_READ; mode <= SECTOR_FILE_CREATE; mode++) {
        refuse(f, f->path, mode, -EINVAL, "is not a regular file");
        refuse(f, f->directory, mode, -EINVAL, "is not a regular file");
    }
}

static void follows_a_symbolic_link_except_to_create(void **state)
{
    struct fixture *f = *state;
    char link[128];
    put_file(f, "", 0);
    snprintf(link, sizeof(link), "%s/link", f->directory);
    assert_int_equal(0, symlink(f->path, link));
    refuse(f, link, SECTOR_FILE_CREATE, -ELOOP, "is a symbolic link");
    struct sector_file file;
    assert_int_equal(0, sector_file_open(link, SECTOR_FILE_UPDATE, 0, NULL, NULL, &file, NULL));
    sector_file_close(&file);
    assert_int_equal(0, unlink(f->path));
    refuse(f, link, SECTOR_FILE_CREATE, -ENOENT, "cannot open"); /* it leads nowhere */
    assert_int_equal(-1, access(f->path, F_OK));
    unlink(link);
}

static void whoever_changes_it_has_it_alone(void **state)
{
    struct fixture *f = *state;
    open_it(f, SECTOR_FILE_CREATE, NULL);
    refuse(f, f->path, SECTOR_FILE_UPDATE, -EBUSY, "is locked by this process");
    refuse(f, f->path, SECTOR_FILE_CREATE, -EBUSY, "is locked by this process");
    struct sector_file reader;
    assert_int_equal(
        0, sector_file_open(f->path, SECTOR_FILE_READ, 0, NULL, NULL, &reader, &f->error));
    sector_file_close(&f->file);
    open_it(f, SECTOR_FILE_UPDATE, NULL); /* the reader has no lock */
    sector_file_close(&f->file);
    sector_file_close(&reader);
}

static void fill(uint8_t *bytes, size_t byte_len)
{
    for (size_t i = 0; i < byte_len; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / SECTOR_BYTES);
    }
}

static void reads_what_was_written(struct fixture *f, struct xts *xts)
{
    static uint8_t written[MANY_SECTORS * SECTOR_BYTES];
    static uint8_t copy[sizeof(written)];
    static uint8_t bytes[sizeof(written)];
    fill(written, sizeof(written));
    memcpy(copy, written, sizeof(copy));
    open_it(f, SECTOR_FILE_CREATE, xts);
    assert_int_equal(0, sector_file_write(&f->file, 3, written, MANY_SECTORS));
    assert_memory_equal(copy, written, sizeof(copy)); /* the caller's bytes are left alone */
    assert_int_equal((3 + MANY_SECTORS) * SECTOR_BYTES, sector_file_byte_len(&f->file));
    assert_int_equal(0, sector_file_sync(&f->file));
    assert_int_equal(0, sector_file_read(&f->file, 3, bytes, MANY_SECTORS));
    assert_memory_equal(written, bytes, sizeof(bytes));
    assert_int_equal(0, sector_file_read(&f->file, 40, bytes, 1));
    assert_memory_equal(written + (40 - 3) * SECTOR_BYTES, bytes, SECTOR_BYTES);
    sector_file_close(&f->file);
}

static void plain_sectors_are_read_as_they_were_written(void **state)
{
    reads_what_was_written(*state, NULL);
}

static void enciphered_sectors_are_read_as_they_were_written(void **state)
{
    struct fixture *f = *state;
    reads_what_was_written(f, f->xts);
}

static void sector_n_has_tweak_n(void **state)
{
    struct fixture *f = *state;
    size_t byte_len;
    size_t enciphered_len;
    uint8_t *plain = vector_file("metadata/fresh_8k.bin", &byte_len);
    uint8_t *enciphered = vector_file("metadata/fresh_8k_encrypted_K1K2.bin", &enciphered_len);
    assert_int_equal(byte_len, enciphered_len);
    open_it(f, SECTOR_FILE_CREATE, f->xts);
    uint32_t half = (uint32_t)bytes_to_sectors(byte_len) / 2;
    const uint8_t *second_half = plain + sectors_to_bytes(half);
    assert_int_equal(0, sector_file_write(&f->file, half, second_half, half));
    assert_int_equal(0, sector_file_write(&f->file, 0, plain, half));
    sector_file_close(&f->file);
    assert_file_is(f, enciphered, enciphered_len);
    open_it(f, SECTOR_FILE_READ, f->xts);
    uint8_t *bytes = malloc(byte_len);
    assert_int_equal(0, sector_file_read(&f->file, 0, bytes, 2 * half));
    assert_memory_equal(plain, bytes, byte_len);
    sector_file_close(&f->file);
    free(bytes);
    free(plain);
    free(enciphered);
}

static void nothing_is_read_beyond_the_end(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[4 * SECTOR_BYTES] = {0};
    put_file(f, bytes, 2 * SECTOR_BYTES + 100);
    open_it(f, SECTOR_FILE_READ, f->xts);
    assert_int_equal(0, sector_file_read(&f->file, 0, bytes, 2));
    assert_int_equal(-ENODATA, sector_file_read(&f->file, 0, bytes, 3));
    assert_int_equal(-ENODATA, sector_file_read(&f->file, 2, bytes, 1));
    assert_int_equal(-ENODATA, sector_file_read(&f->file, 1000, bytes, 1));
    sector_file_close(&f->file);
}

static void a_file_for_reading_is_not_written(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[SECTOR_BYTES] = {1};
    put_file(f, "x", 1);
    for (int i = 0; i < 2; i++) {
        open_it(f, SECTOR_FILE_READ, i == 0 ? NULL : f->xts);
        assert_int_equal(-EBADF, sector_file_write(&f->file, 0, bytes, 1));
        sector_file_close(&f->file);
    }
    assert_file_is(f, "x", 1);
}

static void syncs_the_directory_of_a_path(void **state)
{
    struct fixture *f = *state;
    char name[5000];
    assert_int_equal(0, sector_file_sync_directory(f->path));
    assert_int_equal(0, sector_file_sync_directory("/metadata"));
    assert_int_equal(0, chdir(f->directory));
    assert_int_equal(0, sector_file_sync_directory("metadata"));
    assert_int_equal(-ENOENT, sector_file_sync_directory("nowhere/metadata"));
    assert_int_equal(0, chdir("/"));
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(-ENAMETOOLONG, sector_file_sync_directory(name));
    put_file(f, "", 0);
    snprintf(name, sizeof(name), "%s/below", f->path);
    assert_int_equal(-ENOTDIR, sector_file_sync_directory(name));
}

int main(void)
{
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(creates_a_file_for_its_owner_alone),
        WITH_DIRECTORY(opens_a_file_that_is_there_as_it_is),
        WITH_DIRECTORY(refuses_what_is_not_there),
        WITH_DIRECTORY(refuses_what_is_no_regular_file),
        WITH_DIRECTORY(follows_a_symbolic_link_except_to_create),
        WITH_DIRECTORY(whoever_changes_it_has_it_alone),
        WITH_DIRECTORY(plain_sectors_are_read_as_they_were_written),
        WITH_DIRECTORY(enciphered_sectors_are_read_as_they_were_written),
        WITH_DIRECTORY(sector_n_has_tweak_n),
        WITH_DIRECTORY(nothing_is_read_beyond_the_end),
        WITH_DIRECTORY(a_file_for_reading_is_not_written),
        WITH_DIRECTORY(syncs_the_directory_of_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
