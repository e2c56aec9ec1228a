// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.metadata.MetadataCreator;
import io.ubiblk.metadata.MetadataFile;
import io.ubiblk.metadata.MetadataParameters;
import io.ubiblk.nativelib.CrashRecorder;
import io.ubiblk.nativelib.NativeBuffer;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeStripes;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.stripe.HastyDisk;
import io.ubiblk.stripe.LazyDisk;
import io.ubiblk.stripe.LazyDiskSettings;
import io.ubiblk.stripe.NativeStripeDisk;
import io.ubiblk.stripe.RawStripeSource;
import io.ubiblk.stripe.StripeBuffer;
import io.ubiblk.stripe.StripeDisk;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.Optional;
import java.util.Random;

/** Runs a guest on a real disk that is being filled, and records it. */
final class Workload {
  private final Laboratory laboratory;
  private final CrashSetup setup;
  private final Mutation mutation;
  private final DiskFiles files;
  private final NativeLog log;
  private final Optional<NativeXts> xts;

  Workload(Laboratory laboratory, CrashSetup setup, Mutation mutation) throws IOException {
    this.laboratory = laboratory;
    this.setup = setup;
    this.mutation = mutation;
    this.files = laboratory.files("recorded");
    this.log = laboratory.log();
    this.xts = laboratory.cipher(setup);
  }

  /** Begins with a disk on which nothing has happened. */
  Recording onNewDisk() throws IOException, Violation {
    Random random = new Random(setup.seed() + 2);
    files.remove();
    int bytes = setup.diskSectors() * CrashSetup.SECTOR_BYTES;
    ByteBuffer content = ByteBuffer.allocateDirect(bytes);
    Stamps.fill(content, 0, 0, setup.diskSectors(), Stamps.IMAGE);
    byte[] image = new byte[setup.imageBytes()];
    content.get(0, image);
    Files.write(files.image(), image);
    Stamps.fill(content, 0, 0, setup.diskSectors(), Stamps.INITIAL);
    laboratory.write(files.base(), setup, content);
    int stripesOfImage = (setup.imageBytes() - 1) / CrashSetup.STRIPE_BYTES + 1;
    int first = setup.firstStripe();
    int without = first + random.nextInt(stripesOfImage - first);
    var parameters =
        new MetadataParameters(
            setup.format(),
            CrashSetup.SHIFT,
            setup.diskSectors(),
            stripe -> stripe >= first && stripe < stripesOfImage && stripe != without);
    MetadataCreator.create(files.metadata().toString(), parameters, 0, false, xts, log);
    return run(1);
  }

  /** Goes on where a crash has ended another workload on the same disk. */
  Recording after(Recording other, CrashState crash) throws IOException, Violation {
    files.write(crash);
    return run(other.history().nextStamp());
  }

  private Recording run(int firstStamp) throws IOException, Violation {
    DiskContent before = DiskContent.read(laboratory, setup, files);
    byte[] base = Files.readAllBytes(files.base());
    byte[] metadata = Files.readAllBytes(files.metadata());
    GuestHistory history = new GuestHistory(before.visible(), firstStamp);
    CrashRecorder.begin(files.base(), files.metadata(), setup.seed());
    mutation.prepare();
    try {
      serve(history);
    } catch (Violation e) {
      throw new Violation(e.kind(), e.getMessage() + ", on " + setup, e);
    } finally {
      CrashRecorder.end();
    }
    return new Recording(setup, files, before, base, metadata, CrashRecord.take(mutation), history);
  }

  private void serve(GuestHistory history) throws IOException, Violation {
    DeviceConfig config =
        setup.config(setup.ioEngine(), files.base(), files.metadata(), files.image());
    String path = files.metadata().toString();
    try (NativeDevice device = NativeDevice.open(config, xts, log);
        MetadataFile file = MetadataFile.openForUpdate(path, setup.diskSectors(), xts, log);
        NativeStripes stripes = attach(device, file)) {
      file.releaseFlags();
      fill(device, file, stripes, history);
    }
  }

  private NativeStripes attach(NativeDevice device, MetadataFile file) throws IOException {
    Optional<NativeStripes.Image> image =
        setup.copyOnRead()
            ? Optional.empty()
            : Optional.of(new NativeStripes.Image(files.image().toString(), setup.imageBytes()));
    return NativeStripes.attach(
        device, CrashSetup.SHIFT, file.flags(), setup.trackWritten(), 0, image);
  }

  private void fill(
      NativeDevice device, MetadataFile file, NativeStripes stripes, GuestHistory history)
      throws IOException, Violation {
    GuestProgress progress = new GuestProgress();
    NativeStripeDisk real = new NativeStripeDisk(stripes, file);
    StripeDisk mutant = mutation.disk(real, setup.format(), progress);
    var source =
        new FaultySource(
            RawStripeSource.open(files.image(), CrashSetup.STRIPE_BYTES), setup.seed() + 3);
    var settings =
        new LazyDiskSettings(
            setup.trackWritten(), setup.autofetch(), 3, 3L * CrashSetup.STRIPE_BYTES, 10_000);
    try (LazyDisk lazy =
            HastyDisk.start(
                settings,
                new MarkedDisk(mutant),
                setup.format(),
                mutation.misses(real, mutant, progress),
                source,
                Workload::allocate,
                stripes::dropImage);
        GuestDriver guest = new GuestDriver(setup, device, history, progress)) {
      guest.run(on -> turn(on, lazy, source));
    }
  }

  /** In bad times things fail; when they come and go, an operator stops the background then. */
  private void turn(boolean bad, LazyDisk lazy, FaultySource source) {
    fail(bad ? setup.faults() : FaultPlan.NONE, source);
    if (bad && !setup.faults().always()) {
      lazy.pauseAutofetch();
    } else if (setup.autofetch()) {
      lazy.resumeAutofetch();
    }
  }

  private void fail(FaultPlan plan, FaultySource source) {
    source.fail(plan.source());
    CrashRecorder.fail(CrashRecorder.BASE, plan.baseWrites(), plan.baseSyncs());
    CrashRecorder.fail(CrashRecorder.METADATA, plan.metadataWrites(), plan.metadataSyncs());
  }

  private static StripeBuffer allocate(String what, int bytes) {
    NativeBuffer memory = NativeBuffer.allocate(what, bytes);
    return new StripeBuffer(memory.bytes(), memory::close);
  }
}
