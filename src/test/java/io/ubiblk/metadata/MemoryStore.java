// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** A metadata file in memory that writes down what is done to it, and knows what a crash leaves. */
final class MemoryStore implements MetadataStore {
  private static final int SECTOR_BYTES = 512;

  /** What was done, in order: {@code write 1+15}, {@code sync}, {@code sync directory}. */
  final List<String> steps = new ArrayList<>();

  int closes;

  private byte[] durable;
  private byte[] current;
  private final List<Sector> unsynced = new ArrayList<>();
  private int stepsLeft = Integer.MAX_VALUE;

  private record Sector(int number, ByteBuffer bytes) {}

  /** The crash that was asked for. */
  static final class Crash extends IOException {
    private static final long serialVersionUID = 1L;
  }

  MemoryStore(byte[] content) {
    durable = content.clone();
    current = content.clone();
  }

  /** Lets so many steps happen; the next one throws. */
  MemoryStore crashingAfter(int stepCount) {
    stepsLeft = stepCount;
    return this;
  }

  byte[] content() {
    return current.clone();
  }

  /** A file as a crash at this moment could leave it: any of the sectors that were not synced. */
  byte[] afterCrash(Random random) {
    byte[] left = durable.clone();
    int percent = random.nextInt(5) * 25;
    for (Sector sector : unsynced) {
      if (random.nextInt(100) < percent) {
        left = with(left, sector);
      }
    }
    return left;
  }

  private static byte[] with(byte[] content, Sector sector) {
    int start = sector.number * SECTOR_BYTES;
    byte[] result =
        content.length < start + SECTOR_BYTES
            ? Arrays.copyOf(content, start + SECTOR_BYTES)
            : content;
    sector.bytes.get(0, result, start, SECTOR_BYTES);
    return result;
  }

  private void step(String step) throws Crash {
    if (stepsLeft-- == 0) {
      throw new Crash();
    }
    steps.add(step);
  }

  @Override
  public String path() {
    return "/m";
  }

  @Override
  public long byteLength() {
    return current.length;
  }

  @Override
  public void read(long sector, ByteBuffer into) throws IOException {
    int start = Math.toIntExact(sector * SECTOR_BYTES);
    if (start + into.remaining() > current.length) {
      throw new IOException("beyond the end");
    }
    into.duplicate().put(current, start, into.remaining());
  }

  @Override
  public void write(long first, ByteBuffer content) throws IOException {
    assertThat(content.isDirect()).isTrue();
    assertThat(content.remaining() % SECTOR_BYTES).isZero();
    step("write " + first + "+" + content.remaining() / SECTOR_BYTES);
    ByteBuffer from = content.duplicate();
    for (int number = (int) first; from.hasRemaining(); number++) {
      byte[] bytes = new byte[SECTOR_BYTES];
      from.get(bytes);
      var sector = new Sector(number, ByteBuffer.wrap(bytes));
      unsynced.add(sector);
      current = with(current, sector);
    }
  }

  @Override
  public void sync() throws IOException {
    step("sync");
    durable = current.clone();
    unsynced.clear();
  }

  @Override
  public void syncDirectory() throws IOException {
    step("sync directory");
  }

  @Override
  public void close() {
    closes++;
  }
}
