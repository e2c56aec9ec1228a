/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The files of one lazily filled disk.
 *
 * Design: the view before any write is computed once, in memory, from what the specification says
 * and not from what the product does: the image's bytes, zeros behind its end as far as its last
 * stripe reaches, and then what the empty base disk holds, which on an encrypted disk is the
 * decryption of zeros.
 */
#include "support/lazy_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/stamped_disk.h"

enum { SECTOR = 512, OUTPUT_BYTES = 4 * METADATA_LIST_BYTES };

/* --- programs --------------------------------------------------------------------------------- */

/* The child: becomes the program with its output in fd. */
static void be_program(const char *name, const char *config_path, const char *const options[4],
                       int fd)
{
    const char *backend = getenv("UBIBLK_BACKEND_CMD");
    const char *slash = backend != NULL ? strrchr(backend, '/') : NULL;
    char path[4096];

    if (slash != NULL && (fd < 0 || dup2(fd, STDOUT_FILENO) >= 0)) {
        snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - backend), backend, name);
        execl(path, path, "--config", config_path, options[0], options[1], options[2], options[3],
              (char *)NULL);
        perror(path);
    }
    _exit(127);
}

static int reap(pid_t pid)
{
    int status = 0;

    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        return -errno;
    }
    return status == 0 ? 0 : -ECHILD;
}

static int init_metadata(const struct lazy_disk *disk)
{
    char shift[16];
    const char *options[4] = {"-s", shift, "--metadata-version", disk->params.metadata_version};
    pid_t pid;

    snprintf(shift, sizeof(shift), "%u", disk->params.shift);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        be_program("init-metadata", disk->config_path, options, -1);
    }
    return reap(pid);
}

