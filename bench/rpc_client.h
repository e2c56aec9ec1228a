/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * As much of a client of a back end's RPC as benchmarks need: a connection that asks, and numbers
 * looked up in the answer, which is one line without white space. One thread.
 */
#ifndef UBIBLK_BENCH_RPC_CLIENT_H
#define UBIBLK_BENCH_RPC_CLIENT_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { RPC_ANSWER_BYTES = 65536 };

struct rpc_client {
    int fd;
    char answer[RPC_ANSWER_BYTES]; /* to the last request, without its newline */
};

/* What `status` says, as far as it is of interest here. Microseconds are totals. */
struct rpc_status {
    bool running; /* autofetch */
    uint64_t fetched, source, bytes_total;
    uint64_t source_reads, source_read_us;
    uint64_t base_writes, base_write_us;
    uint64_t base_syncs, base_sync_us;
    uint64_t metadata_write_us;
    uint64_t metadata_syncs, metadata_sync_us;
};

/* 0 or -errno. */
static inline int rpc_open(struct rpc_client *client, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path));
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        return -errno;
    }
    if (connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = -errno;

        close(client->fd);
        return error;
    }
    return 0;
}

static inline void rpc_close(struct rpc_client *client)
{
    close(client->fd);
}

/* Sends a line, which ends with its newline, and receives one. 0 or -errno. */
static inline int rpc_ask(struct rpc_client *client, const char *line)
{
    size_t have = 0;
    ssize_t got = send(client->fd, line, strlen(line), MSG_NOSIGNAL);

    if (got != (ssize_t)strlen(line)) {
        return got < 0 ? -errno : -EPIPE;
    }
    do {
        got = recv(client->fd, client->answer + have, sizeof(client->answer) - 1 - have, 0);
        if (got <= 0) {
            return got < 0 ? -errno : -EPIPE;
        }
        have += (size_t)got;
        client->answer[have] = '\0';
    } while (strchr(client->answer, '\n') == NULL && have < sizeof(client->answer) - 1);
    client->answer[strcspn(client->answer, "\n")] = '\0';
    return strstr(client->answer, "\"error\":") != NULL ? -EINVAL : 0;
}

/* The number of a member (with quotes and colon) that follows a text; 0 where there is none. */
static inline uint64_t rpc_number(const struct rpc_client *client, const char *text,
                                  const char *member)
{
    const char *at = strstr(client->answer, text);
    uint64_t value = 0;

    at = at != NULL ? strstr(at, member) : NULL;
    if (at != NULL) {
        sscanf(at + strlen(member), "%" SCNu64, &value);
    }
    return value;
}

/* 0 or -errno; -ENOTSUP for a disk that is not filled. */
static inline int rpc_status(struct rpc_client *client, struct rpc_status *status)
{
    int error = rpc_ask(client, "{\"command\":\"status\"}\n");

    if (error < 0) {
        return error;
    }
    if (strstr(client->answer, "\"timing\":{") == NULL) {
        return -ENOTSUP;
    }
    *status = (struct rpc_status){
        .running = strstr(client->answer, "\"autofetch\":\"running\"") != NULL,
        .fetched = rpc_number(client, "\"stripes\":{", "\"fetched\":"),
        .source = rpc_number(client, "\"stripes\":{", "\"source\":"),
        .bytes_total = rpc_number(client, "\"fetch\":{", "\"bytes_total\":"),
        .source_reads = rpc_number(client, "\"timing\":{", "\"source_reads\":"),
        .source_read_us = rpc_number(client, "\"timing\":{", "\"source_read_us\":"),
        .base_writes = rpc_number(client, "\"timing\":{", "\"base_writes\":"),
        .base_write_us = rpc_number(client, "\"timing\":{", "\"base_write_us\":"),
        .base_syncs = rpc_number(client, "\"timing\":{", "\"base_syncs\":"),
        .base_sync_us = rpc_number(client, "\"timing\":{", "\"base_sync_us\":"),
        .metadata_write_us = rpc_number(client, "\"timing\":{", "\"metadata_write_us\":"),
        .metadata_syncs = rpc_number(client, "\"timing\":{", "\"metadata_syncs\":"),
        .metadata_sync_us = rpc_number(client, "\"timing\":{", "\"metadata_sync_us\":"),
    };
    return 0;
}

#endif
