// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.DirectIo;
import io.ubiblk.config.IoEngine;
import io.ubiblk.config.StripeSourceConfig;
import io.ubiblk.config.XtsEngine;
import io.ubiblk.metadata.MetadataFormat;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;

/**
 * What one workload runs on.
 *
 * @param seed of everything that is random in it
 * @param firstStripe the guest touches only stripes from here on, and only they have a source
 * @param stripeCount stripes of the disk
 * @param diskSectors sectors of the disk; its last stripe is a partial one
 * @param imageBytes bytes of the raw image, a multiple of nothing
 * @param format of the metadata
 * @param encrypted whether base disk and metadata are enciphered
 * @param ioEngine what the queues work with
 * @param copyOnRead whether reads fetch
 * @param autofetch whether stripes are fetched in the background
 * @param trackWritten whether WRITTEN is kept
 * @param writeThrough whether every write is durable
 * @param queueCount queues that the guest has
 * @param requestCount requests that it makes
 * @param writeShare percentage of writes among them
 * @param faults what fails
 * @param directIo past the page cache or through it, which makes durable writes another thing
 */
record CrashSetup(
    long seed,
    int firstStripe,
    int stripeCount,
    int diskSectors,
    int imageBytes,
    MetadataFormat format,
    boolean encrypted,
    IoEngine ioEngine,
    boolean copyOnRead,
    boolean autofetch,
    boolean trackWritten,
    boolean writeThrough,
    int queueCount,
    int requestCount,
    int writeShare,
    FaultPlan faults,
    DirectIo directIo) {
  static final int SHIFT = 6;
  static final int STRIPE_SECTORS = 1 << SHIFT;
  static final int SECTOR_BYTES = 512;
  static final int STRIPE_BYTES = STRIPE_SECTORS * SECTOR_BYTES;
  static final int QUEUE_SIZE = 16;

  /** Any workload, on a small disk. */
  static CrashSetup random(long seed) {
    Random random = new Random(seed);
    return random(seed, 0, 12 + random.nextInt(13), random);
  }

  /** Any workload where one sector of flags ends and the next begins, in both formats. */
  static CrashSetup betweenSectors(long seed) {
    Random random = new Random(seed);
    return random(seed, 500, 514 + random.nextInt(8), random);
  }

  private static CrashSetup random(long seed, int first, int stripeCount, Random random) {
    int diskSectors = stripeCount * STRIPE_SECTORS - 1 - random.nextInt(STRIPE_SECTORS - 1);
    int half = (diskSectors - first * STRIPE_SECTORS) * SECTOR_BYTES / 2;
    return new CrashSetup(
        seed,
        first,
        stripeCount,
        diskSectors,
        first * STRIPE_BYTES + half + random.nextInt(half) | 1,
        random.nextBoolean() ? MetadataFormat.V1_0 : MetadataFormat.V2_0,
        random.nextBoolean(),
        random.nextBoolean() ? IoEngine.IO_URING : IoEngine.SYNC,
        random.nextInt(3) != 0,
        random.nextBoolean(),
        random.nextBoolean(),
        random.nextInt(4) == 0,
        1 + random.nextInt(2),
        100 + random.nextInt(150),
        35 + random.nextInt(30),
        FaultPlan.random(random),
        random.nextBoolean() ? DirectIo.AUTO : DirectIo.NEVER);
  }

  /** One in which fetches and the guest's durable writes meet as often as possible. */
  static CrashSetup busy(long seed, FaultPlan faults) {
    CrashSetup any = random(seed);
    return any.with(any.imageBytes, true, true, 70, faults);
  }

  /** One in which stripes are fetched one by one, and half of them have no source. */
  static CrashSetup slowlyFetched(long seed, FaultPlan faults) {
    CrashSetup any = random(seed);
    return any.with(any.diskSectors * SECTOR_BYTES / 2 | 1, false, true, 45, faults);
  }

  /** One in which only flushes make the guest's writes durable. */
  static CrashSetup flushed(long seed, FaultPlan faults) {
    CrashSetup any = random(seed);
    return any.with(any.imageBytes, true, false, 60, faults);
  }

  private CrashSetup with(
      int image, boolean fetchAll, boolean durable, int writes, FaultPlan plan) {
    return new CrashSetup(
        seed,
        firstStripe,
        stripeCount,
        diskSectors,
        image,
        format,
        encrypted,
        ioEngine,
        true,
        fetchAll,
        true,
        durable,
        queueCount,
        requestCount,
        writes,
        plan,
        directIo);
  }

  /** The disk as the product's configuration. */
  DeviceConfig config(IoEngine engine, Path base, Path metadata, Path image) {
    return new DeviceConfig(
        base.toString(),
        Optional.empty(),
        Optional.of(new StripeSourceConfig.Raw(image.toString())),
        Optional.of(metadata.toString()),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        queueCount,
        QUEUE_SIZE,
        1 << 20,
        16,
        0,
        copyOnRead,
        trackWritten,
        writeThrough,
        autofetch,
        Optional.empty(),
        "crash",
        engine,
        directIo,
        SECTOR_BYTES,
        XtsEngine.AUTO,
        1 << 20,
        4,
        4L * STRIPE_BYTES,
        0,
        10_000);
  }

  static int stripeOf(int sector) {
    return sector >> SHIFT;
  }

  int stripeSectors(int stripe) {
    return Math.min(STRIPE_SECTORS, diskSectors - (stripe << SHIFT));
  }
}
