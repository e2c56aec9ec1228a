// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.util.Optional;

/** Keeps whoever has other keys away from a disk whose keys were changed. */
public final class KeyGuard {
  private KeyGuard() {}

  /**
   * Looks at the marker of a disk, once the disk is locked.
   *
   * @param keys what the configuration has; empty: none
   * @throws IOException if the disk's keys are being changed, or are others
   */
  public static void check(String diskPath, Optional<NativeXts> keys) throws IOException {
    Optional<MarkerFile> file = MarkerFile.of(diskPath);
    Optional<MarkerStore.Found> found = MarkerFile.find(diskPath);
    if (file.isEmpty() || found.isEmpty()) {
      return;
    }
    refuseHalfDone(diskPath, found);
    KeyMarker marker = found.get().marker();
    if (keys.isEmpty() || !marker.check().matches(marker.newCheck(), keys.get())) {
      throw new IOException(
          "%s was re-encrypted, and %s are not its keys: use the configuration that it was"
                  .formatted(diskPath, keys.isEmpty() ? "no keys" : "these")
              + " re-encrypted to. (If it is another disk by that name, "
              + file.get().removal()
              + ")");
    }
  }

  /** Refuses to write over a disk that has a marker. */
  static void refuseMarked(String path) throws IOException {
    Optional<MarkerStore.Found> found = MarkerFile.find(path);
    if (found.isPresent()) {
      throw new IOException(
          "%s is a disk whose keys were changed (%s): give another output, or remove both"
              .formatted(path, found.get().path()));
    }
  }

  /** Looks whether a disk has its old keys in one place and its new ones in another. */
  static void refuseHalfDone(String diskPath) throws IOException {
    refuseHalfDone(diskPath, MarkerFile.find(diskPath));
  }

  /** The same, with the disk's marker loaded already; empty: it has none, or cannot have one. */
  static void refuseHalfDone(String diskPath, Optional<MarkerStore.Found> found)
      throws IOException {
    if (found.isPresent() && found.get().marker().state() == KeyMarker.State.REENCRYPTING) {
      throw new IOException(
          "%s is half re-encrypted; this finishes it: %s"
              .formatted(diskPath, found.get().marker().command()));
    }
  }
}
