// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.TestScale;
import io.ubiblk.transcode.PowerWorld.Content;
import io.ubiblk.transcode.PowerWorld.FileName;
import io.ubiblk.transcode.PowerWorld.LeftOut;
import java.io.IOException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A power cut or an I/O error at any point of a re-encryption in place leaves a disk that has its
 * old keys and no marker, or its new keys and a marker that says so, or one that the same work
 * completes.
 */
class ReencryptionCrashIT {
  private static final int WORKS = TestScale.count(30, 300);
  private static final int STATES_OF_EACH_CUT = 3;

  private static TestKeys keys;

  @BeforeAll
  static void openKeys() throws IOException {
    keys = new TestKeys();
  }

  @AfterAll
  static void closeKeys() throws IOException {
    keys.close();
  }

  @Test
  void everyCutLeavesADiskThatIsOldOrNewOrCompleted() throws IOException {
    Set<Long> states = new HashSet<>();
    int half = cutAll(WORKS, LeftOut.NOTHING, states);
    TestScale.report(
        "%d crash states of %d re-encryptions, %d of them half done"
            .formatted(states.size(), WORKS, half));
    assertThat(states.size()).isGreaterThan(40 * WORKS);
    assertThat(half).isGreaterThan(20 * WORKS);
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NOTHING")
  void findsWhatIsLeftOut(LeftOut leftOut) {
    assertThatThrownBy(() -> cutAll(30, leftOut, new HashSet<>()))
        .isInstanceOf(AssertionError.class)
        .hasMessageFindingMatch("cut after|cut twice|completed after a kill");
  }

  @Test
  void everyFaultLeavesADiskThatIsOldOrNewOrCompleted() throws IOException {
    Random random = new Random(TestScale.seed());
    int failed = 0;
    for (int i = 0; i < WORKS; i++) {
      Work work = new Work(random);
      int steps = work.run(work.before, LeftOut.NOTHING).stepCount();
      for (int fault = 0; fault < steps; fault++) {
        PowerWorld world = new PowerWorld(work.before, LeftOut.NOTHING);
        world.failAfter(fault, random);
        failed += work.fails(world) ? 1 : 0;
        work.check(world.content(), "after fault " + fault);
      }
    }
    TestScale.report("%d failing steps of %d re-encryptions".formatted(failed, WORKS));
    assertThat(failed).isGreaterThan(20 * WORKS);
  }

  /** Returns how many states were half done. */
  private static int cutAll(int works, LeftOut leftOut, Set<Long> states) throws IOException {
    Random random = new Random(TestScale.seed());
    int half = 0;
    for (int i = 0; i < works; i++) {
      Work work = new Work(random);
      PowerWorld world = work.run(work.before, leftOut);
      work.checkDone(world.content(), "uncut");
      for (int cut = 0; cut <= world.stepCount(); cut++) {
        for (int state = 0; state < STATES_OF_EACH_CUT; state++) {
          Content left = world.crashed(cut, random);
          states.add(left.fingerprint());
          half += work.check(left, "cut after %d of %d".formatted(cut, world.stepCount())) ? 1 : 0;
        }
      }
      half += work.cutTwice(world, leftOut, random, states);
      half += work.killThenCut(world.stepCount(), leftOut, random, states);
    }
    return half;
  }

  /** A disk, and how its keys are changed. */
  private static final class Work {
    final Content before = new Content();
    private final byte[] plainDisk;
    private final Optional<byte[]> plainMetadata;
    private final int slotSectors;
    private final int threads;
    private final Coverage coverage;
    private final boolean[] held;

    Work(Random random) {
      int sectors = 1 + random.nextInt(120);
      plainDisk = bytes(sectors, random);
      plainMetadata =
          random.nextBoolean()
              ? Optional.of(bytes(1 + random.nextInt(20), random))
              : Optional.empty();
      slotSectors = 8 * (1 + random.nextInt(6));
      threads = 1 + random.nextInt(3);
      held = new boolean[sectors];
      boolean all = random.nextBoolean();
      int run = 1 + random.nextInt(12);
      boolean on = true;
      for (int i = 0; i < sectors; i++) {
        on = random.nextInt(run) == 0 ? random.nextBoolean() : on;
        held[i] = all || on;
      }
      coverage = new Runs(held);
      before.files.put(FileName.DISK, TestKeys.encipher(keys.old, plainDisk));
      plainMetadata.ifPresent(
          plain -> before.files.put(FileName.METADATA, TestKeys.encipher(keys.old, plain)));
    }

    private static byte[] bytes(int sectors, Random random) {
      byte[] bytes = new byte[sectors * SectorStore.SECTOR_BYTES];
      random.nextBytes(bytes);
      return bytes;
    }

    PowerWorld run(Content content, LeftOut leftOut) throws IOException {
      PowerWorld world = new PowerWorld(content, leftOut);
      inPlace(world).run(Progress.NONE);
      return world;
    }

    boolean fails(PowerWorld world) {
      try {
        inPlace(world).run(Progress.NONE);
        return false;
      } catch (IOException e) {
        return true;
      }
    }

    private InPlace inPlace(PowerWorld world) {
      InPlace.Settings settings =
          new InPlace.Settings(true, "the command", threads, slotSectors, new SecureRandom());
      return new InPlace(
          new MemoryDisk(world, plainMetadata.isPresent(), coverage, keys),
          world.markers(),
          world.journals(),
          keys.old,
          keys.fresh,
          settings);
    }

    /** Checks what a cut has left; returns whether that was half done. */
    boolean check(Content left, String what) throws IOException {
      boolean half =
          left.marker.filter(mark -> mark.state() == KeyMarker.State.REENCRYPTING).isPresent();
      if (left.marker.isEmpty()) {
        assertThat(left.files.get(FileName.DISK))
            .as("the disk without a marker, %s", what)
            .isEqualTo(before.files.get(FileName.DISK));
        assertThat(left.files.get(FileName.METADATA))
            .as("the metadata without a marker, %s", what)
            .isEqualTo(before.files.get(FileName.METADATA));
      } else if (!half) {
        checkContent(left, what);
      }
      checkDone(completed(left, what), "completed, " + what);
      return half;
    }

    /** What becomes of {@code left} when the same work is begun again; it must not refuse. */
    private Content completed(Content left, String what) {
      try {
        return run(left, LeftOut.NOTHING).content();
      } catch (IOException e) {
        throw new AssertionError("cannot be completed, " + what, e);
      }
    }

    /** Cuts what completes a cut work as well. */
    int cutTwice(PowerWorld first, LeftOut leftOut, Random random, Set<Long> states)
        throws IOException {
      Content left = first.crashed(random.nextInt(first.stepCount() + 1), random);
      PowerWorld second = run(left, leftOut);
      int half = 0;
      for (int cut = 0; cut <= second.stepCount(); cut++) {
        Content again = second.crashed(cut, random);
        states.add(again.fingerprint());
        half += check(again, "cut twice") ? 1 : 0;
      }
      return half;
    }

    /** After a kill all that was done is to be seen, and what was not synced can still be lost. */
    int killThenCut(int steps, LeftOut leftOut, Random random, Set<Long> states)
        throws IOException {
      PowerWorld world = new PowerWorld(before, leftOut);
      world.killAfter(random.nextInt(steps));
      if (!fails(world)) {
        throw new AssertionError("it was killed, and went on");
      }
      world.revive();
      int killed = world.stepCount();
      inPlace(world).run(Progress.NONE);
      checkDone(world.content(), "completed after a kill");
      int half = 0;
      for (int cut = killed; cut <= world.stepCount(); cut++) {
        Content left = world.crashed(cut, random);
        states.add(left.fingerprint());
        half += check(left, "killed after %d, cut after %d".formatted(killed, cut)) ? 1 : 0;
      }
      return half;
    }

    void checkDone(Content content, String what) {
      assertThat(content.marker.orElseThrow().state())
          .as(what)
          .isEqualTo(KeyMarker.State.REENCRYPTED);
      assertThat(content.files).as(what).doesNotContainKey(FileName.JOURNAL);
      checkContent(content, what);
    }

    private void checkContent(Content content, String what) {
      byte[] disk = content.files.get(FileName.DISK);
      byte[] plain = TestKeys.decipher(keys.fresh, disk);
      for (int sector = 0; sector < held.length; sector++) {
        int offset = sector * SectorStore.SECTOR_BYTES;
        int end = offset + SectorStore.SECTOR_BYTES;
        boolean right =
            held[sector]
                ? Arrays.equals(plain, offset, end, plainDisk, offset, end)
                : Arrays.equals(disk, offset, end, before.files.get(FileName.DISK), offset, end);
        if (!right) {
          throw new AssertionError("sector " + sector + " is wrong, " + what);
        }
      }
      plainMetadata.ifPresent(
          wanted ->
              assertThat(TestKeys.decipher(keys.fresh, content.files.get(FileName.METADATA)))
                  .as("the metadata, %s", what)
                  .isEqualTo(wanted));
    }
  }
}
