// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/**
 * What native code has to say, on its way to the logger.
 *
 * <p>C threads write into a bounded ring and never enter the JVM; the thread {@code native-log}
 * waits for lines inside a native call and hands them on.
 */
public final class NativeLog extends NativeHandle {
  private static final Logger LOG = LoggerFactory.getLogger("io.ubiblk.native");

  private static final int CAPACITY_LINES = 256;
  private static final int MESSAGE_OFFSET = 4;
  private static final int MESSAGE_BYTES = 512;

  /** By native level. */
  private static final Level[] LEVELS = {Level.ERROR, Level.WARN, Level.INFO, Level.DEBUG};

  private final Thread reader = new Thread(this::read, "native-log");

  private NativeLog(long address) {
    super("the native log", address);
    reader.setDaemon(true);
  }

  /** Opens the log at the level that the logger {@code io.ubiblk.native} has. */
  public static NativeLog open() {
    NativeLog log = new NativeLog(create(level(LOG), CAPACITY_LINES));
    log.reader.start();
    return log;
  }

  /** Hands on what is left, then ends. No native object that keeps the log may be open. */
  @Override
  public void close() throws IOException {
    checkNotKept();
    if (reader.isAlive()) {
      use(
          address -> {
            shut(address);
            return null;
          });
      join();
    }
    super.close();
  }

  private void join() {
    boolean interrupted = false;
    while (reader.isAlive()) {
      try {
        reader.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void read() {
    ByteBuffer line =
        ByteBuffer.allocateDirect(MESSAGE_OFFSET + MESSAGE_BYTES).order(ByteOrder.nativeOrder());
    while (use(address -> await(address, line, -1)) > 0) {
      LOG.atLevel(LEVELS[line.getInt(0)]).log(message(line));
    }
  }

  private static String message(ByteBuffer line) {
    byte[] bytes = new byte[MESSAGE_BYTES];
    line.get(MESSAGE_OFFSET, bytes);
    int length = 0;
    while (length < bytes.length && bytes[length] != 0) {
      length++;
    }
    // One record stays one line of the log, whatever a path in it holds.
    return new String(bytes, 0, length, StandardCharsets.UTF_8).replaceAll("\\p{Cntrl}", "?");
  }

  private static int level(Logger logger) {
    int level = LEVELS.length - 1;
    while (level > 0 && !logger.isEnabledForLevel(LEVELS[level])) {
      level--;
    }
    return level;
  }

  /** Adds a line as native code does; for tests. */
  void write(Level level, String message) {
    byte[] text = NativeText.encode("a log line", message);
    use(
        address -> {
          write(address, Arrays.asList(LEVELS).indexOf(level), text);
          return null;
        });
  }

  @Override
  void destroy(long address) {
    free(address);
  }

  private static native long create(int level, int capacity);

  /** Fills line with the next record; returns 1, 0 on timeout, a negative errno at the end. */
  private static native int await(long log, ByteBuffer line, int timeoutMs);

  private static native void write(long log, int level, byte[] message);

  private static native void shut(long log);

  private static native void free(long log);
}
