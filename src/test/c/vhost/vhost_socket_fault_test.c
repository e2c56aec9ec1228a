/* SPDX-License-Identifier: AGPL-3.0-only */
/* Each call of the kernel that can fail while listening, reading and replying. */
/* wrap: socket bind listen chmod rename sendmsg recvmsg poll */
#include "vhost/vhost_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/cmocka_test.h"

/* The errno that a call fails with; 0: it does not. */
static int socket_errno;
static int bind_errno;
static int listen_errno;
static int chmod_errno;
static int rename_errno;
static int poll_result;
static int send_script[4]; /* errnos or, negative, bytes accepted; 0 ends it */
static uint32_t send_count;
static int receive_script[4];
static uint32_t receive_count;

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *address, socklen_t byte_len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t byte_len);
int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);
int __real_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

static int fail_with(int code)
{
    errno = code;
    return -1;
}

int __wrap_socket(int domain, int type, int protocol)
{
    return socket_errno ? fail_with(socket_errno) : __real_socket(domain, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t byte_len)
{
    return bind_errno ? fail_with(bind_errno) : __real_bind(fd, address, byte_len);
}

int __wrap_listen(int fd, int backlog)
{
    return listen_errno ? fail_with(listen_errno) : __real_listen(fd, backlog);
}

int __wrap_chmod(const char *path, mode_t mode)
{
    return chmod_errno ? fail_with(chmod_errno) : __real_chmod(path, mode);
}

/* What the path is about to name already has its mode and listens. */
int __wrap_rename(const char *from, const char *to)
{
    if (rename_errno) {
        return fail_with(rename_errno);
    }
    struct stat status;
    assert_int_equal(0, lstat(from, &status));
    assert_int_equal(S_IFSOCK | 0660, status.st_mode);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", from);
    int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, connect(fd, (struct sockaddr *)&address, sizeof(address)));
    close(fd);
    return __real_rename(from, to);
}

/* Takes up to 5 bytes at a time once the script is over. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    (void)fd;
    assert_true(flags & MSG_NOSIGNAL);
    if (send_count < 4 && send_script[send_count]) {
        return fail_with(send_script[send_count++]);
    }
    size_t byte_len = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        byte_len += message->msg_iov[i].iov_len;
    }
    return byte_len < 5 ? (ssize_t)byte_len : 5;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    if (receive_count < 4 && receive_script[receive_count]) {
        return fail_with(receive_script[receive_count++]);
    }
    return __real_recvmsg(fd, message, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)fds;
    (void)count;
    assert_int_equal(10000, timeout_ms);
    return poll_result;
}

static int setup(void **state)
{
    char *path = calloc(1, 64);
    assert_non_null(path);
    snprintf(path, 64, "/tmp/vhost-socket-fault-%d", (int)getpid());
    memset(send_script, 0, sizeof(send_script));
    memset(receive_script, 0, sizeof(receive_script));
    send_count = receive_count = 0;
    poll_result = 1;
    *state = path;
    return 0;
}

static int teardown(void **state)
{
    unlink(*state);
    free(*state);
    return 0;
}

static void assert_listen_fails(const char *path, int *failing)
{
    struct error error = {0};
    *failing = EACCES;
    int result = vhost_socket_listen(path, &error);
    *failing = 0;
    assert_int_equal(-EACCES, result);
    assert_int_equal(-EACCES, error.code);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(-1, access(path, F_OK)); /* nothing is left */
    char private[64];
    snprintf(private, sizeof(private), "/tmp/.v%x", (unsigned)getpid());
    assert_int_equal(-1, access(private, F_OK));
}

static void reports_each_step_of_listening_that_fails(void **state)
{
    assert_listen_fails(*state, &socket_errno);
    assert_listen_fails(*state, &bind_errno);
    assert_listen_fails(*state, &chmod_errno);
    assert_listen_fails(*state, &listen_errno);
    assert_listen_fails(*state, &rename_errno);
}

static void is_seen_only_once_it_listens_with_its_mode(void **state)
{
    struct error error = {0};
    for (int i = 0; i < 2; i++) { /* the second one replaces what the first left */
        int fd = vhost_socket_listen(*state, &error);
        assert_true(fd >= 0);
        close(fd);
    }
}

static void sends_a_reply_in_parts_and_after_interruptions(void **state)
{
    (void)state;
    send_script[0] = EINTR;
    send_script[1] = EAGAIN;
    send_script[2] = EINTR;
    assert_int_equal(0, vhost_socket_reply(3, 1, "0123456789", 10));
    assert_int_equal(3, send_count);
}

static void gives_up_a_peer_that_does_not_read(void **state)
{
    (void)state;
    poll_result = 0;
    send_script[0] = EAGAIN;
    assert_int_equal(-ETIMEDOUT, vhost_socket_reply(3, 1, "0123456789", 10));
}

static void reports_a_reply_that_cannot_be_sent(void **state)
{
    (void)state;
    send_script[0] = ENOBUFS;
    assert_int_equal(-ENOBUFS, vhost_socket_reply(3, 1, "0123456789", 10));
}

static void reads_on_after_interruptions(void **state)
{
    (void)state;
    struct vhost_receiver receiver = {0};
    const struct vhost_header header = {1, VHOST_FLAGS_VERSION, 0};
    int pair[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    assert_int_equal(sizeof(header), write(pair[1], &header, sizeof(header)));
    receive_script[0] = EINTR;
    receive_script[1] = EINTR;
    assert_int_equal(1, vhost_receiver_read(&receiver, pair[0], NULL));
    vhost_receiver_reset(&receiver);
    receive_script[2] = ENOMEM;
    assert_int_equal(-ECONNRESET, vhost_receiver_read(&receiver, pair[0], NULL));
    close(pair[0]);
    close(pair[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reports_each_step_of_listening_that_fails),
        TEST(is_seen_only_once_it_listens_with_its_mode),
        TEST(sends_a_reply_in_parts_and_after_interruptions),
        TEST(gives_up_a_peer_that_does_not_read),
        TEST(reports_a_reply_that_cannot_be_sent),
        TEST(reads_on_after_interruptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
