/* SPDX-License-Identifier: AGPL-3.0-only */
/* The ring on hosts that refuse or limit it, and what is left of it afterwards. */
#include "io/uring_ring.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "io/io_engine.h"

enum { BUFFER_BYTES = 1 << 20 };

static int temporary_file(void)
{
    char path[] = "/tmp/ubiblk-uring-ring-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    assert_int_equal(0, ftruncate(fd, 1 << 20));
    return fd;
}

/* Runs the function in a child, which may lose privileges, and expects it to return true. */
static void in_a_child(bool (*function)(long argument), long argument)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(function(argument) ? 0 : 1);
    }
    int status;
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_int_equal(0, status);
}

static bool forbid_io_uring(int error_number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error_number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool names_the_way_out(long error_number)
{
    int fd = 0;
    struct error error;
    struct io_engine *engine;
    struct io_engine_params params = {
        .kind = IO_ENGINE_URING, .depth = 4, .fds = &fd, .fd_count = 1};
    return forbid_io_uring((int)error_number) &&
           io_engine_create(&params, &engine, &error) == -error_number &&
           strstr(error.message, "io_uring") != NULL &&
           strstr(error.message, "io_engine: sync") != NULL;
}

static void names_the_other_engine_when_the_host_refuses_io_uring(void **state)
{
    (void)state;
    in_a_child(names_the_way_out, ENOSYS);
    in_a_child(names_the_way_out, EPERM);
    in_a_child(names_the_way_out, EACCES);
}

static bool warns_once_and_works(long fd)
{
    const struct rlimit little = {BUFFER_BYTES / 2, BUFFER_BYTES / 2}; /* the ring counts as well */
    int fds[1] = {(int)fd};
    char *memory =
        mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec buffer = {memory, BUFFER_BYTES};
    struct log *log = log_create(LOG_WARN, 8);
    struct log_record record;
    struct error error;
    struct io_engine *engine;
    struct io_engine_params params = {.kind = IO_ENGINE_URING,
                                      .depth = 4,
                                      .fds = fds,
                                      .fd_count = 1,
                                      .buffers = &buffer,
                                      .buffer_count = 1,
                                      .log = log};
    if (setrlimit(RLIMIT_MEMLOCK, &little) != 0 || setresuid(65534, 65534, 65534) != 0 ||
        io_engine_create(&params, &engine, &error) != 0 || log_wait(log, &record, 0) != 1 ||
        strstr(record.message, "RLIMIT_MEMLOCK") == NULL || log_wait(log, &record, 0) != 0) {
        return false;
    }
    struct iovec iov = {memory + 4096, 8192};
    struct io_op op = {
        .opcode = IO_READV, .buffer_index = 0, .iov = &iov, .iov_count = 1, .byte_len = 8192};
    struct io_op *done;
    io_engine_prep(engine, &op);
    bool works = io_engine_wait(engine, UINT64_MAX) == 0 && io_engine_reap(engine, &done, 1) == 1 &&
                 op.result == 0;
    io_engine_destroy(engine);
    log_destroy(log);
    munmap(memory, BUFFER_BYTES);
    return works;
}

static void does_without_registered_buffers_when_no_memory_may_be_locked(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip_because("needs root, to become a user without privileges");
    }
    int fd = temporary_file();
    in_a_child(warns_once_and_works, fd);
    close(fd);
}

static int lock_again(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int ret = fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
    close(fd);
    return ret;
}

static void a_destroyed_ring_holds_no_lock(void **state)
{
    (void)state;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[] = "/tmp/ubiblk-uring-ring-XXXXXX";
    int fd = mkstemp(path);
    struct error error;
    struct io_engine *engine;
    struct io_engine_params params = {
        .kind = IO_ENGINE_URING, .depth = 4, .fds = &fd, .fd_count = 1};
    assert_int_equal(0, fcntl(fd, F_OFD_SETLK, &lock));
    assert_int_equal(0, io_engine_create(&params, &engine, &error));
    close(fd);
    assert_int_equal(-EAGAIN, lock_again(path)); /* the ring keeps the description */
    io_engine_destroy(engine);
    assert_int_equal(0, lock_again(path));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_other_engine_when_the_host_refuses_io_uring),
        cmocka_unit_test(does_without_registered_buffers_when_no_memory_may_be_locked),
        cmocka_unit_test(a_destroyed_ring_holds_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
