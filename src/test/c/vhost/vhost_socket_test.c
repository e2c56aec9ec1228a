/* SPDX-License-Identifier: AGPL-3.0-only */
/* Messages in pieces, descriptors too many, sockets that were left behind. */
#include "vhost/vhost_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/cmocka_test.h"

struct fixture {
    int ours;
    int theirs;
    struct vhost_receiver receiver;
    char directory[64];
    char path[128];
    struct error error;
    uint32_t open_before;
};

/* How many descriptors this process has open. */
static uint32_t open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    uint32_t count = 0;
    while (readdir(directory)) {
        count++;
    }
    closedir(directory);
    return count;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    int pair[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    f->ours = pair[0];
    f->theirs = pair[1];
    snprintf(f->directory, sizeof(f->directory), "/tmp/vhost-socket-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->directory);
    f->open_before = open_fds();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vhost_receiver_reset(&f->receiver);
    assert_int_equal(f->open_before, open_fds());
    close(f->ours);
    if (f->theirs >= 0) {
        close(f->theirs);
    }
    unlink(f->path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static int receive(struct fixture *f)
{
    return vhost_receiver_read(&f->receiver, f->ours, &f->error);
}

/* Sends bytes with copies of one descriptor beside them. */
static void send_bytes(struct fixture *f, const void *bytes, size_t byte_len, uint32_t fd_count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 64)];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, byte_len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        for (uint32_t i = 0; i < fd_count; i++) {
            memcpy(CMSG_DATA(header) + i * sizeof(int), &f->ours, sizeof(int));
        }
    }
    assert_int_equal(byte_len, sendmsg(f->theirs, &message, 0));
}

/* A header and the payload that it announces, one after the other. */
struct wire {
    struct vhost_header header;
    uint8_t payload[2048];
};

static struct wire make_message(uint32_t request, uint32_t byte_len)
{
    struct wire wire = {.header = {request, VHOST_FLAGS_VERSION, byte_len}};
    for (uint32_t i = 0; i < byte_len && i < sizeof(wire.payload); i++) {
        wire.payload[i] = (uint8_t)(i + request);
    }
    return wire;
}

static size_t wire_bytes(const struct wire *wire)
{
    return sizeof(wire->header) + wire->header.byte_len;
}

static void receives_a_message_in_one_piece(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(7, 40);
    assert_int_equal(0, receive(f)); /* nothing is there: it does not wait */
    send_bytes(f, &wire, wire_bytes(&wire), 0);
    assert_int_equal(1, receive(f));
    assert_int_equal(7, f->receiver.message.header.request);
    assert_memory_equal(wire.payload, &f->receiver.message.payload, 40);
    assert_int_equal(0, f->receiver.message.fd_count);
    vhost_receiver_reset(&f->receiver);
    assert_int_equal(0, receive(f));
}

static void receives_a_message_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(3, 9);
    for (size_t i = 0; i < wire_bytes(&wire); i++) {
        assert_int_equal(0, receive(f));
        send_bytes(f, (uint8_t *)&wire + i, 1, 0);
    }
    assert_int_equal(1, receive(f));
    assert_memory_equal(wire.payload, &f->receiver.message.payload, 9);
}

static void receives_a_message_without_a_payload(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(1, 0);
    send_bytes(f, &wire, wire_bytes(&wire), 0);
    assert_int_equal(1, receive(f));
    assert_int_equal(0, f->receiver.message.header.byte_len);
}

static void receives_one_message_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct wire first = make_message(1, 16);
    struct wire second = make_message(2, 8);
    send_bytes(f, &first, wire_bytes(&first), 0);
    send_bytes(f, &second, wire_bytes(&second), 0);
    assert_int_equal(1, receive(f));
    assert_int_equal(1, f->receiver.message.header.request);
    vhost_receiver_reset(&f->receiver);
    assert_int_equal(1, receive(f));
    assert_int_equal(2, f->receiver.message.header.request);
}

static void clears_what_a_shorter_message_does_not_fill(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(1, 200);
    send_bytes(f, &wire, wire_bytes(&wire), 0);
    assert_int_equal(1, receive(f));
    vhost_receiver_reset(&f->receiver);
    wire = make_message(2, 4);
    send_bytes(f, &wire, wire_bytes(&wire), 0);
    assert_int_equal(1, receive(f));
    const uint8_t *payload = (const uint8_t *)&f->receiver.message.payload;
    for (uint32_t i = 4; i < sizeof(union vhost_payload); i++) {
        assert_int_equal(0, payload[i]);
    }
}

static void accepts_the_longest_payload_and_refuses_a_longer_one(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(5, sizeof(union vhost_payload));
    send_bytes(f, &wire, wire_bytes(&wire), 0);
    assert_int_equal(1, receive(f));
    assert_memory_equal(wire.payload, &f->receiver.message.payload, sizeof(union vhost_payload));
    vhost_receiver_reset(&f->receiver);
    const uint32_t lengths[] = {sizeof(union vhost_payload) + 1, UINT32_MAX};
    for (int i = 0; i < 2; i++) {
        wire.header.byte_len = lengths[i];
        send_bytes(f, &wire.header, sizeof(wire.header), 0);
        assert_int_equal(-EPROTO, receive(f));
        assert_true(strlen(f->error.message) > 0);
        vhost_receiver_reset(&f->receiver);
    }
}

