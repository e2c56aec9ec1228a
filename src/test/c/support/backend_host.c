/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A back-end process for a test.
 *
 * Design: the child of a fork blocks SIGTERM before it starts any thread and then waits for it, so
 * the whole life of the process is one straight function. Readiness is a connection that succeeds,
 * tried again until it does or the child ends.
 */
#include "support/backend_host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/bus_guard.h"
#include "support/vhost_frontend.h"
#include "vhost/vhost_backend.h"

enum { START_MS = 30000, LOG_LINES = 256, FD_LOOKS = 10 };

/* --- the core in this process ----------------------------------------------------------------- */

static void *print_log(void *log)
{
    struct log_record record;

    while (log_wait(log, &record, -1) > 0) {
        fprintf(stderr, "[back end] %s\n", record.message);
    }
    return NULL;
}

static int complain(const struct error *error)
{
    fprintf(stderr, "[back end] %s\n", error->message);
    return 1;
}

/* Serves until SIGTERM. The exit code. */
static int serve(const struct backend_host_params *params, const char *socket_path, struct log *log,
                 const sigset_t *terminate)
{
    struct vhost_backend_params listen = {
        .socket_path = socket_path,
        .guard = bus_guard_install(),
        .stop_timeout_ms = params->stop_timeout_ms == 0 ? 10000 : params->stop_timeout_ms};
    struct blk_device *device;
    struct vhost_backend *backend;
    struct xts *xts = NULL;
    struct error error = {0};
    int signal_number, result;

    if (params->encrypted && xts_create(backend_host_data_key, backend_host_tweak_key,
                                        XTS_ENGINE_AUTO, log, &xts, &error) < 0) {
        return complain(&error);
    }
    if (blk_device_open(&params->device, xts, log, &device, &error) < 0) {
        return complain(&error);
    }
    if (vhost_backend_start(device, &listen, log, &backend, &error) < 0) {
        return complain(&error);
    }
    sigwait(terminate, &signal_number);
    result = vhost_backend_stop(backend) == 0 ? 0 : 1;
    blk_device_close(device);
    xts_destroy(xts);
    return result;
}

static bool log_wanted(void)
{
    const char *wanted = getenv("UBIBLK_TEST_LOG");

    return wanted != NULL && wanted[0] != '\0';
}

static int run_core(const struct backend_host_params *params, const char *socket_path)
{
    struct log *log = NULL;
    pthread_t printer;
    sigset_t terminate;
    int result;

    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &terminate, NULL);
    if (log_wanted()) {
        log = log_create(LOG_DEBUG, LOG_LINES);
    }
    if (log != NULL && pthread_create(&printer, NULL, print_log, log) != 0) {
        return 1;
    }
    result = serve(params, socket_path, log, &terminate);
    if (log != NULL) {
        log_close(log);
        pthread_join(printer, NULL);
        log_destroy(log);
    }
    return result;
}

/* --- the process ------------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The child: becomes the launcher or runs the core. */
static void be_backend(const struct backend_host *host, const struct backend_host_params *params,
                       const char *command)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (command != NULL) {
        execl(command, command, "--config", host->config_path, (char *)NULL);
        perror(command);
        _exit(127);
    }
    exit(run_core(params, host->socket_path));
}

