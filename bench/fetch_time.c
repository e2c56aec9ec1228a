/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How long a back end takes to fetch its whole disk in the background, and how much CPU time.
 *
 *   fetch_time RPC_SOCKET PID [POLL_MS]
 *
 * The back end is idle, with autofetch off. The clock runs from the request to fetch everything
 * until the status says that every stripe with a source is fetched, which means durable; the status
 * is asked for every POLL_MS (10) milliseconds, and what that costs the back end is counted with
 * the rest.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "process_usage.h"
#include "rpc_client.h"

enum { POLL_MS = 10, STALL_S = 120 };

static int await_fetched(struct rpc_client *client, struct rpc_status *status, unsigned poll_ms)
{
    uint64_t fetched = 0, since_ns = clock_now_ns();
    int error = rpc_status(client, status);

    while (error == 0 && status->fetched < status->source) {
        if (status->fetched > fetched) {
            fetched = status->fetched;
            since_ns = clock_now_ns();
        } else if (clock_now_ns() - since_ns > UINT64_C(1000000000) * STALL_S) {
            return -ETIMEDOUT;
        }
        usleep(poll_ms * 1000);
        error = rpc_status(client, status);
    }
    return error;
}

static int measure(struct rpc_client *client, pid_t pid, unsigned poll_ms)
{
    struct rpc_status status = {0};
    uint64_t cpu_ns = process_cpu_ns(pid);
    uint64_t begin_ns = clock_now_ns();
    int error = rpc_ask(client, "{\"command\":\"autofetch\",\"action\":\"resume\"}\n");

    if (error == 0) {
        error = await_fetched(client, &status, poll_ms);
    }
    if (error < 0) {
        return error;
    }
    printf("seconds=%.4f cpu_s=%.3f bytes=%" PRIu64 " commits=%" PRIu64 "\n",
           (double)(clock_now_ns() - begin_ns) / 1e9, (double)(process_cpu_ns(pid) - cpu_ns) / 1e9,
           status.bytes_total, status.metadata_syncs);
    return 0;
}

int main(int argc, char **argv)
{
    static struct rpc_client client;
    int error;

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s RPC_SOCKET PID [POLL_MS]\n", argv[0]);
        return 2;
    }
    error = rpc_open(&client, argv[1]);
    if (error == 0) {
        error = measure(&client, (pid_t)strtol(argv[2], NULL, 10),
                        argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : POLL_MS);
        rpc_close(&client);
    }
    if (error < 0) {
        fprintf(stderr, "fetch_time: %s: %s\n", argv[1], strerror(-error));
        return 1;
    }
    return 0;
}
