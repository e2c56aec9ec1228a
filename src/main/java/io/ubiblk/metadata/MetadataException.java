// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import java.io.IOException;

/** The file could be read, and is not the metadata that it should be. Names file and reason. */
public final class MetadataException extends IOException {
  private static final long serialVersionUID = 1L;

  /** A refusal: {@code path} and what is wrong with it. */
  MetadataException(String path, String sentence) {
    super(path + ": " + sentence);
  }
}
