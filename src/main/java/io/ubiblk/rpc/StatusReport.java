// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

/**
 * How far a disk with a stripe source has been copied, in stripes.
 *
 * @param fetched stripes whose content is durable on the base disk
 * @param source stripes that had a source when the process started
 * @param total stripes of the disk
 */
public record StatusReport(long fetched, long source, long total) {

  /** Stripes that never had a source. */
  public long noSource() {
    return total - source;
  }
}
