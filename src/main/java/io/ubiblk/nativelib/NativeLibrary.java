// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.Optional;
import org.scijava.nativelib.NativeLoader;

/**
 * Loads libubiblk.so, once per process.
 *
 * <p>Tried in this order, the first that exists is taken: the file (or the directory) that the
 * system property {@value #LOCATION_PROPERTY} names; a file beside the jar; the library inside the
 * jar, unpacked to java.io.tmpdir. The last needs a directory that is not mounted noexec.
 */
public final class NativeLibrary {
  /** Version of this program; the library must have the same. */
  public static final String VERSION = "0.1.0";

  /** Names the library's file or its directory. */
  public static final String LOCATION_PROPERTY = "ubiblk.library";

  private static final String FILE_NAME = "libubiblk.so";
  private static final String RESOURCE_DIRECTORY = "natives/linux_64";

  private static boolean loaded;

  private NativeLibrary() {}

  /**
   * Loads the library if that has not been done. Any thread.
   *
   * @throws IOException if it is missing, cannot be loaded, or belongs to another version
   */
  public static synchronized void load() throws IOException {
    // The loader would unpack it a second time, over the file that is mapped.
    if (!loaded) {
      load(findFile());
      loaded = true;
    }
  }

  /** Loads that file, or the library inside the jar. */
  static void load(Optional<Path> file) throws IOException {
    try {
      if (file.isPresent()) {
        System.load(file.get().toAbsolutePath().toString());
      } else {
        NativeLoader.loadLibrary("ubiblk");
      }
      checkVersion(version());
    } catch (IOException | LinkageError e) {
      // The loader unpacks while its class is initialized; what went wrong is the cause then.
      throw new IOException(explain(file, e.getCause() == null ? e : e.getCause()), e);
    }
    QueueStatsLayout.check();
  }

  private static Optional<Path> findFile() throws IOException {
    String location = System.getProperty(LOCATION_PROPERTY);
    if (location != null) {
      Path named = Path.of(location);
      return Optional.of(Files.isDirectory(named) ? named.resolve(FILE_NAME) : named);
    }
    return besideTheCode().filter(Files::isRegularFile);
  }

  /** Beside the jar; or, run from a directory of classes, where the build puts the library. */
  private static Optional<Path> besideTheCode() throws IOException {
    CodeSource source = NativeLibrary.class.getProtectionDomain().getCodeSource();
    if (source == null || !source.getLocation().getProtocol().equals("file")) {
      return Optional.empty();
    }
    Path code;
    try {
      code = Path.of(source.getLocation().toURI());
    } catch (URISyntaxException e) {
      throw new IOException("the location of the program is no path: " + source.getLocation(), e);
    }
    Path directory = Files.isDirectory(code) ? code.resolve(RESOURCE_DIRECTORY) : code.getParent();
    return Optional.of(directory.resolve(FILE_NAME));
  }

  static void checkVersion(String found) throws IOException {
    if (!found.equals(VERSION)) {
      throw new IOException("it has version " + found + ", the program has " + VERSION);
    }
  }

  private static String explain(Optional<Path> file, Throwable cause) {
    if (file.isPresent()) {
      return "cannot load " + file.get() + ": " + cause.getMessage();
    }
    return "cannot load "
        + FILE_NAME
        + " from the jar by way of "
        + System.getProperty("java.io.tmpdir", File.separator + "tmp")
        + " (is it mounted noexec or full?): "
        + cause.getMessage()
        + "; put the library beside the jar or name its file with -D"
        + LOCATION_PROPERTY
        + "=FILE";
  }

  private static native String version();
}
