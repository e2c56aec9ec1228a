// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The record of everything that this process writes to a base disk and its metadata file, in one
 * order ({@code src/test/c/crash/crash_recorder.h}). Only in the library that crash simulations
 * load; one record at a time.
 */
public final class CrashRecorder {
  /** Number of the base disk. */
  public static final int BASE = 0;

  /** Number of the metadata file. */
  public static final int METADATA = 1;

  private CrashRecorder() {}

  /** Begins a record of these two files, which exist. Failures are drawn from {@code seed}. */
  public static void begin(Path base, Path metadata, long seed) {
    begin(text(base), text(metadata), seed);
  }

  /** Ends the record. */
  public static native void end();

  /** How many of a thousand writes and syncs of the file fail from here on. */
  public static native void fail(int file, int writesPerMille, int syncsPerMille);

  /** Syncs that are made to fail seem to succeed, until the end of this record. */
  public static native void hideFailures();

  /** Puts a number of the test's own into the record. */
  public static native void mark(long number);

  /** Words of the events, eight each; a copy. */
  public static long[] events() {
    LongBuffer words = eventBytes().order(ByteOrder.nativeOrder()).asLongBuffer();
    long[] copy = new long[words.remaining()];
    words.get(copy);
    return copy;
  }

  /** What was written; a copy. */
  public static byte[] data() {
    ByteBuffer bytes = dataBytes();
    byte[] copy = new byte[bytes.remaining()];
    bytes.get(copy);
    return copy;
  }

  private static byte[] text(Path path) {
    byte[] bytes = path.toString().getBytes(StandardCharsets.UTF_8);
    return Arrays.copyOf(bytes, bytes.length + 1);
  }

  private static native void begin(byte[] base, byte[] metadata, long seed);

  private static native ByteBuffer eventBytes();

  private static native ByteBuffer dataBytes();
}
