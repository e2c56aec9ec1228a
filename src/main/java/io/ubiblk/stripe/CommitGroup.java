// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.MetadataFormat;
import io.ubiblk.metadata.StripeFlags;
import java.util.BitSet;

/**
 * Stripes whose flags become durable together.
 *
 * @param fetched their content was written to the base disk
 * @param written guests want to write to them
 * @param baseSyncFailures failures of base syncs when the writes of {@code fetched} began
 * @param stale fetched too, but a base sync has failed since their writes began
 */
record CommitGroup(BitSet fetched, BitSet written, long baseSyncFailures, BitSet stale) {

  /** The flags of the stripe that this group makes durable. */
  int bits(int stripe) {
    return (fetched.get(stripe) ? StripeFlags.FETCHED : 0)
        | (written.get(stripe) ? StripeFlags.WRITTEN : 0);
  }

  /** Stripes with flags to make durable. */
  BitSet stripes() {
    BitSet stripes = (BitSet) fetched.clone();
    stripes.or(written);
    return stripes;
  }

  /** The sectors of the metadata file that hold flags of {@code stripes}. */
  static BitSet sectors(BitSet stripes, MetadataFormat format) {
    BitSet sectors = new BitSet();
    for (int stripe = stripes.nextSetBit(0); stripe >= 0; ) {
      int sector = Math.toIntExact(format.sectorOf(stripe));
      sectors.set(sector);
      stripe = stripes.nextSetBit(format.firstStripeOf(sector + 1L));
    }
    return sectors;
  }
}
