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
    MarkerFile file = MarkerFile.of(diskPath);
    Optional<KeyMarker> marker = file.load();
    if (marker.isEmpty()) {
      return;
    }
    refuseHalfDone(diskPath, marker.get());
    if (keys.isEmpty() || !marker.get().check().matches(marker.get().newCheck(), keys.get())) {
      throw new IOException(
          "%s was re-encrypted, and %s are not its keys (%s knows them): use the configuration that"
                  .formatted(diskPath, keys.isEmpty() ? "no keys" : "these", file.path())
              + " it was re-encrypted to");
    }
  }

  /** Looks whether a disk has its old keys in one place and its new ones in another. */
  static void refuseHalfDone(String diskPath) throws IOException {
    Optional<KeyMarker> marker = MarkerFile.of(diskPath).load();
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