static void refuses_another_version(void **state)
{
    struct fixture *f = *state;
    const uint32_t flags[] = {0, 2, 3, 0xfffffffc};
    for (int i = 0; i < 4; i++) {
        struct wire wire = make_message(1, 0);
        wire.header.flags = flags[i];
        send_bytes(f, &wire.header, sizeof(wire.header), 0);
        assert_int_equal(-EPROTO, receive(f));
        vhost_receiver_reset(&f->receiver);
    }
    struct wire wire = make_message(1, 0);
    wire.header.flags = 0xfffffffd; /* version 1, and flags that mean nothing */
    send_bytes(f, &wire.header, sizeof(wire.header), 0);
    assert_int_equal(1, receive(f));
}

static void notices_the_end_wherever_it_comes(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(1, 100);
    send_bytes(f, &wire, 50, 1); /* in the middle of a message, with a descriptor */
    assert_int_equal(0, receive(f));
    close(f->theirs);
    f->theirs = -1;
    f->open_before--;
    assert_int_equal(-ECONNRESET, receive(f));
    assert_int_equal(-ECONNRESET, receive(f));
}

static void says_that_the_connection_is_gone_when_reading_fails(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(-ECONNRESET, vhost_receiver_read(&f->receiver, -1, &f->error));
}

static void hands_descriptors_over_in_order(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(5, 16);
    send_bytes(f, &wire, wire_bytes(&wire), 3);
    assert_int_equal(1, receive(f));
    struct vhost_message *message = &f->receiver.message;
    assert_int_equal(3, message->fd_count);
    const int expected[] = {message->fds[0], message->fds[1], message->fds[2]};
    for (int i = 0; i < 3; i++) {
        int fd = vhost_message_take_fd(message);
        assert_int_equal(expected[i], fd);
        assert_int_equal(FD_CLOEXEC, fcntl(fd, F_GETFD));
        close(fd);
    }
    assert_int_equal(-1, vhost_message_take_fd(message));
}

static void closes_the_descriptors_that_nobody_took(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(5, 16);
    send_bytes(f, &wire, wire_bytes(&wire), 4);
    assert_int_equal(1, receive(f));
    int taken = vhost_message_take_fd(&f->receiver.message);
    assert_int_equal(f->open_before + 4, open_fds());
    vhost_message_close_fds(&f->receiver.message);
    assert_int_equal(0, f->receiver.message.fd_count);
    assert_int_equal(f->open_before + 1, open_fds());
    close(taken);
}

static void keeps_no_more_descriptors_than_a_message_can_have(void **state)
{
    struct fixture *f = *state;
    struct wire wire = make_message(5, 16);
    send_bytes(f, &wire, wire_bytes(&wire), 60); /* at once */
    assert_int_equal(1, receive(f));
    assert_int_equal(VHOST_FDS_MAX, f->receiver.message.fd_count);
    assert_int_equal(f->open_before + VHOST_FDS_MAX, open_fds());
    vhost_receiver_reset(&f->receiver);
    for (size_t i = 0; i < wire_bytes(&wire); i++) { /* with every byte some */
        send_bytes(f, (uint8_t *)&wire + i, 1, 5);
        assert_int_equal(i + 1 == wire_bytes(&wire), receive(f));
    }
    assert_int_equal(VHOST_FDS_MAX, f->receiver.message.fd_count);
    assert_int_equal(f->open_before + VHOST_FDS_MAX, open_fds());
}

static void sends_replies_with_their_header(void **state)
{
    struct fixture *f = *state;
    const uint64_t value = 0x1122334455667788;
    struct wire wire;
    assert_int_equal(0, vhost_socket_reply(f->ours, 15, &value, sizeof(value)));
    assert_int_equal(20, read(f->theirs, &wire, sizeof(wire)));
    assert_int_equal(15, wire.header.request);
    assert_int_equal(VHOST_FLAGS_VERSION | VHOST_FLAGS_REPLY, wire.header.flags);
    assert_int_equal(8, wire.header.byte_len);
    assert_memory_equal(&value, wire.payload, sizeof(value));
    assert_int_equal(0, vhost_socket_reply(f->ours, 24, NULL, 0));
    assert_int_equal(12, read(f->theirs, &wire, sizeof(wire)));
    assert_int_equal(0, wire.header.byte_len);
}

static void reports_a_peer_that_is_gone_without_a_signal(void **state)
{
    struct fixture *f = *state;
    close(f->theirs);
    f->theirs = -1;
    f->open_before--;
    assert_int_equal(-EPIPE, vhost_socket_reply(f->ours, 1, "x", 1));
}

enum { REPLIES = 2000, REPLY_BYTES = 1000 };

