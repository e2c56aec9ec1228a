// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.metadata.MetadataFormat;
import io.ubiblk.metadata.StripeFlags;
import io.ubiblk.stripe.StripeDisk;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;

/** Disks that break one rule each; {@link Mutation} says which. */
final class MutantDisks {
  private static final int ASKED =
      StripeFlags.READABLE | StripeFlags.READ_ASKED | StripeFlags.WRITE_ASKED;

  private MutantDisks() {}

  static final class BitsBeforeBaseSync extends ForwardingStripeDisk {
    private boolean owed;

    BitsBeforeBaseSync(StripeDisk disk) {
      super(disk);
    }

    @Override
    public void syncBase() {
      owed = true;
    }

    @Override
    public void syncMetadata() throws IOException {
      super.syncMetadata();
      if (owed) {
        super.syncBase();
        owed = false;
      }
    }
  }

  static final class BaseSyncBeforeData extends ForwardingStripeDisk {
    BaseSyncBeforeData(StripeDisk disk) {
      super(disk);
    }

    @Override
    public void writeStripe(int stripe, ByteBuffer content) throws IOException {
      super.syncBase();
      super.writeStripe(stripe, content);
    }

    @Override
    public void syncBase() {
      // It was done already.
    }
  }

  static final class WriteBeforeBitsSync extends ForwardingStripeDisk {
    private final MetadataFormat format;
    private final GuestProgress guest;

    WriteBeforeBitsSync(StripeDisk disk, MetadataFormat format, GuestProgress guest) {
      super(disk);
      this.format = format;
      this.guest = guest;
    }

    @Override
    public void writeMetadata(long sector, ByteBuffer content) throws IOException {
      super.writeMetadata(sector, content);
      int first = format.firstStripeOf(sector);
      for (int i = 0; i < format.stripesPerSector() && first + i < stripeCount(); i++) {
        int flags = content.get(content.position() + i);
        if ((flags & ~flags(first + i)) != 0) {
          publish(first + i, flags, ASKED);
        }
      }
      wake();
      guest.awaitWrites(6);
    }
  }

  static final class NoBitsSync extends ForwardingStripeDisk {
    NoBitsSync(StripeDisk disk) {
      super(disk);
    }

    @Override
    public void syncMetadata() {
      // Left out.
    }
  }

  /** Hides WRITTEN of stripes that writes were let go for, so that it is committed all the same. */
  static final class WrittenLate extends ForwardingStripeDisk {
    private final Set<Integer> early = ConcurrentHashMap.newKeySet();

    WrittenLate(StripeDisk disk) {
      super(disk);
    }

    /** Lets writes go; false if they wait for something else as well. */
    boolean release(int stripe) {
      int flags = super.flags(stripe);
      if (StripeFlags.mustBeFetched(flags) || (flags & StripeFlags.WRITTEN) != 0) {
        return false;
      }
      early.add(stripe);
      super.publish(stripe, StripeFlags.WRITTEN, StripeFlags.WRITE_ASKED);
      return true;
    }

    @Override
    public int flags(int stripe) {
      return super.flags(stripe) & (early.contains(stripe) ? ~StripeFlags.WRITTEN : ~0);
    }

    @Override
    public void publish(int stripe, int set, int clear) {
      super.publish(stripe, set, clear);
      if ((set & StripeFlags.WRITTEN) != 0) {
        early.remove(stripe);
      }
    }
  }

  static final class FetchedWithWritten extends ForwardingStripeDisk {
    private final MetadataFormat format;
    private final GuestProgress guest;
    private boolean baseSynced;

    FetchedWithWritten(StripeDisk disk, MetadataFormat format, GuestProgress guest) {
      super(disk);
      this.format = format;
      this.guest = guest;
    }

    @Override
    public void syncBase() throws IOException {
      super.syncBase();
      baseSynced = true;
    }

    @Override
    public void writeMetadata(long sector, ByteBuffer content) throws IOException {
      if (baseSynced) {
        super.writeMetadata(sector, content);
        return;
      }
      for (int i = 0; i < 3 && !anyReadable(); i++) {
        guest.awaitWrites(1);
      }
      int first = format.firstStripeOf(sector);
      ByteBuffer more = ByteBuffer.allocateDirect(MetadataFormat.SECTOR_BYTES);
      format.encodeFlags(
          sector,
          stripeCount(),
          stripe -> content.get(content.position() + stripe - first) | fetched(stripe),
          more);
      super.writeMetadata(sector, more.flip());
    }

    private boolean anyReadable() {
      return IntStream.range(0, stripeCount()).anyMatch(stripe -> fetched(stripe) != 0);
    }

    private int fetched(int stripe) {
      return (flags(stripe) & StripeFlags.READABLE) != 0 ? StripeFlags.FETCHED : 0;
    }

    @Override
    public void syncMetadata() throws IOException {
      super.syncMetadata();
      baseSynced = false;
    }
  }

  static final class BaseSyncErrorIgnored extends ForwardingStripeDisk {
    BaseSyncErrorIgnored(StripeDisk disk) {
      super(disk);
    }

    @Override
    public void syncBase() {
      try {
        super.syncBase();
      } catch (IOException e) {
        // Ignored.
      }
    }

    @Override
    public long baseSyncFailures() {
      return 0;
    }
  }

  static final class BaseSyncRepeated extends ForwardingStripeDisk {
    BaseSyncRepeated(StripeDisk disk) {
      super(disk);
    }

    @Override
    public void syncBase() {
      boolean synced = false;
      while (!synced) {
        try {
          super.syncBase();
          synced = true;
        } catch (IOException e) {
          // Again.
        }
      }
    }

    @Override
    public long baseSyncFailures() {
      return 0;
    }
  }

  static final class MetadataSyncErrorIgnored extends ForwardingStripeDisk {
    MetadataSyncErrorIgnored(StripeDisk disk) {
      super(disk);
    }

    @Override
    public void syncMetadata() {
      try {
        super.syncMetadata();
      } catch (IOException e) {
        // Ignored.
      }
    }
  }

  static final class MetadataSyncRepeated extends ForwardingStripeDisk {
    MetadataSyncRepeated(StripeDisk disk) {
      super(disk);
    }

    @Override
    public void syncMetadata() {
      boolean synced = false;
      while (!synced) {
        try {
          super.syncMetadata();
          synced = true;
        } catch (IOException e) {
          // Again.
        }
      }
    }
  }
}
