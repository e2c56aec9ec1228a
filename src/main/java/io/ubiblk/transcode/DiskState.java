// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.util.List;

/** The disk that is re-encrypted, open and locked. */
interface DiskState {
  /** Where it is. */
  String path();

  /** The disk and, if it has any, its metadata. */
  List<Target> targets();

  /**
   * Which sectors of the disk hold something; asked while its metadata has the old keys.
   *
   * @throws IOException also if the metadata does not open under the old keys
   */
  Coverage coverage() throws IOException;
}
