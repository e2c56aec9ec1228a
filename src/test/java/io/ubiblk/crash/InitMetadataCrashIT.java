// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.TestScale;
import io.ubiblk.metadata.MetadataCreator;
import io.ubiblk.metadata.MetadataException;
import io.ubiblk.metadata.MetadataFile;
import io.ubiblk.metadata.MetadataFormat;
import io.ubiblk.metadata.MetadataParameters;
import io.ubiblk.metadata.MetadataStore;
import io.ubiblk.metadata.StripeFlags;
import io.ubiblk.nativelib.NativeLibrary;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.function.IntPredicate;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A power cut while metadata is created leaves what there was before, or a file that does not load,
 * or exactly what was asked for.
 */
class InitMetadataCrashIT {
  private static final int CREATIONS = TestScale.count(60, 400);
  private static final int STATES_OF_EACH_CUT = 8;

  @BeforeAll
  static void load() throws IOException {
    NativeLibrary.load();
  }

  @Test
  void leavesNothingHalfMade() throws Exception {
    Set<ByteBuffer> states = new HashSet<>();
    int loaded = create(CREATIONS, RecordedStore.NONE, states);
    TestScale.report(
        "%d crash states of %d creations of metadata, %d of them loaded"
            .formatted(states.size(), CREATIONS, loaded));
    assertThat(states.size()).isGreaterThan(8 * CREATIONS);
    assertThat(loaded).isGreaterThan(CREATIONS);
  }

  /** Of the three of the file, and the one of its directory. */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void findsTheSyncThatIsLeftOut(int leftOut) {
    assertThatThrownBy(() -> create(60, leftOut, new HashSet<>()))
        .isInstanceOf(AssertionError.class);
  }

  /** Returns how many states could be loaded. */
  private static int create(int count, int leftOut, Set<ByteBuffer> states) throws IOException {
    Random random = new Random(TestScale.seed());
    int loaded = 0;
    for (int i = 0; i < count; i++) {
      Creation creation = Creation.random(random);
      RecordedStore store = new RecordedStore(creation.before, leftOut);
      MetadataCreator.write(store, creation.parameters);
      for (int cut = 0; cut <= store.stepCount(); cut++) {
        for (int state = 0; state < STATES_OF_EACH_CUT; state++) {
          Optional<byte[]> left = store.crashed(cut, random);
          states.add(ByteBuffer.wrap(left.orElse(new byte[0])));
          loaded += creation.check(store, cut, left) ? 1 : 0;
        }
      }
    }
    return loaded;
  }

  /** What is to be created, and over what. */
  private static final class Creation {
    final MetadataParameters parameters;
    final Optional<byte[]> before;

    private Creation(MetadataParameters parameters, Optional<byte[]> before) {
      this.parameters = parameters;
      this.before = before;
    }

    static Creation random(Random random) throws IOException {
      MetadataParameters parameters = parameters(random);
      return new Creation(parameters, before(parameters, random));
    }

    private static MetadataParameters parameters(Random random) {
      int shift = 6 + random.nextInt(3);
      long diskSectors = 1L + random.nextInt(5_000_000);
      int every = 1 + random.nextInt(5);
      IntPredicate hasSource = stripe -> stripe % every == 0;
      MetadataFormat format = random.nextBoolean() ? MetadataFormat.V1_0 : MetadataFormat.V2_0;
      return new MetadataParameters(format, shift, diskSectors, hasSource);
    }

    /** Nothing, something, or metadata: of this disk, in the other format, of a longer disk. */
    private static Optional<byte[]> before(MetadataParameters wanted, Random random)
        throws IOException {
      MetadataFormat format = wanted.format();
      MetadataFormat other =
          format == MetadataFormat.V1_0 ? MetadataFormat.V2_0 : MetadataFormat.V1_0;
      byte[] content = new byte[random.nextInt(20_000)];
      return switch (random.nextInt(6)) {
        case 0 -> Optional.empty();
        case 1 -> Optional.of(content);
        case 2 -> {
          random.nextBytes(content);
          yield Optional.of(content);
        }
        case 3 -> Optional.of(metadata(format, wanted.shift(), wanted.diskSectors()));
        case 4 -> Optional.of(metadata(other, wanted.shift(), wanted.diskSectors()));
        default -> Optional.of(metadata(format, wanted.shift(), 2 * wanted.diskSectors()));
      };
    }

    private static byte[] metadata(MetadataFormat format, int shift, long diskSectors)
        throws IOException {
      RecordedStore store = new RecordedStore(Optional.empty(), RecordedStore.NONE);
      MetadataCreator.write(
          store, new MetadataParameters(format, shift, diskSectors, stripe -> stripe % 7 != 0));
      return store.content();
    }

    /** Whether the state loads; fails if it should not, or should, or not as that. */
    boolean check(RecordedStore store, int cut, Optional<byte[]> left) throws IOException {
      String state = "the state after %d of %d steps".formatted(cut, store.stepCount());
      boolean loaded = left.isPresent() && loads(store, cut, left.get(), state);
      if (cut == store.stepCount()) {
        assertThat(loaded).as("%s loads", state).isTrue();
      }
      return loaded;
    }

    private boolean loads(RecordedStore store, int cut, byte[] left, String state)
        throws IOException {
      try (MetadataFile file = load(left)) {
        if (store.lastWriteHasBegun(cut)) {
          checkCreated(file, state);
        } else {
          assertThat(before.orElseThrow()).as(state).isEqualTo(left);
        }
        return true;
      } catch (MetadataException e) {
        return false;
      }
    }

    private MetadataFile load(byte[] content) throws IOException {
      MetadataStore state = new RecordedStore(Optional.of(content), RecordedStore.NONE);
      return MetadataFile.load(state, parameters.diskSectors());
    }

    private void checkCreated(MetadataFile file, String state) {
      assertThat(file.format()).as(state).isEqualTo(parameters.format());
      assertThat(file.stripeSectorCountShift()).as(state).isEqualTo(parameters.shift());
      for (int stripe = 0; stripe < file.stripeCount(); stripe++) {
        int wanted = parameters.hasSource().test(stripe) ? StripeFlags.HAS_SOURCE : 0;
        if (file.flags().get(stripe) != wanted) {
          throw new AssertionError(state + ": stripe " + stripe + " has other flags");
        }
      }
    }
  }
}
