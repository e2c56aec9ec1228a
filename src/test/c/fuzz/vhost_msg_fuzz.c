/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sends messages to a session with real queue threads. Each message of the input is
 *   request (8 bits), flags (8), what descriptors it brings (8), bytes of the payload that are
 * given (8), and those bytes; the length in the header is right unless a flag says otherwise.
 *
 * The front end's memory is one memfd, which the input's last bytes fill, so that rings hold
 * something when they start.
 */
#include "vhost/vhost_session.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz_target.h"
#include "support/test_device.h"

enum { QUEUES = 2, QUEUE_SIZE = 16, RAM_BYTES = 1 << 14, MESSAGES_MAX = 40, FDS_MAX = 3 };

/* Bits of a message's flags. */
enum { IS_VERSION_WRONG = 1, NEEDS_REPLY = 2, IS_LENGTH_WRONG = 4, COMES_IN_TWO = 8 };

static struct test_device *test;
static struct vhost_queue *queues[QUEUES];
static int done_fd;
static int ram_fd;
static uint8_t *ram;

static void make_back_end(void)
{
    const struct test_device_params params = {
        .byte_len = 1 << 16, .queue_count = QUEUES, .queue_size = QUEUE_SIZE, .sync_engine = true};
    test = test_device_create(&params);
    done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (uint32_t i = 0; i < QUEUES; i++) {
        FUZZ_CHECK(vhost_queue_create(&test->device, i, -1, done_fd, &queues[i], NULL) == 0);
    }
    ram_fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(ftruncate(ram_fd, RAM_BYTES) == 0);
    ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
    FUZZ_CHECK(ram != MAP_FAILED);
}

/* Two bits say what each descriptor is: none, the memory, an eventfd, a socket. */
static uint32_t make_fds(uint8_t kinds, int conn_fd, int *fds)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < FDS_MAX; i++, kinds >>= 2) {
        switch (kinds & 3) {
        case 1:
            fds[count++] = dup(ram_fd);
            break;
        case 2:
            fds[count++] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
            break;
        case 3:
            fds[count++] = dup(conn_fd);
            break;
        default:
            break;
        }
    }
    return count;
}

static void send_part(int fd, const void *bytes, size_t byte_len, const int *fds, uint32_t count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, byte_len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    FUZZ_CHECK(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)byte_len);
}

static void send_message(struct fuzz_input *input, int fd)
{
    struct {
        struct vhost_header header;
        uint8_t payload[UINT8_MAX];
    } wire = {0};
    int fds[FDS_MAX];
    uint8_t request = fuzz_take_u8(input);
    uint8_t flags = fuzz_take_u8(input);
    uint32_t fd_count = make_fds(fuzz_take_u8(input), fd, fds);
    uint8_t payload_bytes = fuzz_take_u8(input);
    fuzz_take(input, wire.payload, payload_bytes);
    wire.header.request = request;
    wire.header.flags = flags & IS_VERSION_WRONG ? flags : VHOST_FLAGS_VERSION;
    wire.header.flags |= flags & NEEDS_REPLY ? VHOST_FLAGS_NEED_REPLY : 0;
    wire.header.byte_len = flags & IS_LENGTH_WRONG ? (uint32_t)flags << 4 : payload_bytes;
    size_t byte_len = sizeof(wire.header) + payload_bytes;
    size_t first = flags & COMES_IN_TWO ? byte_len / 2 : byte_len;
    send_part(fd, &wire, first, fds, fd_count);
    if (first < byte_len) {
        send_part(fd, (uint8_t *)&wire + first, byte_len - first, fds, fd_count);
    }
    for (uint32_t i = 0; i < fd_count; i++) {
        close(fds[i]);
    }
}

static void read_replies(int fd)
{
    uint8_t bytes[4096];
    while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
    }
}

static struct vhost_session *begin(struct vhost_cache *cache, int conn_fd)
{
    const struct vhost_rings_params params = {
        .device = &test->device,
        .queues = queues,
        .cache = cache,
        .log = NULL,
        .done_fd = done_fd,
        .stop_timeout_ms = 10000,
    };
    vhost_cache_init(cache, false);
    struct vhost_session *session = vhost_session_create(&params, conn_fd);
    FUZZ_CHECK(session);
    return session;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_len)
{
    struct fuzz_input input = {bytes, byte_len};
    struct vhost_cache cache;
    int pair[2];
    if (!test) {
        make_back_end();
    }
    memset(ram, 0, RAM_BYTES);
    size_t tail = byte_len < RAM_BYTES ? byte_len : RAM_BYTES;
    memcpy(ram, bytes + byte_len - tail, tail);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    struct vhost_session *session = begin(&cache, pair[0]);
    int result = 0;
    for (int i = 0; i < MESSAGES_MAX && input.byte_len > 0 && result == 0; i++) {
        send_message(&input, pair[1]);
        struct error error = {0};
        result = vhost_session_handle(session, &error);
        FUZZ_CHECK(result <= 0);
        FUZZ_CHECK(result == 0 || result == -ECONNRESET || error.message[0]);
        read_replies(pair[1]);
    }
    vhost_session_destroy(session);
    close(pair[1]);
    return 0;
}
