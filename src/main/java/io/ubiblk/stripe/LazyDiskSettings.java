// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

/**
 * How a lazy disk is filled.
 *
 * @param trackWritten whether writes wait until WRITTEN of their stripes is durable
 * @param autofetch whether stripes that nobody asked for are fetched as well
 * @param fetchConcurrency stripes fetched at once, 1 or more
 * @param fetchBytes memory for stripes being fetched; one stripe always has room
 * @param closeMs how long closing may take, in milliseconds
 */
public record LazyDiskSettings(
    boolean trackWritten, boolean autofetch, int fetchConcurrency, long fetchBytes, long closeMs) {

  /** Stripes of so many bytes that are fetched at once. */
  int workersMax(int stripeBytes) {
    return (int) Math.min(fetchConcurrency, Math.max(1, fetchBytes / stripeBytes));
  }

  /** A quarter of the workers, and one of two, is always free for what guests wait for. */
  FetchQueue.Limits limits(int stripeBytes) {
    int workers = workersMax(stripeBytes);
    int reserved = workers == 1 ? 0 : Math.max(1, workers / 4);
    // One lot is being committed while another is fetched; more would only make syncs longer.
    long uncommitted = 2 * Math.max(workers, fetchBytes / stripeBytes);
    return new FetchQueue.Limits(
        workers - reserved, (int) Math.min(uncommitted, Integer.MAX_VALUE));
  }
}
