// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import java.io.IOException;
import java.nio.file.Path;

/**
 * A front end that is a block device, and the symbolic link to it.
 *
 * <p>The link goes first: once the device is gone, another disk's may have its number. It stays
 * with a device that is left to the next server.
 */
final class LinkedFrontEnd implements FrontEnd {
  private final FrontEnd frontEnd;
  private final DeviceLink link;
  private boolean deviceStays;

  private LinkedFrontEnd(FrontEnd frontEnd, DeviceLink link) {
    this.frontEnd = frontEnd;
    this.link = link;
  }

  /** Makes the link at {@code path}; closes {@code frontEnd} if this fails. */
  static LinkedFrontEnd open(FrontEnd frontEnd, Path path, Path node) throws IOException {
    try {
      return new LinkedFrontEnd(frontEnd, DeviceLink.make(path, node));
    } catch (RuntimeException e) {
      try (frontEnd) {
        throw e;
      }
    }
  }

  @Override
  public boolean connected() {
    return frontEnd.connected();
  }

  @Override
  public String awaitEnd() throws IOException {
    try {
      return frontEnd.awaitEnd();
    } catch (IOException e) {
      deviceStays = true;
      throw e;
    }
  }

  @Override
  public void close() throws IOException {
    try (frontEnd) {
      if (!deviceStays) {
        link.remove();
      }
    }
  }
}
