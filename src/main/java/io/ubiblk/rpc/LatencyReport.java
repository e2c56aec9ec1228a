// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

/**
 * Latency of completed requests, from the moment the queue took them to their completion.
 *
 * @param p50Ns half of the requests took at most this long
 * @param p99Ns 99 % of them
 * @param p999Ns 99.9 % of them
 * @param maxNs the slowest one
 */
public record LatencyReport(long p50Ns, long p99Ns, long p999Ns, long maxNs) {}
