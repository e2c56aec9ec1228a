// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A symbolic link to a block device, under a name that does not change from start to start.
 *
 * <p>It is a convenience: a device works without it, so what goes wrong with it is a warning.
 */
final class DeviceLink {
  private static final Logger LOG = LoggerFactory.getLogger(DeviceLink.class);

  private final Path path;
  private final Path target;

  private DeviceLink(Path path, Path target) {
    this.path = path;
    this.target = target;
  }

  /** Makes the link, and its directory; replaces what is there, unless that is a directory. */
  static DeviceLink make(Path path, Path target) {
    DeviceLink link = new DeviceLink(path.toAbsolutePath(), target);
    try {
      link.replace();
    } catch (IOException e) {
      LOG.warn("cannot make the link {}: {}", path, e.toString());
    }
    return link;
  }

  private void replace() throws IOException {
    if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException("a directory is there");
    }
    Files.createDirectories(path.getParent());
    if (Files.exists(path, LinkOption.NOFOLLOW_LINKS) && !isOurs()) {
      LOG.warn("replacing what was left at {}", path);
    }
    // By a rename, so that there is no moment without a link.
    Path fresh = path.resolveSibling(path.getFileName() + ".new" + ProcessHandle.current().pid());
    Files.deleteIfExists(fresh);
    Files.createSymbolicLink(fresh, target);
    try {
      Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(fresh);
    }
  }

  private boolean isOurs() throws IOException {
    return Files.isSymbolicLink(path) && Files.readSymbolicLink(path).equals(target);
  }

  /** Removes the link if it still leads to our device. */
  void remove() {
    try {
      if (isOurs()) {
        Files.delete(path);
      }
    } catch (IOException e) {
      LOG.warn("cannot remove the link {}: {}", path, e.toString());
    }
  }
}
