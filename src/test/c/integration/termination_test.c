/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * SIGTERM with requests in flight: the process ends in order with status 0, every request that it
 * took is completed, and the next process serves what it did not take, from the same rings.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/blk_stress.h"
#include "support/cmocka_test.h"

enum { DISK_BYTES = 16 << 20, SECTOR = 512, QUEUES = 2, QUEUE_SIZE = 256, DEPTH = 128 };

static void check(const struct blk_stress *stress, int error)
{
    if (error < 0) {
        fail_msg("%s", stress->failure);
    }
}

static void check_stopped(struct backend_host *host)
{
    char socket_path[BACKEND_HOST_PATH_BYTES];
    struct stat status;

    memcpy(socket_path, host->socket_path, sizeof(socket_path));
    assert_int_equal(backend_host_stop(host), 0);
    assert_int_not_equal(stat(socket_path, &status), 0);
}

static void terminate_under_load(bool encrypted, enum io_engine_kind engine, uint64_t rounds)
{
    struct blk_stress *stress = test_calloc(1, sizeof(*stress));
    struct blk_stress_params params = {.seed = test_seed(),
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = QUEUES,
                                       .region_count = 2,
                                       .queue_size = QUEUE_SIZE,
                                       .depth = DEPTH};
    struct test_random random = {test_seed()};
    char path[BACKEND_HOST_PATH_BYTES];
    struct backend_host_params host_params;
    struct backend_host host;
    struct stamped_disk disk;

    assert_int_equal(test_disk_create(path, DISK_BYTES), 0);
    host_params = backend_host_defaults(path);
    host_params.device.queue_count = QUEUES;
    host_params.device.queue_size = QUEUE_SIZE;
    host_params.device.io_engine = engine;
    host_params.encrypted = encrypted;
    assert_int_equal(stamped_disk_init(&disk, DISK_BYTES / SECTOR), 0);
    assert_int_equal(backend_host_start(&host, &host_params), 0);
    assert_int_equal(blk_stress_init(stress, &params, &disk), 0);
    check(stress, blk_stress_connect(stress, host.socket_path));
    check(stress, blk_stress_script_format(stress));
    check(stress, blk_stress_run_script(stress));
    for (uint64_t round = 0; round < rounds; round++) {
        check(stress, blk_stress_run(stress, 2 * DEPTH + test_random_below(&random, DEPTH)));
        check_stopped(&host);
        blk_stress_vanish(stress, false);
        assert_int_equal(backend_host_start(&host, &host_params), 0);
        check(stress, blk_stress_connect(stress, host.socket_path));
    }
    check(stress, blk_stress_drain(stress));
    check(stress, blk_stress_script_verify(stress));
    check(stress, blk_stress_run_script(stress));
    assert_int_equal(stress->started, stress->ended);
    blk_stress_deinit(stress);
    check_stopped(&host);
    stamped_disk_deinit(&disk);
    test_disk_remove(path);
    test_free(stress);
}

static void completes_what_it_took_and_ends_with_status_0(void **state)
{
    uint64_t rounds = test_count(6, 60);

    (void)state;
    test_print_scale(3 * rounds, "terminations under load");
    terminate_under_load(false, IO_ENGINE_URING, rounds);
    terminate_under_load(true, IO_ENGINE_URING, rounds);
    terminate_under_load(false, IO_ENGINE_SYNC, rounds);
}

/* Asks without listening until nothing more fits; how often. The session is then in the middle of
 * an answer. */
static uint64_t ask_until_full(int fd)
{
    static struct frontend_header questions[1024];
    struct pollfd socket = {.fd = fd, .events = POLLOUT};
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        questions[i] = (struct frontend_header){FRONTEND_GET_FEATURES, FRONTEND_VERSION, 0};
    }
    while (poll(&socket, 1, 200) > 0) {
        size_t within = bytes % sizeof(questions);
        ssize_t sent = send(fd, (const uint8_t *)questions + within, sizeof(questions) - within,
                            MSG_DONTWAIT | MSG_NOSIGNAL);

        bytes += sent > 0 ? (uint64_t)sent : 0;
    }
    return bytes / sizeof(questions[0]);
}

/* Bytes that arrive until the other side closes. */
static uint64_t read_to_the_end(int fd)
{
    struct pollfd socket = {.fd = fd, .events = POLLIN};
    uint64_t bytes = 0;
    uint8_t buffer[4096];
    ssize_t got = 1;

    while (got > 0) {
        assert_int_equal(poll(&socket, 1, 20000), 1);
        got = recv(fd, buffer, sizeof(buffer), 0);
        bytes += got > 0 ? (uint64_t)got : 0;
    }
    return bytes;
}

/* A front end that never stops asking cannot put the end off: not all its questions are answered
 * first. */
static void ends_before_it_has_answered_everything(void **state)
{
    struct backend_host_params params;
    struct vhost_frontend frontend;
    struct backend_host host;
    char path[BACKEND_HOST_PATH_BYTES];
    uint64_t asked, answered;

    (void)state;
    assert_int_equal(test_disk_create(path, DISK_BYTES), 0);
    params = backend_host_defaults(path);
    assert_int_equal(backend_host_start(&host, &params), 0);
    assert_int_equal(vhost_frontend_connect(&frontend, host.socket_path, 10000), 0);
    assert_int_equal(vhost_frontend_sync(&frontend), 0);
    asked = ask_until_full(frontend.fd);
    assert_int_equal(kill(host.pid, SIGTERM), 0);
    poll(NULL, 0, 100); /* the signal is on its way to the session, which is not looking */
    answered = read_to_the_end(frontend.fd) / (sizeof(struct frontend_header) + 8);
    assert_true(asked > 1000);
    assert_true(answered < asked);
    assert_int_equal(backend_host_stop(&host), 0);
    vhost_frontend_disconnect(&frontend);
    test_disk_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completes_what_it_took_and_ends_with_status_0),
        cmocka_unit_test(ends_before_it_has_answered_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
