// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

/**
 * What a queue did of one kind.
 *
 * @param ops completed requests, with or without success
 * @param bytes bytes transferred by those that succeeded
 * @param errors requests that ended with an error status
 * @param latencySumNs all latencies together
 * @param latency how they are distributed
 */
public record OperationStats(
    long ops, long bytes, long errors, long latencySumNs, LatencyHistogram latency) {}
