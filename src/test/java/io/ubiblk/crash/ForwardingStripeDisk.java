// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.stripe.StripeDisk;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Does what another disk does; what is to be different is overridden. */
class ForwardingStripeDisk implements StripeDisk {
  private final StripeDisk disk;

  ForwardingStripeDisk(StripeDisk disk) {
    this.disk = disk;
  }

  @Override
  public int stripeCount() {
    return disk.stripeCount();
  }

  @Override
  public int stripeBytes(int stripe) {
    return disk.stripeBytes(stripe);
  }

  @Override
  public int flags(int stripe) {
    return disk.flags(stripe);
  }

  @Override
  public void writeStripe(int stripe, ByteBuffer content) throws IOException {
    disk.writeStripe(stripe, content);
  }

  @Override
  public void syncBase() throws IOException {
    disk.syncBase();
  }

  @Override
  public long baseSyncFailures() {
    return disk.baseSyncFailures();
  }

  @Override
  public void writeMetadata(long sector, ByteBuffer content) throws IOException {
    disk.writeMetadata(sector, content);
  }

  @Override
  public void syncMetadata() throws IOException {
    disk.syncMetadata();
  }

  @Override
  public void publish(int stripe, int set, int clear) {
    disk.publish(stripe, set, clear);
  }

  @Override
  public void wake() {
    disk.wake();
  }
}
