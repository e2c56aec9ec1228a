// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where a disk is.
 *
 * @param base the base disk
 * @param metadata its metadata
 * @param image the raw image that it is filled from
 */
record DiskFiles(Path base, Path metadata, Path image) {

  /** Removes both files of the disk: what is made after that has no locks of a predecessor. */
  void remove() throws IOException {
    Files.deleteIfExists(base);
    Files.deleteIfExists(metadata);
  }

  /** Makes both files, as a crash has left them. */
  void write(CrashState state) throws IOException {
    remove();
    Files.write(base, state.base());
    Files.write(metadata, state.metadata());
  }
}