/* What dump-metadata prints, as a string, owned; NULL when it fails. */
static char *dump_metadata(const struct lazy_disk *disk)
{
    static const char *const options[4] = {NULL};
    char *output = calloc(1, OUTPUT_BYTES);
    size_t used = 0;
    ssize_t got = 1;
    int pipe_fds[2];
    pid_t pid;

    if (output == NULL || pipe2(pipe_fds, O_CLOEXEC) < 0) {
        free(output);
        return NULL;
    }
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        be_program("dump-metadata", disk->config_path, options, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    while (got > 0 && used < OUTPUT_BYTES - 1) {
        got = read(pipe_fds[0], output + used, OUTPUT_BYTES - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    close(pipe_fds[0]);
    if (reap(pid) < 0) {
        free(output);
        return NULL;
    }
    return output;
}

/* --- files ------------------------------------------------------------------------------------ */

static int write_file(const char *path, const uint8_t *bytes, uint64_t byte_len,
                      uint64_t file_bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint64_t done = 0;
    int error = fd < 0 || ftruncate(fd, (off_t)file_bytes) < 0 ? -errno : 0;

    while (error == 0 && done < byte_len) {
        ssize_t put = write(fd, bytes + done, byte_len - done);

        error = put < 0 ? -errno : 0;
        done += put > 0 ? (uint64_t)put : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return error;
}

static int make_origin(struct lazy_disk *disk)
{
    const struct lazy_disk_params *params = &disk->params;
    uint64_t stripe_bytes = (uint64_t)SECTOR << params->shift;
    uint64_t filled = disk->source_count * stripe_bytes; /* image and zeros */

    disk->origin = calloc(params->disk_bytes + SECTOR, 1);
    if (disk->origin == NULL) {
        return -ENOMEM;
    }
    for (uint64_t sector = 0; sector * SECTOR < params->image_bytes; sector++) {
        stamp_fill(disk->origin + sector * SECTOR, sector, LAZY_DISK_IMAGE_GENERATION);
    }
    memset(disk->origin + params->image_bytes, 0,
           params->disk_bytes + SECTOR - params->image_bytes);
    if (params->encrypted && filled < params->disk_bytes) {
        xts_decrypt(disk->xts, filled / SECTOR, disk->origin + filled, disk->origin + filled,
                    (params->disk_bytes - filled) / SECTOR);
    }
    return 0;
}

static int write_tool_config(const struct lazy_disk *disk)
{
    static const struct lazy_disk_settings settings = {.fetch_concurrency = 1};
    struct backend_host_params params = backend_host_defaults(disk->base_path);
    char config[LAZY_DISK_CONFIG_BYTES];

    lazy_disk_config(disk, &settings, config);
    params.encrypted = disk->params.encrypted;
    params.extra_config = config;
    return backend_config_write(disk->config_path, "/nonexistent", &params);
}

static int make_files(struct lazy_disk *disk)
{
    const struct lazy_disk_params *params = &disk->params;
    int error = make_origin(disk);

    if (error == 0) {
        error =
            write_file(disk->image_path, disk->origin, params->image_bytes, params->image_bytes);
    }
    if (error == 0) {
        error = write_file(disk->base_path, NULL, 0, params->disk_bytes);
    }
    if (error == 0) {
        error = write_tool_config(disk);
    }
    return error == 0 ? init_metadata(disk) : error;
}

static int make_directory(struct lazy_disk *disk)
{
    const char *parent = getenv("UBIBLK_TEST_DIR");

    snprintf(disk->directory, sizeof(disk->directory), "%s/ubiblk-lazy-XXXXXX",
             parent != NULL ? parent : "/var/tmp");
    if (mkdtemp(disk->directory) == NULL) {
        int error = -errno;

        disk->directory[0] = '\0';
        return error;
    }
    snprintf(disk->base_path, sizeof(disk->base_path), "%s/base", disk->directory);
    snprintf(disk->image_path, sizeof(disk->image_path), "%s/image", disk->directory);
    snprintf(disk->metadata_path, sizeof(disk->metadata_path), "%s/metadata", disk->directory);
    snprintf(disk->config_path, sizeof(disk->config_path), "%s/config.yaml", disk->directory);
    return 0;
}

int lazy_disk_create(struct lazy_disk *disk, const struct lazy_disk_params *params)
{
    uint64_t stripe_bytes = (uint64_t)SECTOR << params->shift;
    struct error reason;
    int error;

    *disk = (struct lazy_disk){.params = *params};
    disk->stripe_count = (params->disk_bytes + stripe_bytes - 1) / stripe_bytes;
    disk->source_count = (params->image_bytes + stripe_bytes - 1) / stripe_bytes;
    error = make_directory(disk);
    if (error == 0 && params->encrypted) {
        error = xts_create(backend_host_data_key, backend_host_tweak_key, XTS_ENGINE_AUTO, NULL,
                           &disk->xts, &reason);
    }
    if (error == 0) {
        error = make_files(disk);
    }
    if (error < 0) {
        lazy_disk_remove(disk);
    }
    return error;
}

void lazy_disk_remove(struct lazy_disk *disk)
{
    if (disk->directory[0] != '\0') {
        unlink(disk->base_path);
        unlink(disk->image_path);
        unlink(disk->metadata_path);
        unlink(disk->config_path);
        rmdir(disk->directory);
    }
    xts_destroy(disk->xts);
    free(disk->origin);
    *disk = (struct lazy_disk){0};
}

void lazy_disk_config(const struct lazy_disk *disk, const struct lazy_disk_settings *settings,
                      char config[LAZY_DISK_CONFIG_BYTES])
{
    snprintf(config, LAZY_DISK_CONFIG_BYTES,
             "metadata_path: %s\n"
             "stripe_source:\n  source: raw\n  path: \"%s\"\n"
             "copy_on_read: %s\nautofetch: %s\ntrack_written: %s\nfetch_concurrency: %u\n",
             disk->metadata_path, disk->image_path, settings->copy_on_read ? "true" : "false",
             settings->autofetch ? "true" : "false", disk->params.track_written ? "true" : "false",
             settings->fetch_concurrency);
}

/* --- looking ---------------------------------------------------------------------------------- */

int lazy_disk_look(const struct lazy_disk *disk, struct metadata_image *image)
{
    int error = metadata_image_read(image, disk->metadata_path, disk->xts, disk->stripe_count);

    for (uint64_t i = 0; i < disk->stripe_count && error == 0; i++) {
        bool has_source = (image->flags[i] & METADATA_HAS_SOURCE) != 0;

        if (has_source != (i < disk->source_count)) {
            snprintf(image->fault, sizeof(image->fault), "stripe %" PRIu64 " has %s source", i,
                     has_source ? "a" : "no");
            error = -EBADMSG;
        }
    }
    if (error == 0 && (image->version_major != (uint32_t)(disk->params.metadata_version[0] - '0') ||
                       image->shift != disk->params.shift)) {
        snprintf(image->fault, sizeof(image->fault), "version %u, shift %u", image->version_major,
                 image->shift);
        error = -EBADMSG;
    }
    return error;
}

bool lazy_disk_dump_agrees(const struct lazy_disk *disk, const struct metadata_image *image)
{
    static const struct {
        const char *name;
        uint8_t flag;
    } lines[] = {{"fetched", METADATA_FETCHED},
                 {"written", METADATA_WRITTEN},
                 {"has-source", METADATA_HAS_SOURCE}};
    char *output = dump_metadata(disk);
    bool agrees = output != NULL;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) && agrees; i++) {
        static char list[METADATA_LIST_BYTES], line[METADATA_LIST_BYTES + 64];

        metadata_image_list(image, lines[i].flag, list);
        snprintf(line, sizeof(line), "\n%s stripes: %s\n", lines[i].name, list);
        agrees = strstr(output, line) != NULL;
        if (!agrees) {
            fprintf(stderr, "dump-metadata does not print:%s", line);
        }
    }
    free(output);
    return agrees;
}

int lazy_disk_read_base(const struct lazy_disk *disk, uint64_t sector, uint32_t sector_count,
                        void *bytes)
{
    int fd = open(disk->base_path, O_RDONLY | O_CLOEXEC);
    ssize_t want = (ssize_t)sector_count * SECTOR, got = -1;

    if (fd >= 0) {
        got = pread(fd, bytes, (size_t)want, (off_t)(sector * SECTOR));
        close(fd);
    }
    if (got != want) {
        return got < 0 ? -errno : -EIO;
    }
    if (disk->xts != NULL) {
        xts_decrypt(disk->xts, sector, bytes, bytes, sector_count);
    }
    return 0;
}
