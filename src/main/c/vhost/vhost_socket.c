/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The umask belongs to all threads, so a listening socket is made under a private name and renamed
 * once it has its mode and listens: whoever sees the path may connect, and an old socket there is
 * replaced in one step.
 */
#include "vhost_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 8, SEND_TIMEOUT_MS = 10000, SOCKET_MODE = 0660, PRIVATE_NAME_BYTES = 16 };

/* Whether somebody listens there: another back end, which must not lose its socket to us. */
static bool is_served(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool served = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                  errno == EAGAIN; /* its backlog is full */
    close(fd);
    return served;
}

/* Only a socket that nobody serves is ever replaced. */
static int check_replaceable(const struct sockaddr_un *address, struct error *error)
{
    const char *path = address->sun_path;
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : error_set_errno(error, -errno, "socket %s", path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, -EEXIST, "socket %s: the path exists and is not a socket", path);
    if (is_served(address))
        return error_set(error, -EADDRINUSE, "socket %s: another process listens there", path);
    return 0;
}

static int set_path(struct sockaddr_un *address, const char *path, struct error *error)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path)) {
        return error_set(error, -ENAMETOOLONG,
                         "socket %s: the path has %zu bytes, at most %zu are possible", path,
                         strlen(path), sizeof(address->sun_path) - 1);
    }
    memcpy(address->sun_path, path, strlen(path));
    return 0;
}

/* A name beside address that no other process uses: hidden, and no longer than a short name. */
static int set_private_path(struct sockaddr_un *private, const struct sockaddr_un *address,
                            struct error *error)
{
    char path[sizeof(address->sun_path) + PRIVATE_NAME_BYTES];
    const char *slash = strrchr(address->sun_path, '/');
    int directory_len = slash ? (int)(slash + 1 - address->sun_path) : 0;
    snprintf(path, sizeof(path), "%.*s.v%x", directory_len, address->sun_path, (unsigned)getpid());
    return set_path(private, path, error);
}

/* Binds, sets the mode and listens under a private name, then gives it the public one. */
static int publish(int fd, const struct sockaddr_un *private, const char *path, struct error *error)
{
    const char *made = private->sun_path;
    unlink(made); /* of a process of that number that was killed just here */
    if (bind(fd, (const struct sockaddr *)private, sizeof(*private)) < 0)
        return error_set_errno(error, -errno, "socket %s: bind", path);
    if (chmod(made, SOCKET_MODE) < 0 || listen(fd, BACKLOG) < 0 || rename(made, path) < 0) {
        int result = error_set_errno(error, -errno, "socket %s", path);
        unlink(made);
        return result;
    }
    return 0;
}

int vhost_socket_listen(const char *path, struct error *error)
{
    struct sockaddr_un address, private;
    int result = set_path(&address, path, error);
    if (result == 0)
        result = set_private_path(&private, &address, error);
    if (result == 0)
        result = check_replaceable(&address, error);
    if (result < 0)
        return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_errno(error, -errno, "socket %s", path);
    result = publish(fd, &private, path, error);
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

int vhost_message_take_fd(struct vhost_message *message)
{
    for (uint32_t i = 0; i < message->fd_count; i++) {
        int fd = message->fds[i];
        if (fd >= 0) {
            message->fds[i] = -1;
            return fd;
        }
    }
    return -1;
}

void vhost_message_close_fds(struct vhost_message *message)
{
    int fd;
    while ((fd = vhost_message_take_fd(message)) >= 0)
        close(fd);
    message->fd_count = 0;
}

void vhost_receiver_reset(struct vhost_receiver *receiver)
{
    vhost_message_close_fds(&receiver->message);
    receiver->received = 0;
}

/* Keeps the descriptors of one recvmsg; those beyond VHOST_FDS_MAX are closed. */
static void keep_fds(struct vhost_message *message, struct msghdr *header)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
         control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(control) + i * sizeof(fd), sizeof(fd));
            if (message->fd_count < VHOST_FDS_MAX)
                message->fds[message->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

/* Reads up to byte_len bytes; returns the number, 0 when none is there, or -ECONNRESET. */
static int receive_some(struct vhost_message *message, int fd, void *to, size_t byte_len)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * VHOST_FDS_MAX)];
    } control;
    struct iovec iov = {.iov_base = to, .iov_len = byte_len};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    ssize_t received;
    do {
        received = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (received < 0 && errno == EINTR);
    if (received < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -ECONNRESET;
    keep_fds(message, &header);
    return received == 0 ? -ECONNRESET : (int)received;
}

static int check_header(const struct vhost_header *header, struct error *error)
{
    if ((header->flags & VHOST_FLAGS_VERSION_MASK) != VHOST_FLAGS_VERSION) {
        return error_set(error, -EPROTO, "message %u has version %u, only %u is spoken",
                         header->request, header->flags & VHOST_FLAGS_VERSION_MASK,
                         VHOST_FLAGS_VERSION);
    }
    if (header->byte_len > sizeof(union vhost_payload))
        return error_set(error, -EPROTO, "message %u has a payload of %u bytes, the limit is %zu",
                         header->request, header->byte_len, sizeof(union vhost_payload));
    return 0;
}

int vhost_receiver_read(struct vhost_receiver *receiver, int fd, struct error *error)
{
    struct vhost_message *message = &receiver->message;
    const uint32_t header_bytes = sizeof(message->header);
    for (;;) {
        bool in_header = receiver->received < header_bytes;
        uint32_t whole = in_header ? header_bytes : header_bytes + message->header.byte_len;
        if (receiver->received == whole)
            return 1;
        uint8_t *to = in_header
                          ? (uint8_t *)&message->header + receiver->received
                          : (uint8_t *)&message->payload + (receiver->received - header_bytes);
        int count = receive_some(message, fd, to, whole - receiver->received);
        if (count <= 0)
            return count;
        receiver->received += (uint32_t)count;
        if (receiver->received == header_bytes) {
            memset(&message->payload, 0, sizeof(message->payload));
            int result = check_header(&message->header, error);
            if (result < 0)
                return result;
        }
    }
}

int vhost_socket_reply(int fd, uint32_t request, const void *payload, uint32_t byte_len)
{
    struct vhost_header header = {
        .request = request, .flags = VHOST_FLAGS_VERSION | VHOST_FLAGS_REPLY, .byte_len = byte_len};
    struct iovec iov[2] = {
        {.iov_base = &header, .iov_len = sizeof(header)},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = byte_len},
    };
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    while (message.msg_iovlen > 0) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                return -errno;
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            if (poll(&writable, 1, SEND_TIMEOUT_MS) == 0)
                return -ETIMEDOUT;
            continue;
        }
        size_t left = (size_t)sent;
        while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
            left -= message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (uint8_t *)message.msg_iov->iov_base + left;
            message.msg_iov->iov_len -= left;
        }
    }
    return 0;
}
