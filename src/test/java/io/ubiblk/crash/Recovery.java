// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.backend.FilledDisk;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.IoEngine;
import io.ubiblk.metadata.MetadataException;
import io.ubiblk.metadata.StripeFlags;
import io.ubiblk.nativelib.GuestQueue;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.stripe.StripeProgress;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Starts again on what a crash has left, as the product does, and looks whether everything is as it
 * must be: first at the files themselves, then at what a guest reads. One thread; several
 * recoveries of one recording may run at once, each with a name of its own.
 */
final class Recovery {
  private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(60);

  private final Laboratory laboratory;
  private final Recording recording;
  private final CrashSetup setup;
  private final DiskFiles files;

  Recovery(Laboratory laboratory, Recording recording, String name) throws IOException {
    this.laboratory = laboratory;
    this.recording = recording;
    this.setup = recording.setup();
    this.files = laboratory.files(name);
  }

  /** Recovers; returns the first violation of each kind that is found. */
  Map<Violation.Kind, Violation> check(CrashState state) throws IOException {
    Map<Violation.Kind, Violation> found = new EnumMap<>(Violation.Kind.class);
    files.write(state);
    int at = recording.guestMarkAt(state);
    note(found, () -> checkFiles(found, at));
    note(found, () -> checkGuest(found, at));
    return found;
  }

  private static void note(Map<Violation.Kind, Violation> found, Check check) throws IOException {
    try {
      check.run();
    } catch (Violation e) {
      found.putIfAbsent(e.kind(), e);
    } catch (MetadataException e) {
      String sentence = "the metadata does not load";
      found.putIfAbsent(Violation.Kind.BROKEN, new Violation(Violation.Kind.BROKEN, sentence, e));
    }
  }

  /** Something to be looked at. */
  private interface Check {
    void run() throws IOException, Violation;
  }

  private void checkFiles(Map<Violation.Kind, Violation> found, int at) throws IOException {
    DiskContent left = DiskContent.read(laboratory, setup, files);
    for (int sector = 0; sector < setup.diskSectors(); sector++) {
      int own = sector;
      int stripe = CrashSetup.stripeOf(sector);
      note(found, () -> checkFlags(stripe, left.flags().get(stripe)));
      note(found, () -> checkMark(left, stripe, own));
      note(found, () -> checkSector(left, stripe, own, at));
    }
  }

  /** What is durable stays, and nothing comes that nobody sets. */
  private void checkFlags(int stripe, int flags) throws Violation {
    int before = recording.before().flags().get(stripe);
    int settable = StripeFlags.FETCHED | (setup.trackWritten() ? StripeFlags.WRITTEN : 0);
    if ((before & ~flags) != 0 || (flags & ~before & ~settable) != 0) {
      throw new Violation(
          Violation.Kind.BROKEN,
          "stripe %d has flags 0x%02x, and had 0x%02x".formatted(stripe, flags, before));
    }
  }

  private void checkMark(DiskContent left, int stripe, int sector) throws Violation {
    int position = sector * CrashSetup.SECTOR_BYTES;
    if (setup.trackWritten()
        && (left.flags().get(stripe) & StripeFlags.WRITTEN) == 0
        && recording.history().isWritten(left.base(), position, sector)) {
      throw new Violation(
          Violation.Kind.UNMARKED,
          "sector %d was written, but stripe %d is not WRITTEN".formatted(sector, stripe));
    }
  }

  private void checkSector(DiskContent left, int stripe, int sector, int at) throws Violation {
    int position = sector * CrashSetup.SECTOR_BYTES;
    if (!StripeFlags.mustBeFetched(left.flags().get(stripe))) {
      recording.history().checkRecovered(left.base(), position, sector, at);
    } else if (!isUntouched(left, position, sector)) {
      throw new Violation(
          Violation.Kind.UNFETCHED,
          "sector %d was written, but stripe %d is not FETCHED".formatted(sector, stripe));
    }
  }

  /** On the base disk of a stripe that is still to be fetched. */
  private boolean isUntouched(DiskContent left, int position, int sector) {
    return GuestHistory.same(left.base(), position, left.image(), sector)
        || GuestHistory.same(left.base(), position, recording.before().base(), sector);
  }

  private void checkGuest(Map<Violation.Kind, Violation> found, int at)
      throws IOException, Violation {
    // Of some thousand rings that one thread makes and ends on a tmpfs, the kernel (6.18) lets one
    // wait for ever for a worker of its own. A queue of the product makes one.
    DeviceConfig config =
        setup.config(IoEngine.SYNC, files.base(), files.metadata(), files.image());
    try (NativeDevice device =
            NativeDevice.open(config, laboratory.cipher(setup), laboratory.log());
        FilledDisk filled =
            FilledDisk.start(config, device, laboratory.cipher(setup), laboratory.log());
        GuestQueue queue = GuestQueue.open(device, 0)) {
      ByteBuffer content = readAll(queue);
      StripeProgress progress = filled.progress();
      if (progress.retrying() > 0 || progress.metadataError().isPresent()) {
        throw new Violation(Violation.Kind.BROKEN, "the disk does not recover: " + progress);
      }
      for (int sector = 0; sector < setup.diskSectors(); sector++) {
        int own = sector;
        int position = sector * CrashSetup.SECTOR_BYTES;
        note(found, () -> recording.history().checkRecovered(content, position, own, at));
      }
    }
  }

  /** Reads the disk in as many requests as there are slots, none of which ends where stripes do. */
  private ByteBuffer readAll(GuestQueue queue) throws Violation {
    ByteBuffer content = ByteBuffer.allocateDirect(setup.diskSectors() * CrashSetup.SECTOR_BYTES);
    int each = (setup.diskSectors() + CrashSetup.QUEUE_SIZE - 1) / CrashSetup.QUEUE_SIZE;
    int inFlight = 0;
    for (int sector = 0; sector < setup.diskSectors(); sector += each) {
      int count = Math.min(each, setup.diskSectors() - sector);
      int position = sector * CrashSetup.SECTOR_BYTES;
      int bytes = count * CrashSetup.SECTOR_BYTES;
      queue.start(inFlight, GuestQueue.READ, sector, content, position, bytes);
      inFlight++;
    }
    drain(queue, inFlight);
    return content;
  }

  /** Waits for all of it: what the guest's memory is must not be freed before. */
  private static void drain(GuestQueue queue, int count) throws Violation {
    long deadlineNs = System.nanoTime() + PATIENCE_NS;
    int failed = 0;
    for (int inFlight = count; inFlight > 0; ) {
      queue.step();
      for (long done = queue.nextDone(); done >= 0; done = queue.nextDone()) {
        failed += (int) done == 0 ? 0 : 1;
        inFlight--;
      }
      if (inFlight > 0) {
        queue.await(TimeUnit.MILLISECONDS.toNanos(10));
      }
      if (System.nanoTime() > deadlineNs) {
        queue.giveUpWaiting();
      }
    }
    if (failed > 0) {
      throw new Violation(
          Violation.Kind.BROKEN, failed + " reads fail after the crash, or do not end");
    }
  }
}
