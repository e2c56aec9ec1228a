// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The disk as fetching and committing see it: the base disk, the metadata file, and the flags that
 * guests' requests are judged by. In which order these are called decides what a crash can lose;
 * see {@link StripeCommitter}. Any thread. A call after the disk was closed throws {@link
 * IllegalStateException}: a thread that hung in an earlier one may still make it.
 */
public interface StripeDisk {

  /** Stripes of the disk. */
  int stripeCount();

  /** Bytes of the stripe: those of every stripe, less for the last one of the disk. */
  int stripeBytes(int stripe);

  /** What is published of the stripe: bits of {@link StripeFlags}. */
  int flags(int stripe);

  /**
   * Writes a stripe's content to the base disk, enciphered if the disk is. {@code content} is a
   * direct buffer, used from position to limit; what is in it afterwards means nothing. When this
   * returns the write has completed; it is durable with the next {@link #syncBase} that begins
   * later.
   */
  void writeStripe(int stripe, ByteBuffer content) throws IOException;

  /** Makes every completed write to the base disk durable. A failure is never made good again. */
  void syncBase() throws IOException;

  /**
   * How many syncs of the base disk have failed, whoever issued them; a durable write that failed
   * counts as well. What was written before a failure must be written again before it may count as
   * durable.
   *
   * <p>The kernel reports data that it could not write once per open file. {@link #syncBase} has
   * one of its own, so what a guest's flush was told, it is told as well.
   */
  long baseSyncFailures();

  /**
   * Writes sectors of the metadata file.
   *
   * @param sector the first one, counted in 512-byte sectors
   * @param content direct, whole sectors, from position to limit; unchanged
   */
  void writeMetadata(long sector, ByteBuffer content) throws IOException;

  /** Makes every completed write to the metadata file durable. */
  void syncMetadata() throws IOException;

  /** Sets and clears flags of one stripe; guests' requests see it with the next {@link #wake}. */
  void publish(int stripe, int set, int clear);

  /** Lets requests that wait look at what was published. */
  void wake();
}
