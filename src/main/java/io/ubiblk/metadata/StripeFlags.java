// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

/**
 * Bits of what is known about a stripe. The first three are those of the metadata file; the others
 * live in memory. The numbers are those of {@code src/main/c/stripe/stripe_map.h}.
 */
public final class StripeFlags {
  /** The content is durable on the base disk. */
  public static final int FETCHED = 0x01;

  /** The guest may have written to the stripe. */
  public static final int WRITTEN = 0x02;

  /** The source has content for the stripe. */
  public static final int HAS_SOURCE = 0x04;

  /** The bits that a metadata file has. */
  public static final int DURABLE = FETCHED | WRITTEN | HAS_SOURCE;

  /** The content is on the base disk, but {@link #FETCHED} is not durable yet. */
  public static final int READABLE = 0x08;

  /** A read waits for the stripe. */
  public static final int READ_ASKED = 0x10;

  /** A write waits for the stripe. */
  public static final int WRITE_ASKED = 0x20;

  private StripeFlags() {}

  /** Whether the content still has to be copied from the source. */
  public static boolean mustBeFetched(int flags) {
    return (flags & (HAS_SOURCE | FETCHED)) == HAS_SOURCE;
  }
}