bool backend_host_alive(const struct backend_host *host)
{
    siginfo_t info = {0};

    return host->pid > 0 &&
           waitid(P_PID, (id_t)host->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

static int await_listening(const struct backend_host *host)
{
    int64_t deadline = now_ms() + START_MS;

    while (now_ms() < deadline) {
        struct vhost_frontend probe;

        if (vhost_frontend_connect(&probe, host->socket_path, 100) == 0) {
            vhost_frontend_disconnect(&probe);
            return 0;
        }
        if (!backend_host_alive(host)) {
            return -ECHILD;
        }
    }
    return -ETIMEDOUT;
}

int backend_host_launch(struct backend_host *host, const struct backend_host_params *params)
{
    const char *command = getenv("UBIBLK_BACKEND_CMD");
    int error = 0;

    if (params->extra_config != NULL && command == NULL) {
        return -ENOTSUP;
    }
    *host = (struct backend_host){.directory = "/tmp/ubiblk-host-XXXXXX"};
    if (mkdtemp(host->directory) == NULL) {
        return -errno;
    }
    snprintf(host->socket_path, sizeof(host->socket_path), "%s/vhost.sock", host->directory);
    snprintf(host->config_path, sizeof(host->config_path), "%s/config.yaml", host->directory);
    if (command != NULL) {
        error = backend_config_write(host->config_path, host->socket_path, params);
    }
    if (error == 0) {
        fflush(NULL);
        host->pid = fork();
        if (host->pid == 0) {
            be_backend(host, params, command);
        }
        error = host->pid < 0 ? -errno : 0;
    }
    if (error < 0) {
        backend_host_kill(host);
    }
    return error;
}

int backend_host_await(struct backend_host *host)
{
    int error = await_listening(host);

    if (error < 0) {
        backend_host_kill(host);
    }
    return error;
}

int backend_host_start(struct backend_host *host, const struct backend_host_params *params)
{
    int error = backend_host_launch(host, params);

    return error < 0 ? error : backend_host_await(host);
}

static void remove_directory(const struct backend_host *host)
{
    unlink(host->socket_path);
    unlink(host->config_path);
    rmdir(host->directory);
}

int backend_host_stop(struct backend_host *host)
{
    int64_t deadline = now_ms() + BACKEND_HOST_STOP_MS;
    int status = 0;

    kill(host->pid, SIGTERM);
    while (waitpid(host->pid, &status, WNOHANG) == 0) {
        if (now_ms() >= deadline) {
            backend_host_kill(host);
            return -ETIMEDOUT;
        }
        poll(NULL, 0, 2);
    }
    host->pid = 0;
    remove_directory(host);
    return status;
}

void backend_host_kill(struct backend_host *host)
{
    if (host->pid > 0) {
        kill(host->pid, SIGKILL);
        waitpid(host->pid, NULL, 0);
        host->pid = 0;
    }
    remove_directory(host);
}

/* --- what /proc says -------------------------------------------------------------------------- */

static FILE *open_proc(const struct backend_host *host, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)host->pid, name);
    return fopen(path, "re");
}

static uint32_t count_fds(const struct backend_host *host)
{
    char path[64];
    uint32_t count = 0;
    DIR *directory;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)host->pid);
    directory = opendir(path);
    if (directory == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

uint32_t backend_host_fd_count(const struct backend_host *host)
{
    uint32_t fewest = count_fds(host);

    for (uint32_t look = 1; look < FD_LOOKS; look++) {
        uint32_t count;

        poll(NULL, 0, 1);
        count = count_fds(host);
        fewest = count < fewest ? count : fewest;
    }
    return fewest;
}

uint32_t backend_host_mapping_count(const struct backend_host *host)
{
    FILE *maps = open_proc(host, "maps");
    uint32_t count = 0;
    char line[512];

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        count += strstr(line, "guest-ram") != NULL;
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return count;
}

uint64_t backend_host_rss_kib(const struct backend_host *host)
{
    FILE *status = open_proc(host, "status");
    unsigned long long kib = 0;
    char line[256];

    while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
        if (sscanf(line, "VmRSS: %llu", &kib) == 1) {
            break;
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return kib;
}

uint64_t backend_host_cpu_ms(const struct backend_host *host)
{
    FILE *stat = open_proc(host, "stat");
    unsigned long long user = 0, system = 0;

    if (stat == NULL) {
        return 0;
    }
    if (fscanf(stat, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
               &system) != 2) {
        user = system = 0;
    }
    fclose(stat);
    return (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* --- disks ------------------------------------------------------------------------------------ */

int test_disk_create(char path[BACKEND_HOST_PATH_BYTES], uint64_t byte_len)
{
    const char *directory = getenv("UBIBLK_TEST_DIR");
    int fd, error = 0;

    snprintf(path, BACKEND_HOST_PATH_BYTES, "%s/ubiblk-disk-XXXXXX",
             directory != NULL ? directory : "/var/tmp");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, (off_t)byte_len) < 0) {
        error = -errno;
        unlink(path);
    }
    close(fd);
    return error;
}

void test_disk_remove(const char *path)
{
    unlink(path);
}
