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
    Optional<KeyMarker> marker = file.isPresent() ? file.get().load() : Optional.empty();
    if (marker.isEmpty()) {
      return;
    }
    refuseHalfDone(diskPath, marker.get());
    if (keys.isEmpty() || !marker.get().check().matches(marker.get().newCheck(), keys.get())) {
      throw new IOException(
          "%s was re-encrypted, and %s are not its keys: use the configuration that it was"
                  .formatted(diskPath, keys.isEmpty() ? "no keys" : "these")
              + " re-encrypted to. (If it is another disk by that name, remove "
              + file.get().path()
              + ")");
    }
  }

  /** Refuses to write over a disk that has a marker. */
  static void refuseMarked(String path) throws IOException {
    Optional<MarkerFile> file = MarkerFile.of(path);
    if (file.isPresent() && file.get().load().isPresent()) {
      throw new IOException(
          "%s is a disk whose keys were changed (%s): give another output, or remove both"
              .formatted(path, file.get().path()));
    }
  }

  /** Looks whether a disk has its old keys in one place and its new ones in another. */
  static void refuseHalfDone(String diskPath) throws IOException {
    Optional<MarkerFile> file = MarkerFile.of(diskPath);
    Optional<KeyMarker> marker = file.isPresent() ? file.get().load() : Optional.empty();
    if (marker.isPresent()) {
      refuseHalfDone(diskPath, marker.get());
    }
  }

  private static void refuseHalfDone(String diskPath, KeyMarker marker) throws IOException {
    if (marker.state() == KeyMarker.State.REENCRYPTING) {
      throw new IOException(
          "%s is half re-encrypted; this finishes it: %s".formatted(diskPath, marker.command()));
    }
  }
}
