// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * How long the steps of fetching take: a source and a disk that count what goes through them. Any
 * thread.
 */
final class StepTimes {
  private final StepTime sourceRead;
  private final StepTime baseWrite;
  private final StepTime baseSync;
  private final StepTime metadataWrite;
  private final StepTime metadataSync;

  StepTimes(Ticker ticker) {
    sourceRead = new StepTime(ticker);
    baseWrite = new StepTime(ticker);
    baseSync = new StepTime(ticker);
    metadataWrite = new StepTime(ticker);
    metadataSync = new StepTime(ticker);
  }

  StripeProgress.Timing snapshot() {
    return new StripeProgress.Timing(
        sourceRead.snapshot(),
        baseWrite.snapshot(),
        baseSync.snapshot(),
        metadataWrite.snapshot(),
        metadataSync.snapshot());
  }

  /** The source, its reads counted here. */
  StripeSource timed(StripeSource source) {
    return new TimedSource(source);
  }

  /** The disk, its writes and syncs counted here. */
  StripeDisk timed(StripeDisk disk) {
    return new TimedDisk(disk);
  }

  private final class TimedSource implements StripeSource {
    private final StripeSource source;

    TimedSource(StripeSource source) {
      this.source = source;
    }

    @Override
    public long byteLength() {
      return source.byteLength();
    }

    @Override
    public boolean has(int stripe) {
      return source.has(stripe);
    }

    @Override
    public void read(int stripe, ByteBuffer into) throws IOException, InterruptedException {
      long startedNs = sourceRead.nowNs();
      source.read(stripe, into);
      sourceRead.completed(startedNs);
    }

    @Override
    public String describe() {
      return source.describe();
    }

    @Override
    public void close() throws IOException {
      source.close();
    }
  }

  private final class TimedDisk implements StripeDisk {
    private final StripeDisk disk;

    TimedDisk(StripeDisk disk) {
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
      long startedNs = baseWrite.nowNs();
      disk.writeStripe(stripe, content);
      baseWrite.completed(startedNs);
    }

    @Override
    public void syncBase() throws IOException {
      long startedNs = baseSync.nowNs();
      disk.syncBase();
      baseSync.completed(startedNs);
    }

    @Override
    public long baseSyncFailures() {
      return disk.baseSyncFailures();
    }

    @Override
    public void writeMetadata(long sector, ByteBuffer content) throws IOException {
      long startedNs = metadataWrite.nowNs();
      disk.writeMetadata(sector, content);
      metadataWrite.completed(startedNs);
    }

    @Override
    public void syncMetadata() throws IOException {
      long startedNs = metadataSync.nowNs();
      disk.syncMetadata();
      metadataSync.completed(startedNs);
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
}
