// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

/** What one queue did since the process started; {@code other} is everything but data and flush. */
public record QueueReport(
    OperationReport read, OperationReport write, OperationReport flush, OperationReport other) {}
