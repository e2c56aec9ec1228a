// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.crash.Violation.Kind;
import io.ubiblk.metadata.MetadataFormat;
import io.ubiblk.nativelib.CrashRecorder;
import io.ubiblk.stripe.StripeDisk;
import io.ubiblk.stripe.StripeMisses;

/**
 * A rule of the order in which things become durable, broken: around the real disk is one that
 * breaks it, or something is missing from the record. Each has workloads in which that matters
 * soon, and a kind of violation that it causes for certain.
 */
enum Mutation {
  /** Nothing is broken. */
  NONE(Kind.BROKEN),

  /** FETCHED is written and synced before the base disk is synced. */
  BITS_BEFORE_BASE_SYNC(Kind.LOST) {
    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.BitsBeforeBaseSync(real);
    }
  },

  /** The sync that is to cover a stripe begins before its content is written. */
  BASE_SYNC_BEFORE_DATA(Kind.LOST) {
    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.BaseSyncBeforeData(real);
    }
  },

  /** Writes go when the flags are written, and not synced yet. */
  WRITE_BEFORE_BITS_SYNC(Kind.LOST) {
    @Override
    CrashSetup setup(long seed) {
      return CrashSetup.slowlyFetched(seed, FaultPlan.NONE);
    }

    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.WriteBeforeBitsSync(real, format, guest);
    }
  },

  /** The metadata file is never synced. */
  NO_BITS_SYNC(Kind.LOST) {
    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.NoBitsSync(real);
    }
  },

  /** Writes go first, then WRITTEN is committed. */
  WRITTEN_AFTER_DATA(Kind.UNMARKED) {
    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.WrittenLate(real);
    }

    @Override
    StripeMisses misses(StripeMisses real, StripeDisk disk, GuestProgress guest) {
      return new WritesFirst(real, (MutantDisks.WrittenLate) disk, guest);
    }
  },

  /** A commit of WRITTEN alone carries FETCHED of stripes that are not synced. */
  FETCHED_WITH_WRITTEN(Kind.LOST) {
    @Override
    CrashSetup setup(long seed) {
      return CrashSetup.slowlyFetched(seed, FaultPlan.NONE);
    }

    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.FetchedWithWritten(real, format, guest);
    }
  },

  /**
   * A sync of the base disk that fails is taken for one that succeeds, when a stripe is fetched.
   */
  BASE_SYNC_ERROR_IGNORED(Kind.LOST) {
    @Override
    CrashSetup setup(long seed) {
      return CrashSetup.busy(seed, FaultPlan.BASE_SYNCS);
    }

    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.BaseSyncErrorIgnored(real);
    }
  },

  /** A sync of the base disk that fails is repeated, as if that helped. */
  BASE_SYNC_REPEATED(Kind.LOST) {
    @Override
    CrashSetup setup(long seed) {
      return CrashSetup.busy(seed, FaultPlan.BASE_SYNCS);
    }

    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.BaseSyncRepeated(real);
    }
  },

  /** A sync of the metadata file that fails is taken for one that succeeds. */
  METADATA_SYNC_ERROR_IGNORED(Kind.LOST) {
    @Override
    CrashSetup setup(long seed) {
      return CrashSetup.slowlyFetched(seed, FaultPlan.METADATA_SYNCS);
    }

    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.MetadataSyncErrorIgnored(real);
    }
  },

  /** A sync of the metadata file that fails is repeated without writing again. */
  METADATA_SYNC_REPEATED(Kind.LOST) {
    @Override
    CrashSetup setup(long seed) {
      return CrashSetup.slowlyFetched(seed, FaultPlan.METADATA_SYNCS);
    }

    @Override
    StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
      return new MutantDisks.MetadataSyncRepeated(real);
    }
  },

  /** A sync that fails for a guest's flush is taken for one that succeeds. */
  FLUSH_ERROR_IGNORED(Kind.LOST) {
    @Override
    CrashSetup setup(long seed) {
      return CrashSetup.flushed(seed, FaultPlan.BASE_SYNCS);
    }

    @Override
    void prepare() {
      CrashRecorder.hideFailures();
    }
  },

  /** A guest's flush syncs nothing. */
  FLUSH_WITHOUT_SYNC(Kind.LOST) {
    @Override
    CrashSetup setup(long seed) {
      return CrashSetup.flushed(seed, FaultPlan.NONE);
    }

    @Override
    boolean leavesOut(CrashRecord.Action action) {
      return !action.write && action.file == CrashRecorder.BASE && !action.inCommit;
    }
  },

  /** A write that shall be durable by itself is an ordinary one, and no sync follows it. */
  WRITE_THROUGH_WITHOUT_SYNC(Kind.LOST) {
    @Override
    boolean leavesOut(CrashRecord.Action action) {
      return FLUSH_WITHOUT_SYNC.leavesOut(action);
    }

    @Override
    boolean leavesOutDurability() {
      return true;
    }
  };

  private final Kind breaks;

  Mutation(Kind breaks) {
    this.breaks = breaks;
  }

  /** What is certain to be violated soon. */
  Kind breaks() {
    return breaks;
  }

  /** A workload in which the mutation soon matters. */
  CrashSetup setup(long seed) {
    return CrashSetup.busy(seed, FaultPlan.NONE);
  }

  /** Called when the record has begun. */
  void prepare() {
    // Most need nothing.
  }

  /**
   * The disk as the lazy disk shall see it.
   *
   * @param format of its metadata
   * @param guest how the guest gets on
   */
  StripeDisk disk(StripeDisk real, MetadataFormat format, GuestProgress guest) {
    return real;
  }

  /**
   * The misses as the lazy disk shall see them.
   *
   * @param disk what {@link #disk} has given
   */
  StripeMisses misses(StripeMisses real, StripeDisk disk, GuestProgress guest) {
    return real;
  }

  /** Whether this was recorded and is to be taken for something that was never done. */
  boolean leavesOut(CrashRecord.Action action) {
    return false;
  }

  /** Whether writes that are durable by themselves are to be taken for ordinary ones. */
  boolean leavesOutDurability() {
    return false;
  }
}
