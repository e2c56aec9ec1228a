// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import io.ubiblk.config.FailureReason;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The listening socket in the file system.
 *
 * <p>Java cannot set the umask for a bind, so the socket is made inside a directory that only this
 * user may enter, gets its mode 0660 there and is then renamed to its path. Nobody can connect to
 * it before its mode is right, and a socket left by an earlier process is replaced in one step.
 */
final class RpcSocket implements AutoCloseable {
  /** What sockaddr_un holds beside its final zero. */
  static final int PATH_BYTES_MAX = 107;

  private static final int BACKLOG = 128;
  private static final int DIRECTORY_ATTEMPTS = 100;

  private final Path path;
  private final Object fileKey;
  private final ServerSocketChannel channel;

  private RpcSocket(Path path, Object fileKey, ServerSocketChannel channel) {
    this.path = path;
    this.fileKey = fileKey;
    this.channel = channel;
  }

  /** Listens at {@code path}, which must be free or hold a socket that nobody listens on. */
  static RpcSocket listen(Path path) throws IOException {
    try {
      return make(path);
    } catch (FileSystemException e) {
      throw new IOException(
          "rpc_socket_path: cannot make the socket %s: %s"
              .formatted(path, FailureReason.ofMaking(e)),
          e);
    }
  }

  private static RpcSocket make(Path path) throws IOException {
    Path absolute = path.toAbsolutePath();
    checkFree(absolute);
    Path directory = createPrivateDirectory(absolute);
    Path made = directory.resolve("s");
    ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      checkLength(path, made);
      channel.bind(UnixDomainSocketAddress.of(made), BACKLOG);
      Files.setPosixFilePermissions(made, PosixFilePermissions.fromString("rw-rw----"));
      Object fileKey = fileKey(made);
      Files.move(made, absolute, StandardCopyOption.ATOMIC_MOVE);
      return new RpcSocket(absolute, fileKey, channel);
    } catch (IOException | RuntimeException e) {
      channel.close();
      Files.deleteIfExists(made);
      throw e;
    } finally {
      Files.delete(directory);
    }
  }

  ServerSocketChannel channel() {
    return channel;
  }

  /** Closes and removes the socket, unless somebody put something else at its path. */
  @Override
  public void close() throws IOException {
    channel.close();
    try {
      if (fileKey.equals(fileKey(path))) {
        Files.deleteIfExists(path);
      }
    } catch (NoSuchFileException e) {
      // Somebody removed it: what was wanted.
    }
  }

  private static void checkFree(Path path) throws IOException {
    BasicFileAttributes attributes;
    try {
      attributes = attributes(path);
    } catch (NoSuchFileException e) {
      return;
    }
    // On Linux, "other" is a socket, a pipe or a device; only a socket can be connected to.
    if (!attributes.isOther()) {
      throw new IOException(path + " exists and is not a socket");
    }
    if (isListening(path)) {
      throw new IOException("another process listens on " + path);
    }
  }

  private static boolean isListening(Path path) {
    try (SocketChannel probe = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
      return probe.isConnected();
    } catch (IOException e) {
      return false;
    }
  }

  private static Path createPrivateDirectory(Path path) throws IOException {
    var ownerOnly =
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
    for (int attempt = 0; attempt < DIRECTORY_ATTEMPTS; attempt++) {
      int number = ThreadLocalRandom.current().nextInt(0x1000, 0x10000);
      try {
        return Files.createDirectory(
            path.resolveSibling(".r" + Integer.toHexString(number)), ownerOnly);
      } catch (FileAlreadyExistsException e) {
        // Another number, then.
      }
    }
    throw new IOException("no free name for a temporary directory beside " + path);
  }

  private static void checkLength(Path path, Path made) throws IOException {
    int length = Math.max(byteLength(path.toAbsolutePath()), byteLength(made));
    if (length > PATH_BYTES_MAX) {
      throw new IOException(
          "the socket path "
              + path
              + " needs "
              + length
              + " bytes; the limit is "
              + PATH_BYTES_MAX);
    }
  }

  private static int byteLength(Path path) {
    return path.toString().getBytes(StandardCharsets.UTF_8).length;
  }

  private static Object fileKey(Path path) throws IOException {
    return attributes(path).fileKey();
  }

  private static BasicFileAttributes attributes(Path path) throws IOException {
    return Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
  }
}
