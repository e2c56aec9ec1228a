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
   * @param markers empty: of a disk that cannot have a marker
   * @param assume whether keys pass that nothing proves
   */
  static void prove(
      DiskState disk, Optional<? extends MarkerStore> markers, NativeXts keys, boolean assume)
      throws IOException {
    Optional<KeyMarker> marker = markers.isPresent() ? markers.get().load() : Optional.empty();
    if (marker.isPresent()) {
      if (!marker.get().check().matches(marker.get().newCheck(), keys)) {
        throw new IOException(
            "%s has other keys than those to decrypt with: %s knows its keys"
                .formatted(disk.path(), markers.orElseThrow().path()));
      }
    } else if (disk.targets().size() == 1 && !assume) {
      throw new IOException(
          "%s has no metadata, so nothing proves that the keys to decrypt with are its own; wrong"
                  .formatted(disk.path())
              + " ones would destroy its content: say --assume-old-key if you are certain");
    }
  }
}
