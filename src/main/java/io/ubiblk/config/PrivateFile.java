// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Files that hold keys: made with mode 0600, never opened if they are there already, durable when a
 * method returns, and removed again when it fails.
 */
public final class PrivateFile {
  private static final FileAttribute<Set<PosixFilePermission>> OWNER_ONLY =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private PrivateFile() {}

  /** Looks at a file that is complete, and refuses it by throwing. */
  interface Check {
    void check(Path written) throws ConfigException, IOException;
  }

  /**
   * Makes {@code path}.
   *
   * @throws IOException if something has this name (a symbolic link, too), or it cannot be written
   *     completely; there is no new file then
   */
  public static void create(Path path, byte[] content) throws IOException {
    try {
      create(path, content, unused -> {});
    } catch (ConfigException e) {
      throw new AssertionError("nothing was checked", e);
    }
  }

  /** The same; {@code check} may refuse the file before it stays. */
  static void create(Path path, byte[] content, Check check) throws ConfigException, IOException {
    try (FileChannel channel = open(path)) {
      try {
        write(path, channel, content);
        sync(path, channel);
        check.check(path);
        syncDirectory(path);
      } catch (ConfigException | IOException | RuntimeException | Error e) {
        remove(path, e);
        throw e;
      }
    }
  }

  /**
   * Puts {@code content} in the place of the file that {@code path} leads to, at once: whoever
   * opens it finds the old content or the new. Mode, owner and group stay; where they cannot be
   * kept, the file is its writer's with mode 0600, and {@code warnings} gets a line.
   *
   * @throws IOException if it could not be written; the file is as it was, unless the message says
   *     otherwise
   */
  static void replace(Path path, byte[] content, Check check, Consumer<String> warnings)
      throws ConfigException, IOException {
    Path target = real(path);
    Path temporary = target.resolveSibling(".keys-" + randomText() + ".tmp");
    try (FileChannel channel = open(temporary)) {
      try {
        write(temporary, channel, content);
        takeOver(target, temporary, warnings);
        sync(temporary, channel);
        check.check(temporary);
        rename(temporary, target);
      } catch (ConfigException | IOException | RuntimeException | Error e) {
        remove(temporary, e);
        throw e;
      }
    }
    try {
      syncDirectory(target);
    } catch (IOException e) {
      throw new IOException(target + ": is replaced, but may not be after a power cut", e);
    }
  }

  private static String randomText() {
    byte[] bytes = new byte[8];
    new SecureRandom().nextBytes(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  private static Path real(Path path) throws IOException {
    Path target;
    try {
      target = path.toRealPath();
    } catch (IOException e) {
      throw failure(path, "cannot be replaced", e);
    }
    if (!Files.isRegularFile(target, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(path + ": is no file that can be replaced");
    }
    return target;
  }

  private static FileChannel open(Path path) throws IOException {
    try {
      return FileChannel.open(
          path, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), OWNER_ONLY);
    } catch (FileAlreadyExistsException e) {
      throw new IOException(path + ": is there already, and is not overwritten", e);
    } catch (IOException e) {
      throw new IOException(path + ": cannot be made: " + FailureReason.ofMaking(e), e);
    }
  }

  private static void write(Path path, FileChannel channel, byte[] content) throws IOException {
    try {
      ByteBuffer buffer = ByteBuffer.wrap(content);
      while (buffer.hasRemaining()) {
        channel.write(buffer);
      }
    } catch (IOException e) {
      throw failure(path, "cannot be written", e);
    }
  }

  private static void sync(Path path, FileChannel channel) throws IOException {
    try {
      channel.force(true);
    } catch (IOException e) {
      throw failure(path, "cannot be synced", e);
    }
  }

  private static void syncDirectory(Path path) throws IOException {
    Path directory = path.toAbsolutePath().getParent();
    try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
      sync(directory, channel);
    }
  }

  private static void rename(Path from, Path to) throws IOException {
    try {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw failure(to, "cannot be replaced", e);
    }
  }

  /**
   * Gives {@code to} the owner, group and mode of {@code from}; the mode last, since it opens.
   * Links are not followed: who else may write to the directory gets no other file changed.
   */
  private static void takeOver(Path from, Path to, Consumer<String> warnings) throws IOException {
    PosixFileAttributes wanted = Files.readAttributes(from, PosixFileAttributes.class);
    PosixFileAttributeView view =
        Files.getFileAttributeView(to, PosixFileAttributeView.class, LinkOption.NOFOLLOW_LINKS);
    PosixFileAttributes given = view.readAttributes();
    try {
      if (!wanted.owner().equals(given.owner())) {
        view.setOwner(wanted.owner());
      }
      if (!wanted.group().equals(given.group())) {
        view.setGroup(wanted.group());
      }
      view.setPermissions(wanted.permissions());
    } catch (IOException e) {
      warnings.accept(
          from + ": its owner and group cannot be kept, so from now on it has mode 0600");
    }
  }

  private static void remove(Path path, Throwable reason) {
    try {
      Files.deleteIfExists(path);
    } catch (IOException e) {
      reason.addSuppressed(e);
    }
  }

  private static IOException failure(Path path, String what, IOException e) {
    return new IOException(path + ": " + what + ": " + FailureReason.of(e), e);
  }
}