static void *read_slowly(void *argument)
{
    const struct fixture *f = argument;
    uint8_t bytes[777];
    size_t total = 0;
    while (total < (size_t)REPLIES * (REPLY_BYTES + sizeof(struct vhost_header))) {
        ssize_t count = read(f->theirs, bytes, sizeof(bytes));
        if (count <= 0) {
            return NULL;
        }
        total += (size_t)count;
    }
    return argument;
}

/* More than the socket holds: parts of a reply go out when there is room again. */
static void waits_for_a_peer_that_reads_slowly(void **state)
{
    struct fixture *f = *state;
    int small = 4096;
    setsockopt(f->ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    uint8_t payload[REPLY_BYTES] = {0};
    pthread_t reader;
    void *result;
    assert_int_equal(0, pthread_create(&reader, NULL, read_slowly, f));
    for (uint32_t i = 0; i < REPLIES; i++) {
        assert_int_equal(0, vhost_socket_reply(f->ours, 1, payload, sizeof(payload)));
    }
    pthread_join(reader, &result);
    assert_ptr_equal(f, result);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof(address));
    close(fd);
    return result;
}

static void listens_with_its_mode(void **state)
{
    struct fixture *f = *state;
    mode_t before = umask(0);
    int fd = vhost_socket_listen(f->path, &f->error);
    umask(before);
    assert_true(fd >= 0);
    struct stat status;
    assert_int_equal(0, lstat(f->path, &status));
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(0660, status.st_mode & 07777);
    assert_int_equal(FD_CLOEXEC, fcntl(fd, F_GETFD));
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(0, connect_to(f->path));
    close(fd);
}

static void replaces_a_socket_that_was_left(void **state)
{
    struct fixture *f = *state;
    int first = vhost_socket_listen(f->path, &f->error);
    close(first);
    assert_int_equal(-1, connect_to(f->path));
    int second = vhost_socket_listen(f->path, &f->error);
    assert_true(second >= 0);
    assert_int_equal(0, connect_to(f->path));
    close(second);
}

static void leaves_a_socket_to_the_process_that_listens_on_it(void **state)
{
    struct fixture *f = *state;
    int first = vhost_socket_listen(f->path, &f->error);
    assert_int_equal(-EADDRINUSE, vhost_socket_listen(f->path, &f->error));
    assert_non_null(strstr(f->error.message, "another process listens there"));
    assert_int_equal(0, connect_to(f->path));
    close(first);
}

static void refuses_to_replace_anything_else(void **state)
{
    struct fixture *f = *state;
    int file = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(file);
    assert_int_equal(-EEXIST, vhost_socket_listen(f->path, &f->error));
    assert_non_null(strstr(f->error.message, "not a socket"));
    assert_int_equal(0, access(f->path, F_OK));
    unlink(f->path);
    assert_int_equal(0, symlink("/dev/null", f->path)); /* not what it points to either */
    assert_int_equal(-EEXIST, vhost_socket_listen(f->path, &f->error));
    unlink(f->path);
    assert_int_equal(0, mkdir(f->path, 0700));
    assert_int_equal(-EEXIST, vhost_socket_listen(f->path, &f->error));
    rmdir(f->path);
}

static void refuses_a_path_that_does_not_fit(void **state)
{
    struct fixture *f = *state;
    char path[110];
    memset(path, 'a', sizeof(path));
    memcpy(path, "/tmp/", 5);
    path[108] = '\0';
    assert_int_equal(-ENAMETOOLONG, vhost_socket_listen(path, &f->error));
    assert_non_null(strstr(f->error.message, "107"));
    path[107] = '\0';
    int fd = vhost_socket_listen(path, &f->error);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
}

static void says_when_the_directory_is_missing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(-ENOENT, vhost_socket_listen("/nonexistent/socket", &f->error));
    assert_non_null(strstr(f->error.message, "/nonexistent/socket"));
    assert_int_equal(-ENOTDIR, vhost_socket_listen("/dev/null/socket", &f->error));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(receives_a_message_in_one_piece),
        TEST(receives_a_message_byte_by_byte),
        TEST(receives_a_message_without_a_payload),
        TEST(receives_one_message_at_a_time),
        TEST(clears_what_a_shorter_message_does_not_fill),
        TEST(accepts_the_longest_payload_and_refuses_a_longer_one),
        TEST(refuses_another_version),
        TEST(notices_the_end_wherever_it_comes),
        TEST(says_that_the_connection_is_gone_when_reading_fails),
        TEST(hands_descriptors_over_in_order),
        TEST(closes_the_descriptors_that_nobody_took),
        TEST(keeps_no_more_descriptors_than_a_message_can_have),
        TEST(sends_replies_with_their_header),
        TEST(reports_a_peer_that_is_gone_without_a_signal),
        TEST(waits_for_a_peer_that_reads_slowly),
        TEST(listens_with_its_mode),
        TEST(replaces_a_socket_that_was_left),
        TEST(leaves_a_socket_to_the_process_that_listens_on_it),
        TEST(refuses_to_replace_anything_else),
        TEST(refuses_a_path_that_does_not_fit),
        TEST(says_when_the_directory_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
