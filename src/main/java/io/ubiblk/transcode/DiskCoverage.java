// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * Which sectors of an encrypted disk hold something.
 *
 * <p>A stripe that is still to be fetched holds nothing: its source is copied over it before
 * anybody reads it. A hole of the file was never written, because what is enciphered is no hole;
 * but it reads as noise that comes from the old keys, and a guest could have read that. So a hole
 * counts as empty only where the metadata knows of no write, or where the operator says so.
 */
public final class DiskCoverage implements Coverage {
  /** Where a file has holes. Offsets and results in bytes, within the file or its length. */
  public interface Holes {
    /** The next byte that is allocated. */
    long nextData(long offset) throws IOException;

    /** The next byte that is not. */
    long nextHole(long offset) throws IOException;
  }

  /** What the metadata says: one byte of flags for each stripe of 2^shift sectors. */
  public record Stripes(ByteBuffer flags, int shift) {
    private boolean toBeFetched(long stripe) {
      return StripeFlags.mustBeFetched(flags.get((int) stripe));
    }

    private boolean written(long stripe) {
      return (flags.get((int) stripe) & (StripeFlags.WRITTEN | StripeFlags.FETCHED)) != 0;
    }
  }

  private final long sectorCount;
  private final Optional<Stripes> stripes;
  private final Holes holes;
  private final boolean skipHoles;

  /** What was asked last: a file system walks all of a run to find its end. */
  private long holeFrom;

  private long holeUntil = -1;
  private long dataFrom;
  private long dataUntil;

  /**
   * The coverage of a disk.
   *
   * @param stripes empty for a disk without metadata
   * @param skipHoles whether all holes count as empty
   */
  public DiskCoverage(long sectorCount, Optional<Stripes> stripes, Holes holes, boolean skipHoles) {
    this.sectorCount = sectorCount;
    this.stripes = stripes;
    this.holes = holes;
    this.skipHoles = skipHoles;
  }

  @Override
  public long nextHeld(long sector) throws IOException {
    long at = sector;
    while (at < sectorCount) {
      long end = partEnd(at);
      if (!toBeFetched(at)) {
        long held = holesAreEmpty(at) ? nextData(at) : at;
        if (held < end) {
          return held;
        }
      }
      at = end;
    }
    return sectorCount;
  }

  @Override
  public long heldUntil(long sector, long limit) throws IOException {
    long at = sector;
    while (at < limit && !toBeFetched(at)) {
      long end = partEnd(at);
      long held = holesAreEmpty(at) ? nextHole(at) : end;
      if (held < end) {
        return Math.min(held, limit);
      }
      at = end;
    }
    return Math.min(at, limit);
  }

  /** The end of the stripe, or of the disk. */
  private long partEnd(long sector) {
    if (stripes.isEmpty()) {
      return sectorCount;
    }
    int shift = stripes.get().shift();
    return Math.min(sectorCount, ((sector >>> shift) + 1) << shift);
  }

  private boolean toBeFetched(long sector) {
    return stripes.isPresent() && stripes.get().toBeFetched(sector >>> stripes.get().shift());
  }

  private boolean holesAreEmpty(long sector) {
    return skipHoles
        || (stripes.isPresent() && !stripes.get().written(sector >>> stripes.get().shift()));
  }

  /** Rounded down to a sector, so that one which is allocated in part counts. */
  private long nextData(long sector) throws IOException {
    if (sector < holeFrom || sector > holeUntil) {
      holeFrom = sector;
      holeUntil = holes.nextData(sector * SectorStore.SECTOR_BYTES) / SectorStore.SECTOR_BYTES;
    }
    return holeUntil;
  }

  private long nextHole(long sector) throws IOException {
    if (sector < dataFrom || sector >= dataUntil) {
      long offset = holes.nextHole(sector * SectorStore.SECTOR_BYTES);
      dataFrom = sector;
      dataUntil = (offset + SectorStore.SECTOR_BYTES - 1) / SectorStore.SECTOR_BYTES;
    }
    return dataUntil;
  }
}
