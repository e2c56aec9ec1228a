// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import java.util.Optional;

/**
 * What one queue did of one kind.
 *
 * @param ops completed requests, with or without success
 * @param bytes bytes transferred by those that succeeded
 * @param errors requests that ended with an error status
 * @param latency absent as long as no request has completed
 */
public record OperationReport(long ops, long bytes, long errors, Optional<LatencyReport> latency) {}
