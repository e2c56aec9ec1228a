// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.util.Optional;

/** Where the marker of one disk is kept. One thread. */
interface MarkerStore {
  /**
   * A marker that is there.
   *
   * @param path where that is, for sentences
   */
  record Found(String path, KeyMarker marker) {}

  /** Where that is, for sentences. */
  String path();

  /** What is there, durable; empty: the disk's keys were never changed. */
  Optional<KeyMarker> load() throws IOException;

  /** Replaces what is there; a power cut leaves the one or the other. Durable on return. */
  void save(KeyMarker marker) throws IOException;
}
