// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.StripeFlags;
import java.util.OptionalLong;

/** How much there is and how much is done. Not thread-safe: the fetcher's lock guards it. */
final class FetchTally {
  private final StripeDisk disk;
  private final FetchRate rate;
  private int sourceCount;
  private int fetchedCount;
  private int writtenCount;
  private int missingCount;
  private long bytesTotal;
  private long bytesDone;

  /** Counts what is published. */
  FetchTally(StripeDisk disk, long nowNs) {
    this.disk = disk;
    this.rate = new FetchRate(nowNs);
    for (int stripe = 0; stripe < disk.stripeCount(); stripe++) {
      count(stripe, disk.flags(stripe));
    }
  }

  private void count(int stripe, int flags) {
    fetchedCount += (flags & StripeFlags.FETCHED) != 0 ? 1 : 0;
    writtenCount += (flags & StripeFlags.WRITTEN) != 0 ? 1 : 0;
    if ((flags & StripeFlags.HAS_SOURCE) != 0) {
      boolean missing = StripeFlags.mustBeFetched(flags);
      sourceCount++;
      missingCount += missing ? 1 : 0;
      bytesTotal += disk.stripeBytes(stripe);
      bytesDone += missing ? 0 : disk.stripeBytes(stripe);
    }
  }

  /** FETCHED of the stripe has become durable. */
  void fetched(int stripe, long nowNs) {
    fetchedCount++;
    missingCount--;
    bytesDone += disk.stripeBytes(stripe);
    rate.add(disk.stripeBytes(stripe), nowNs);
  }

  /** So many WRITTEN flags have become durable. */
  void written(int count) {
    writtenCount += count;
  }

  /** Stripes that have a source and are not fetched. */
  int missingCount() {
    return missingCount;
  }

  /** What is known without asking anybody else. */
  StripeProgress.Counts counts(long nowNs) {
    long bytesPerSecond = rate.bytesPerSecond(nowNs);
    OptionalLong eta = OptionalLong.empty();
    if (bytesTotal == bytesDone) {
      eta = OptionalLong.of(0);
    } else if (bytesPerSecond > 0) {
      eta = OptionalLong.of((bytesTotal - bytesDone + bytesPerSecond - 1) / bytesPerSecond);
    }
    return new StripeProgress.Counts(
        disk.stripeCount(),
        sourceCount,
        fetchedCount,
        writtenCount,
        bytesDone,
        bytesTotal,
        bytesPerSecond,
        eta);
  }
}
