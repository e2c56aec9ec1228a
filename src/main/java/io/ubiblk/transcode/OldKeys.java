// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.util.Optional;

/**
 * Whether the keys to decrypt with are a disk's own: wrong ones would turn all it holds to noise.
 */
final class OldKeys {
  private OldKeys() {}

  /**
   * Refuses keys that are not the disk's, or that nothing proves. Metadata proves them when it is
   * loaded, which is left to {@link DiskState#coverage}.
   *
   * @param found the disk's marker; empty: it has none, or cannot have one
   * @param assume whether keys pass that nothing proves
   */
  static void prove(
      DiskState disk, Optional<MarkerStore.Found> found, NativeXts keys, boolean assume)
      throws IOException {
    if (found.isPresent()) {
      KeyMarker marker = found.get().marker();
      if (!marker.check().matches(marker.newCheck(), keys)) {
        throw new IOException(
            "%s has other keys than those to decrypt with: %s knows its keys"
                .formatted(disk.path(), found.get().path()));
      }
    } else if (disk.targets().size() == 1 && !assume) {
      throw new IOException(
          "%s has no metadata, so nothing proves that the keys to decrypt with are its own; wrong"
                  .formatted(disk.path())
              + " ones would destroy its content: say --assume-old-key if you are certain");
    }
  }
}
