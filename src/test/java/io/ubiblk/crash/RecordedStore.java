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

  /** No sync. */
  static final int NONE = -1;

  private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

  /** What was written, or that something was synced. */
  private record Step(Kind kind, int offset, ByteBuffer content) {
    enum Kind {
      WRITE,
      SYNC,
      SYNC_DIRECTORY
    }
  }

  private final Optional<byte[]> before;
  private final int leftOut;
  private final List<Step> steps = new ArrayList<>();
  private int syncs;
  private byte[] now;

  /**
   * A file that has a content already, or one that was not there.
   *
   * @param before of any length
   * @param leftOut number of a sync that is not done, {@link #NONE} for none
   */
  RecordedStore(Optional<byte[]> before, int leftOut) {
    this.before = before;
    this.leftOut = leftOut;
    this.now = before.orElse(new byte[0]);
  }

  @Override
  public String path() {
    return "metadata";
  }

  @Override
  public long byteLength() {
    return now.length;
  }

  @Override
  public void read(long sector, ByteBuffer into) {
    int offset = Math.toIntExact(sector * SECTOR_BYTES);
    into.put(into.position(), now, offset, into.remaining());
  }

  @Override
  public void write(long sector, ByteBuffer content) {
    ByteBuffer copy = ByteBuffer.allocate(content.remaining());
    copy.put(0, content, content.position(), content.remaining());
    Step step = new Step(Step.Kind.WRITE, Math.toIntExact(sector * SECTOR_BYTES), copy);
    steps.add(step);
    now = Arrays.copyOf(now, Math.max(now.length, step.offset + copy.capacity()));
    copy.get(0, now, step.offset, copy.capacity());
  }

  @Override
  public void sync() {
    sync(Step.Kind.SYNC);
  }

  @Override
  public void syncDirectory() {
    sync(Step.Kind.SYNC_DIRECTORY);
  }

  private void sync(Step.Kind kind) {
    if (syncs != leftOut) {
      steps.add(new Step(kind, 0, NOTHING));
    }
    syncs++;
  }

  @Override
  public void close() {
    // Nothing is open.
  }

  /** What is in it. */
  byte[] content() {
    return now;
  }

  /** Steps that were taken. */
  int stepCount() {
    return steps.size();
  }

  /** Whether the last write, which is that of the header, has begun before a cut. */
  boolean lastWriteHasBegun(int cut) {
    return steps.stream().skip(cut).noneMatch(step -> step.kind == Step.Kind.WRITE);
  }

  /**
   * What a power cut leaves after {@code cut} steps; empty: no file at all. What was synced is
   * there, and of the rest any sectors. A file that grew has any length in between, and where
   * nothing was written {@code random} bytes, which is what a hole is once it is deciphered, or
   * zeros.
   */
  Optional<byte[]> crashed(int cut, Random random) {
    boolean named =
        steps.stream().limit(cut).anyMatch(step -> step.kind == Step.Kind.SYNC_DIRECTORY);
    if (before.isEmpty() && !named && random.nextInt(4) == 0) {
      return Optional.empty();
    }
    int durable = durableCount(cut);
    byte[] file = before.orElse(new byte[0]).clone();
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

  private static byte[] apply(
      Step write, byte[] before, boolean durable, boolean garbage, Random random) {
    int end = write.offset + write.content.capacity();
    int room = Math.max(0, end - before.length);
    byte[] file =
        Arrays.copyOf(before, before.length + (durable ? room : random.nextInt(room + 1)));
    for (int i = before.length; garbage && i < file.length; i++) {
      file[i] = (byte) random.nextInt();
    }
    int odds = random.nextInt(3); // none, half of them, all
    for (int at = 0; at < write.content.capacity(); at += SECTOR_BYTES) {
      boolean fits = write.offset + at + SECTOR_BYTES <= file.length;
      if (fits && (durable || random.nextInt(2) < odds)) {
        write.content.get(at, file, write.offset + at, SECTOR_BYTES);
      }
    }
    return file;
  }
}
