// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.metadata.MetadataFile;
import io.ubiblk.metadata.StripeFlags;
import io.ubiblk.nativelib.NativeLog;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;

/**
 * What a disk holds at one moment.
 *
 * @param base the base disk in clear
 * @param image the image, as long as the disk, zeros behind its end
 * @param flags of every stripe, as the metadata file has them
 */
record DiskContent(ByteBuffer base, ByteBuffer image, ByteBuffer flags) {

  /** Reads the files of a disk that nobody uses. */
  static DiskContent read(Laboratory laboratory, CrashSetup setup, DiskFiles files)
      throws IOException {
    ByteBuffer image = ByteBuffer.allocate(setup.diskSectors() * CrashSetup.SECTOR_BYTES);
    image.put(Files.readAllBytes(files.image())).clear();
    return new DiskContent(
        laboratory.read(files.base(), setup), image, readFlags(laboratory, setup, files));
  }

  private static ByteBuffer readFlags(Laboratory laboratory, CrashSetup setup, DiskFiles files)
      throws IOException {
    NativeLog log = laboratory.log();
    try (MetadataFile file =
        MetadataFile.openReadOnly(
            files.metadata().toString(), setup.diskSectors(), laboratory.cipher(setup), log)) {
      ByteBuffer flags = ByteBuffer.allocate(setup.stripeCount());
      flags.put(file.flags()).clear();
      return flags;
    }
  }

  /** What a guest reads. */
  ByteBuffer visible() {
    ByteBuffer visible = ByteBuffer.allocate(base.capacity());
    for (int at = 0; at < base.capacity(); at += CrashSetup.SECTOR_BYTES) {
      int stripe = CrashSetup.stripeOf(at / CrashSetup.SECTOR_BYTES);
      boolean missing = StripeFlags.mustBeFetched(flags.get(stripe));
      visible.put(at, missing ? image : base, at, CrashSetup.SECTOR_BYTES);
    }
    return visible;
  }
}
