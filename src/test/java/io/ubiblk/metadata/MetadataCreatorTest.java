// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import static io.ubiblk.metadata.MetadataFiles.DISK_SECTORS;
import static io.ubiblk.metadata.MetadataFiles.SHIFT;
import static io.ubiblk.metadata.MetadataFiles.created;
import static io.ubiblk.metadata.MetadataFiles.load;
import static io.ubiblk.metadata.MetadataFiles.vector;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.config.XtsEngine;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeSectorFile;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class MetadataCreatorTest {
  private static final MetadataParameters FRESH =
      new MetadataParameters(MetadataFormat.V1_0, SHIFT, DISK_SECTORS, stripe -> stripe < 2);

  @TempDir private Path directory;
  private Path path;
  private NativeLog log;

  @BeforeEach
  void openLog() throws IOException {
    NativeLibrary.load();
    log = NativeLog.open();
    path = directory.resolve("metadata");
  }

  @AfterEach
  void closeLog() throws IOException {
    log.close();
  }

  /** The keys of the vectors, or others. */
  private NativeXts xts(int offset) throws IOException {
    byte[] data = new byte[XtsKeys.KEY_BYTES];
    byte[] tweak = new byte[XtsKeys.KEY_BYTES];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) (i + offset);
      tweak[i] = (byte) (0x80 + i);
    }
    return NativeXts.create(
        XtsKeys.take(Secret.take(data), Secret.take(tweak)), XtsEngine.AUTO, log);
  }

  private void createFile(boolean force, Optional<NativeXts> xts) throws IOException {
    MetadataCreator.create(path.toString(), FRESH, 0, force, xts, log);
  }

  @Test
  void files_are_those_that_others_made() throws IOException {
    byte[] garbage = new byte[8192];
    Arrays.fill(garbage, (byte) 0xa5);
    assertThat(created(garbage, MetadataFormat.V1_0, SHIFT, DISK_SECTORS, 2))
        .isEqualTo(vector("metadata/fresh_8k.bin"));
    assertThat(created(garbage, MetadataFormat.V2_0, SHIFT, DISK_SECTORS, 2))
        .isEqualTo(vector("head/metadata_v2_fresh.bin"));
    assertThat(created(new byte[2048], MetadataFormat.V1_0, SHIFT, 1024 << SHIFT, 600))
        .isEqualTo(vector("metadata/two_header_sectors_600_of_1024.bin"));
    assertThat(created(new byte[0], MetadataFormat.V2_0, SHIFT, 1024 << SHIFT, 600))
        .isEqualTo(vector("head/metadata_v2_600_of_1024.bin"));
  }

  @Test
  void the_enciphered_file_is_the_one_that_others_made_and_loads() throws IOException {
    Files.write(path, new byte[8192]);
    try (NativeXts xts = xts(0)) {
      createFile(false, Optional.of(xts));
      assertThat(Files.readAllBytes(path))
          .isEqualTo(vector("metadata/fresh_8k_encrypted_K1K2.bin"));
      Optional<NativeXts> keys = Optional.of(xts);
      try (MetadataFile file =
          MetadataFile.openReadOnly(path.toString(), DISK_SECTORS, keys, log)) {
        assertThat(file.flags().get(1)).isEqualTo((byte) 4);
      }
    }
    try (NativeXts other = xts(1)) {
      Optional<NativeXts> keys = Optional.of(other);
      assertThatThrownBy(() -> MetadataFile.openReadOnly(path.toString(), DISK_SECTORS, keys, log))
          .isInstanceOf(MetadataException.class)
          .hasMessageContaining("enciphered with other keys");
    }
  }

  @Test
  void a_missing_file_is_made_as_long_as_needed_and_for_its_owner() throws IOException {
    createFile(false, Optional.empty());
    assertThat(Files.readAllBytes(path))
        .isEqualTo(Arrays.copyOf(vector("metadata/fresh_8k.bin"), 1024));
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path)))
        .isEqualTo("rw-------");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 511, 512, 1023})
  void a_file_that_is_too_short_grows(int length) throws IOException {
    Files.write(path, new byte[length]);
    createFile(false, Optional.empty());
    assertThat(Files.size(path)).isEqualTo(1024);
  }

  @Test
  void a_length_that_is_no_sectors_is_rounded_up() throws IOException {
    assertThat(created(new byte[1500], MetadataFormat.V1_0, SHIFT, DISK_SECTORS, 2))
        .isEqualTo(Arrays.copyOf(vector("metadata/fresh_8k.bin"), 1536));
  }

  @Test
  void a_file_in_use_is_refused_and_left_alone() throws IOException {
    createFile(false, Optional.empty());
    try (MetadataFile file =
        MetadataFile.openForUpdate(path.toString(), DISK_SECTORS, Optional.empty(), log)) {
      assertThat(file.stripeCount()).isEqualTo(4);
      assertThatThrownBy(() -> createFile(true, Optional.empty()))
          .hasMessageStartingWith(path + " is locked by this process, ");
    }
    assertThat(load(Files.readAllBytes(path), DISK_SECTORS)).containsExactly(4, 4, 0, 0);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "metadata/after_fetch_stripe0.bin",
        "metadata/bad_version_0_0.bin",
        "head/metadata_v2_fresh.bin",
      })
  void metadata_is_only_replaced_by_force(String name) throws IOException {
    Files.write(path, vector(name));
    assertThatThrownBy(() -> createFile(false, Optional.empty()))
        .isInstanceOf(MetadataException.class)
        .hasMessageContaining(path + ": holds metadata already (version ")
        .hasMessageContaining("--force");
    assertThat(Files.readAllBytes(path)).isEqualTo(vector(name));
    createFile(true, Optional.empty());
    assertThat(Files.readAllBytes(path)).isEqualTo(vector("metadata/fresh_8k.bin"));
  }

  @Test
  void enciphered_metadata_is_only_replaced_by_force() throws IOException {
    byte[] theirs = vector("metadata/fresh_8k_encrypted_K1K2.bin");
    Files.write(path, theirs);
    try (NativeXts xts = xts(0)) {
      assertThatThrownBy(() -> createFile(false, Optional.of(xts)))
          .hasMessageContaining("holds metadata already (version 1.0)");
      createFile(true, Optional.of(xts));
      assertThat(Files.readAllBytes(path)).isEqualTo(theirs);
    }
  }

  @Test
  void metadata_in_clear_is_not_replaced_by_an_enciphered_one() throws IOException {
    byte[] theirs = vector("metadata/after_fetch_stripe0.bin");
    Files.write(path, theirs);
    try (NativeXts xts = xts(0)) {
      assertThatThrownBy(() -> createFile(false, Optional.of(xts)))
          .hasMessageContaining("holds metadata already (version 1.0)");
    }
    assertThat(Files.readAllBytes(path)).isEqualTo(theirs);
  }

  @Test
  void metadata_under_other_keys_is_only_replaced_by_force() throws IOException {
    byte[] theirs = vector("metadata/fresh_8k_encrypted_K1K2.bin");
    Files.write(path, theirs);
    assertSomethingIsKept(theirs, Optional.empty());
    try (NativeXts other = xts(1)) {
      assertSomethingIsKept(theirs, Optional.of(other));
      createFile(true, Optional.of(other));
      assertThatThrownBy(() -> createFile(false, Optional.of(other)))
          .hasMessageContaining("holds metadata already (version 1.0)");
    }
  }

  @Test
  void what_is_no_metadata_is_only_replaced_by_force() throws IOException {
    for (byte[] theirs : new byte[][] {vector("metadata/bad_magic.bin"), {0, 0, 1}}) {
      Files.write(path, theirs);
      assertSomethingIsKept(theirs, Optional.empty());
      try (NativeXts xts = xts(0)) {
        assertSomethingIsKept(theirs, Optional.of(xts));
      }
    }
    Files.write(path, vector("metadata/bad_magic.bin"));
    createFile(true, Optional.empty());
    assertThat(Files.readAllBytes(path)).isEqualTo(vector("metadata/fresh_8k.bin"));
  }

  private void assertSomethingIsKept(byte[] theirs, Optional<NativeXts> keys) throws IOException {
    assertThatThrownBy(() -> createFile(false, keys))
        .isInstanceOf(MetadataException.class)
        .hasMessageContaining(path + ": holds something already")
        .hasMessageContaining("enciphered with other keys")
        .hasMessageContaining("--force");
    assertThat(Files.readAllBytes(path)).isEqualTo(theirs);
  }

  @Test
  void what_a_creation_that_was_cut_short_left_is_replaced() throws IOException {
    byte[] left = new byte[8192];
    Arrays.fill(left, 512, left.length, (byte) 0xa5);
    Files.write(path, left);
    createFile(false, Optional.empty());
    assertThat(Files.readAllBytes(path)).isEqualTo(vector("metadata/fresh_8k.bin"));
    try (NativeXts xts = xts(0)) {
      ByteBuffer empty = ByteBuffer.allocateDirect(512);
      var mode = NativeSectorFile.Mode.UPDATE;
      try (var file = NativeSectorFile.open(path.toString(), mode, 0, Optional.of(xts), log)) {
        file.write(0, empty);
      }
      createFile(false, Optional.of(xts));
      assertThat(Files.readAllBytes(path))
          .isEqualTo(vector("metadata/fresh_8k_encrypted_K1K2.bin"));
    }
  }

  @Test
  void too_many_stripes_are_refused_before_a_file_is_made() {
    var endless = new MetadataParameters(MetadataFormat.V2_0, 6, 1L << 37, stripe -> false);
    assertThatThrownBy(
            () -> MetadataCreator.create(path.toString(), endless, 0, false, Optional.empty(), log))
        .hasMessage(
            "a disk of 137438953472 sectors has 2147483648 stripes of 2^6 sectors, at most"
                + " 16777216: use longer stripes");
    assertThat(path).doesNotExist();
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, 5, 17})
  void stripes_of_other_sizes_are_not_made(int shift) {
    assertThatThrownBy(() -> new MetadataParameters(MetadataFormat.V2_0, shift, 1, stripe -> false))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void a_disk_has_sectors() {
    assertThatThrownBy(() -> new MetadataParameters(MetadataFormat.V2_0, 6, 0, stripe -> false))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void every_step_is_durable_before_the_next() throws IOException {
    var store = new MemoryStore(new byte[150 * 512]);
    MetadataCreator.write(store, FRESH);
    assertThat(store.steps)
        .containsExactly(
            "write 0+1",
            "sync",
            "write 1+128",
            "write 129+21",
            "sync",
            "write 0+1",
            "sync",
            "sync directory");
  }

  /**
   * What was there is metadata of another kind, complete or not there at all. Whatever a cut leaves
   * is refused, or is the new metadata complete.
   */
  @ParameterizedTest
  @EnumSource
  void a_cut_leaves_nothing_that_loads_half_made(MetadataFormat format) throws IOException {
    long diskSectors = 1300L << SHIFT;
    var parameters = new MetadataParameters(format, SHIFT, diskSectors, stripe -> stripe % 3 == 0);
    byte[] wanted = new byte[1300];
    for (int i = 0; i < wanted.length; i += 3) {
      wanted[i] = StripeFlags.HAS_SOURCE;
    }
    Random random = new Random(1);
    int refused = 0;
    int complete = 0;
    for (byte[] before : filesBefore(diskSectors)) {
      for (int stepCount = 0; stepCount <= 7; stepCount++) {
        var store = new MemoryStore(before).crashingAfter(stepCount);
        boolean done = runs(store, parameters);
        for (int i = 0; i < 50; i++) {
          byte[] left = store.afterCrash(random);
          if (Arrays.equals(left, before)) {
            continue; // nothing has happened yet
          }
          if (loads(left, diskSectors)) {
            complete++;
            assertThat(load(left, diskSectors)).isEqualTo(wanted);
            assertThat(stepCount).isGreaterThanOrEqualTo(5); // the header was written
          } else {
            refused++;
            assertThat(done).isFalse();
          }
        }
      }
    }
    assertThat(refused).isGreaterThan(200);
    assertThat(complete).isGreaterThan(200);
  }

  private static byte[][] filesBefore(long diskSectors) throws IOException {
    return new byte[][] {
      new byte[0],
      created(new byte[0], MetadataFormat.V1_0, SHIFT, diskSectors, 700),
      created(new byte[0], MetadataFormat.V2_0, SHIFT, diskSectors, 1300),
      created(new byte[8192], MetadataFormat.V1_0, SHIFT, diskSectors, 1),
    };
  }

  private static boolean runs(MemoryStore store, MetadataParameters parameters) throws IOException {
    try {
      MetadataCreator.write(store, parameters);
      return true;
    } catch (MemoryStore.Crash e) {
      return false;
    }
  }

  private static boolean loads(byte[] content, long diskSectors) throws IOException {
    try {
      load(content, diskSectors);
      return true;
    } catch (MetadataException e) {
      return false;
    }
  }
}
