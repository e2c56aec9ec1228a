// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.MetadataFile;
import io.ubiblk.nativelib.NativeStripes;
import java.io.IOException;
import java.nio.ByteBuffer;

/** The real thing: the stripes of a native disk, and its metadata file. */
public final class NativeStripeDisk implements StripeDisk, StripeMisses {
  private final NativeStripes stripes;
  private final MetadataFile metadata;

  /** Uses both as long as it is used itself, and closes neither. */
  public NativeStripeDisk(NativeStripes stripes, MetadataFile metadata) {
    this.stripes = stripes;
    this.metadata = metadata;
  }

  @Override
  public int stripeCount() {
    return stripes.stripeCount();
  }

  @Override
  public int stripeBytes(int stripe) {
    return stripes.stripeBytes(stripe);
  }

  @Override
  public int flags(int stripe) {
    return stripes.flags(stripe);
  }

  @Override
  public void writeStripe(int stripe, ByteBuffer content) throws IOException {
    stripes.write(stripe, content);
  }

  @Override
  public void syncBase() throws IOException {
    stripes.sync();
  }

  @Override
  public long baseSyncFailures() {
    return stripes.syncFailures();
  }

  @Override
  public void writeMetadata(long sector, ByteBuffer content) throws IOException {
    metadata.write(sector, content);
  }

  @Override
  public void syncMetadata() throws IOException {
    metadata.sync();
  }

  @Override
  public void publish(int stripe, int set, int clear) {
    stripes.publish(stripe, set, clear);
  }

  @Override
  public void wake() {
    stripes.wake();
  }

  @Override
  public int await(ByteBuffer batch, int max) {
    return stripes.awaitMisses(batch.clear().limit(max * ENTRY_BYTES));
  }

  /** Ends the waiting for misses. */
  @Override
  public void close() {
    stripes.endMisses();
  }
}
