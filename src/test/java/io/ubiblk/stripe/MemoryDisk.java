// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.MetadataFormat;
import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicIntegerArray;

/**
 * A disk in memory that knows what a crash would leave, and complains when that could be wrong:
 * what was synced is durable, what was only written may be or not, and what a failed sync was to
 * make durable is lost unless it is written again. Events: {@code write N}, {@code syncBase},
 * {@code metadata S}, {@code syncMetadata}, {@code publish N +SET -CLEAR}, {@code wake}.
 */
final class MemoryDisk implements StripeDisk {
  static final int STRIPE_BYTES = 512;
  static final int LAST_BYTES = 200;
  static final MetadataFormat FORMAT = MetadataFormat.V1_0;

  private final Faults faults;
  private final AtomicIntegerArray flags;
  private final List<String> complaints = new ArrayList<>();

  /** All guarded by this. */
  private final Map<Integer, byte[]> base = new HashMap<>();

  private final Map<Integer, byte[]> baseDirty = new HashMap<>();
  private final Map<Integer, byte[]> baseDurable = new HashMap<>();
  private final Map<Long, byte[]> metadataDirty = new HashMap<>();
  private final Map<Long, byte[]> metadataDurable = new HashMap<>();
  private long baseSyncFailures;

  MemoryDisk(Faults faults, int... flags) {
    this.faults = faults;
    this.flags = new AtomicIntegerArray(flags);
    for (long sector = 1; sector < FORMAT.sectorCount(flags.length); sector++) {
      ByteBuffer bytes = ByteBuffer.allocate(MetadataFormat.SECTOR_BYTES);
      FORMAT.encodeFlags(sector, flags.length, this::flags, bytes);
      metadataDurable.put(sector, bytes.array());
    }
  }

  /** What the source has for a stripe. */
  static byte[] content(int stripe) {
    byte[] content = new byte[STRIPE_BYTES];
    for (int i = 0; i < content.length; i++) {
      content[i] = (byte) (31 * stripe + 7 * i + 1);
    }
    return content;
  }

  private boolean holdsContent(Map<Integer, byte[]> disk, int stripe) {
    return Arrays.equals(disk.get(stripe), Arrays.copyOf(content(stripe), stripeBytes(stripe)));
  }

  private void require(boolean condition, int stripe, String complaint) {
    if (!condition) {
      complaints.add("stripe " + stripe + " " + complaint);
    }
  }

  /** What must not have happened. */
  synchronized List<String> complaints() {
    return List.copyOf(complaints);
  }

  /** Flags of the stripe after a crash now, if nothing that was not synced reached the file. */
  synchronized int durableFlags(int stripe) {
    return metadataDurable.get(FORMAT.sectorOf(stripe))[stripe % FORMAT.stripesPerSector()];
  }

  /** Whether the stripe's content would be there after a crash now. */
  synchronized boolean isDurable(int stripe) {
    return holdsContent(baseDurable, stripe);
  }

  /** A sync of the guest's fails, and takes the error with it. */
  synchronized void failGuestSync() {
    baseSyncFailures++;
    baseDirty.clear();
  }

  /** A queue asks. */
  void ask(int stripe, int asked) {
    flags.getAndUpdate(stripe, old -> old | asked);
  }

  @Override
  public int stripeCount() {
    return flags.length();
  }

  @Override
  public int stripeBytes(int stripe) {
    return stripe == stripeCount() - 1 ? LAST_BYTES : STRIPE_BYTES;
  }

  @Override
  public int flags(int stripe) {
    return flags.get(stripe);
  }

  @Override
  public void writeStripe(int stripe, ByteBuffer content) throws IOException {
    byte[] bytes = new byte[content.remaining()];
    content.get(bytes);
    content.clear();
    while (content.hasRemaining()) {
      content.put((byte) 0x5a);
    }
    synchronized (this) {
      require(bytes.length == stripeBytes(stripe), stripe, "written with another length");
      require((flags(stripe) & StripeFlags.FETCHED) == 0, stripe, "written again");
      base.put(stripe, new byte[0]);
      baseDirty.remove(stripe);
    }
    faults.happen("write " + stripe);
    synchronized (this) {
      base.put(stripe, bytes);
      baseDirty.put(stripe, bytes);
    }
  }

  @Override
  public void syncBase() throws IOException {
    Map<Integer, byte[]> covered;
    synchronized (this) {
      covered = Map.copyOf(baseDirty);
    }
    try {
      faults.happen("syncBase");
    } catch (IOException e) {
      failGuestSync();
      throw e;
    }
    synchronized (this) {
      covered.forEach(
          (stripe, bytes) -> {
            if (baseDirty.remove(stripe, bytes)) {
              baseDurable.put(stripe, bytes);
            }
          });
    }
  }

  @Override
  public synchronized long baseSyncFailures() {
    return baseSyncFailures;
  }

  @Override
  public void writeMetadata(long sector, ByteBuffer content) throws IOException {
    ByteBuffer bytes = content.duplicate();
    int count = bytes.remaining() / MetadataFormat.SECTOR_BYTES;
    synchronized (this) {
      for (long s = sector; s < sector + count; s++) {
        byte[] image = new byte[MetadataFormat.SECTOR_BYTES];
        bytes.get(image);
        checkImage(s, image);
        // Even if the write is reported as failed.
        metadataDirty.put(s, image);
      }
      require(!bytes.hasRemaining(), FORMAT.firstStripeOf(sector), "in a part of a sector");
    }
    faults.happen("metadata " + sector + (count > 1 ? "-" + (sector + count - 1) : ""));
  }

  /** Any sector that was written may survive a crash, synced or not. */
  private void checkImage(long sector, byte[] image) {
    int first = FORMAT.firstStripeOf(sector);
    for (int i = 0; i < image.length; i++) {
      int stripe = first + i;
      int now = stripe < stripeCount() ? flags(stripe) & StripeFlags.DURABLE : 0;
      require((image[i] & now) == now, stripe, "loses flags");
      boolean fetched = (image[i] & ~now & StripeFlags.FETCHED) != 0;
      require(!fetched || holdsContent(baseDurable, stripe), stripe, "is not durable");
    }
  }

  @Override
  public void syncMetadata() throws IOException {
    try {
      faults.happen("syncMetadata");
    } catch (IOException e) {
      synchronized (this) {
        metadataDirty.clear();
      }
      throw e;
    }
    synchronized (this) {
      metadataDurable.putAll(metadataDirty);
      metadataDirty.clear();
    }
  }

  @Override
  public void publish(int stripe, int set, int clear) {
    faults.note("publish %d +%02x -%02x".formatted(stripe, set, clear));
    synchronized (this) {
      int durable = set & StripeFlags.DURABLE;
      require((durableFlags(stripe) & durable) == durable, stripe, "published early");
      require((clear & StripeFlags.DURABLE) == 0, stripe, "loses flags");
      require(
          (set & StripeFlags.READABLE) == 0 || holdsContent(base, stripe),
          stripe,
          "is readable without its content");
    }
    flags.getAndUpdate(stripe, old -> (old | set) & ~clear);
  }

  @Override
  public void wake() {
    faults.note("wake");
  }
}
