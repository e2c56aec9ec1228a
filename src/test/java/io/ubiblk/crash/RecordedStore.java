// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.metadata.MetadataStore;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/** A metadata file in memory that remembers what was done to it, step by step. */
final class RecordedStore implements MetadataStore {
  private static final int SECTOR_BYTES = CrashSetup.SECTOR_BYTES;

  /** What was written, or that something was synced. */
  private record Step(Kind kind, int offset, ByteBuffer content) {
    enum Kind {
      WRITE,
      SYNC,
      SYNC_DIRECTORY
    }
  }

  private final Optional<ByteBuffer> before;
  private final List<Step> steps = new ArrayList<>();
  private ByteBuffer now;

  /**
   * A file that has a content already, or one that was not there.
   *
   * @param before of any length
   */
  RecordedStore(Optional<ByteBuffer> before) {
    this.before = before;
    this.now = before.orElse(ByteBuffer.allocate(0));
  }

  @Override
  public String path() {
    return "metadata";
  }

  @Override
  public long byteLength() {
    return now.capacity();
  }

  @Override
  public void read(long sector, ByteBuffer into) {
    into.put(into.position(), now, Math.toIntExact(sector * SECTOR_BYTES), into.remaining());
  }

  @Override
  public void write(long sector, ByteBuffer content) {
    ByteBuffer copy = ByteBuffer.allocate(content.remaining());
    copy.put(0, content, content.position(), content.remaining());
    Step step = new Step(Step.Kind.WRITE, Math.toIntExact(sector * SECTOR_BYTES), copy);
    steps.add(step);
    now = longer(now, step.offset + copy.capacity());
    now.put(step.offset, copy, 0, copy.capacity());
  }

  private static ByteBuffer longer(ByteBuffer file, int length) {
    return ByteBuffer.wrap(Arrays.copyOf(file.array(), Math.max(file.capacity(), length)));
  }

  @Override
  public void sync() {
    steps.add(new Step(Step.Kind.SYNC, 0, now));
  }

  @Override
  public void syncDirectory() {
    steps.add(new Step(Step.Kind.SYNC_DIRECTORY, 0, now));
  }

  @Override
  public void close() {
    // Nothing is open.
  }

  /** What is in it. */
  ByteBuffer content() {
    return now;
  }

  /** Steps that were taken. */
  int stepCount() {
    return steps.size();
  }

  /** How many syncs of the file had ended before a cut. */
  int syncCount(int cut) {
    return (int) steps.stream().limit(cut).filter(step -> step.kind == Step.Kind.SYNC).count();
  }

  /**
   * What a power cut leaves after {@code cut} steps; empty: no file at all. What was synced is
   * there, and of the rest any sectors. A file that grew has any length in between, and where
   * nothing was written {@code random} bytes, which is what a hole is once it is deciphered, or
   * zeros.
   */
  Optional<ByteBuffer> crashed(int cut, Random random) {
    boolean named =
        steps.stream().limit(cut).anyMatch(step -> step.kind == Step.Kind.SYNC_DIRECTORY);
    if (before.isEmpty() && !named && random.nextInt(4) == 0) {
      return Optional.empty();
    }
    int durable = durableCount(cut);
    ByteBuffer file = ByteBuffer.wrap(before.map(ByteBuffer::array).orElse(new byte[0]).clone());
    boolean garbage = random.nextBoolean();
    for (int i = 0; i < cut; i++) {
      if (steps.get(i).kind == Step.Kind.WRITE) {
        file = apply(steps.get(i), file, i < durable, garbage, random);
      }
    }
    return Optional.of(file);
  }

  /** The steps before the last sync that has ended. */
  private int durableCount(int cut) {
    int durable = 0;
    for (int i = 0; i < cut; i++) {
      durable = steps.get(i).kind == Step.Kind.SYNC ? i : durable;
    }
    return durable;
  }

  private static ByteBuffer apply(
      Step write, ByteBuffer file, boolean durable, boolean garbage, Random random) {
    int end = write.offset + write.content.capacity();
    int length = file.capacity();
    if (end > length) {
      int grown = durable ? end : length + random.nextInt(end - length + 1);
      byte[] bytes = Arrays.copyOf(file.array(), grown);
      for (int i = length; garbage && i < grown; i++) {
        bytes[i] = (byte) random.nextInt();
      }
      file = ByteBuffer.wrap(bytes);
    }
    int odds = random.nextInt(3); // none, half of them, all
    for (int at = 0; at < write.content.capacity(); at += SECTOR_BYTES) {
      boolean fits = write.offset + at + SECTOR_BYTES <= file.capacity();
      if (fits && (durable || random.nextInt(2) < odds)) {
        file.put(write.offset + at, write.content, at, SECTOR_BYTES);
      }
    }
    return file;
  }
}
