// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.metadata.MetadataCreator;
import io.ubiblk.metadata.MetadataFile;
import io.ubiblk.metadata.MetadataFormat;
import io.ubiblk.metadata.MetadataParameters;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** With real files. */
class DiskReencryptionTest {
  private static final int STRIPE_SECTORS = 64;
  private static final int SECTORS = 40 * STRIPE_SECTORS;

  /** The configurations' keys are not looked at: they were handed over. */
  private static final String KEYS =
      "encryption_key: [AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,"
          + " gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=]";

  @TempDir private Path directory;
  private TestKeys keys;
  private Path disk;
  private Path metadata;
  private byte[] plain;

  @BeforeEach
  void makeDisk() throws IOException {
    keys = new TestKeys();
    disk = directory.resolve("disk.raw");
    metadata = directory.resolve("disk.meta");
    plain = new byte[SECTORS * SectorStore.SECTOR_BYTES];
    new Random(1).nextBytes(plain);
    Files.write(disk, TestKeys.encipher(keys.old, plain));
  }

  @AfterEach
  void closeKeys() throws IOException {
    keys.close();
  }

  private DeviceConfig config(Path path, Optional<Path> metadataPath) {
    try {
      String text =
          "path: %s\n%s\n%s\n"
              .formatted(path, metadataPath.map(file -> "metadata_path: " + file).orElse(""), KEYS);
      return ConfigLoader.load(
          Files.writeString(directory.resolve("vm.yaml"), text), null, warning -> {});
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  private DeviceConfig plainDisk() {
    return config(disk, Optional.empty());
  }

  private DeviceConfig withMetadata() {
    return config(disk, Optional.of(metadata));
  }

  private static DiskReencryption.Options options(boolean assume, boolean skipHoles) {
    return new DiskReencryption.Options(Optional.empty(), assume, skipHoles, 2, "xts --resume");
  }

  private static DiskReencryption.Options journalAt(Path journal) {
    return new DiskReencryption.Options(Optional.of(journal), true, false, 2, "xts --resume");
  }

  private void run(
      DeviceConfig from,
      NativeXts oldKeys,
      DeviceConfig to,
      NativeXts newKeys,
      DiskReencryption.Options options)
      throws IOException {
    DiskReencryption.run(from, oldKeys, to, newKeys, options, keys.log(), Progress.NONE);
  }

  private void makeMetadata() throws IOException {
    MetadataCreator.create(
        metadata.toString(),
        new MetadataParameters(MetadataFormat.V2_0, 6, SECTORS, stripe -> stripe < 20),
        0,
        false,
        Optional.of(keys.old),
        keys.log());
  }

  private byte[] sectors(byte[] bytes, int from, int to) {
    return Arrays.copyOfRange(
        bytes, from * SectorStore.SECTOR_BYTES, to * SectorStore.SECTOR_BYTES);
  }

  private List<String> files() throws IOException {
    try (var list = Files.list(directory)) {
      return list.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void in_place_a_disk_without_metadata_has_the_new_keys_and_a_marker() throws IOException {
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false));
    assertThat(TestKeys.decipher(keys.fresh, Files.readAllBytes(disk))).isEqualTo(plain);
    assertThat(files()).containsExactly("disk.raw", "disk.raw.ubiblk-keys", "vm.yaml");
    KeyGuard.check(disk.toString(), Optional.of(keys.fresh));
    assertThatThrownBy(() -> KeyGuard.check(disk.toString(), Optional.of(keys.old)))
        .hasMessageContaining(disk + " was re-encrypted, and these are not its keys");
    assertThatThrownBy(() -> KeyGuard.check(disk.toString(), Optional.empty()))
        .hasMessageContaining("no keys are not its keys");
    // What it was is not written over by accident.
    assertThatThrownBy(() -> KeyGuard.refuseMarked(disk.toString()))
        .hasMessageContaining("is a disk whose keys were changed");
  }

  @Test
  void the_same_work_once_more_does_nothing_and_back_again_works() throws IOException {
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false));
    byte[] once = Files.readAllBytes(disk);
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false));
    assertThat(Files.readAllBytes(disk)).isEqualTo(once);
    // The marker proves the keys from here on.
    assertThatThrownBy(
            () -> run(plainDisk(), keys.other, plainDisk(), keys.old, options(true, false)))
        .hasMessageContaining("has other keys than those to decrypt with");
    run(plainDisk(), keys.fresh, plainDisk(), keys.old, options(false, false));
    assertThat(TestKeys.decipher(keys.old, Files.readAllBytes(disk))).isEqualTo(plain);
  }

  @Test
  void in_place_metadata_proves_the_keys_and_changes_with_the_disk() throws IOException {
    makeMetadata();
    byte[] before = Files.readAllBytes(disk);
    assertThatThrownBy(
            () ->
                run(withMetadata(), keys.other, withMetadata(), keys.fresh, options(false, false)))
        .hasMessageContaining("enciphered with other keys");
    assertThat(Files.readAllBytes(disk)).isEqualTo(before);
    assertThat(files()).containsExactly("disk.meta", "disk.raw", "vm.yaml");
    run(withMetadata(), keys.old, withMetadata(), keys.fresh, options(false, false));
    try (MetadataFile loaded =
        MetadataFile.openReadOnly(
            metadata.toString(), SECTORS, Optional.of(keys.fresh), keys.log())) {
      assertThat(loaded.stripeCount()).isEqualTo(40);
    }
    byte[] after = Files.readAllBytes(disk);
    int boundary = 20 * STRIPE_SECTORS;
    // Stripes that are still to be fetched stay as they are.
    assertThat(sectors(after, 0, boundary)).isEqualTo(sectors(before, 0, boundary));
    assertThat(sectors(TestKeys.decipher(keys.fresh, after), boundary, SECTORS))
        .isEqualTo(sectors(plain, boundary, SECTORS));
  }

  @Test
  void holes_stay_where_no_write_is_known_or_where_that_is_wanted() throws Exception {
    makeMetadata();
    makeHoleyDisk();
    long allocated = allocatedBytes(disk);
    run(withMetadata(), keys.old, withMetadata(), keys.fresh, options(false, false));
    // The marker's copy may take a block.
    assertThat(allocatedBytes(disk)).isBetween(allocated, allocated + 8192);
    Files.delete(metadata);
    forgetMarker();
    run(plainDisk(), keys.fresh, plainDisk(), keys.old, options(true, true));
    // The marker's copy may take a block.
    assertThat(allocatedBytes(disk)).isBetween(allocated, allocated + 8192);
    forgetMarker();
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false));
    assertThat(allocatedBytes(disk)).isGreaterThan(allocated + (1 << 20));
  }

  private void forgetMarker() throws IOException {
    Files.delete(Path.of(disk + MarkerFile.SUFFIX));
    Files.delete(disk); // with the copy of its marker
    makeHoleyDisk();
  }

  /** All of it a hole but one stripe. */
  private void makeHoleyDisk() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
      file.setLength(0);
      file.setLength((long) SECTORS * SectorStore.SECTOR_BYTES);
      file.seek(30L * STRIPE_SECTORS * SectorStore.SECTOR_BYTES);
      file.write(new byte[STRIPE_SECTORS * SectorStore.SECTOR_BYTES]);
      file.getFD().sync();
    }
  }

  private static long allocatedBytes(Path file) throws Exception {
    Process stat = new ProcessBuilder("stat", "-c", "%b", file.toString()).start();
    String blocks =
        new String(stat.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip();
    return Long.parseLong(blocks) * 512;
  }

  @Test
  void a_copy_leaves_the_old_disk_as_it_is() throws IOException {
    makeMetadata();
    byte[] before = Files.readAllBytes(disk);
    Path copy = directory.resolve("copy.raw");
    Path copiedMetadata = directory.resolve("copy.meta");
    DeviceConfig to = config(copy, Optional.of(copiedMetadata));
    run(withMetadata(), keys.old, to, keys.fresh, options(false, false));
    assertThat(Files.readAllBytes(disk)).isEqualTo(before);
    int boundary = 20 * STRIPE_SECTORS;
    byte[] copied = Files.readAllBytes(copy);
    assertThat(sectors(copied, 0, boundary)).containsOnly(0);
    assertThat(sectors(TestKeys.decipher(keys.fresh, copied), boundary, SECTORS))
        .isEqualTo(sectors(plain, boundary, SECTORS));
    assertThat(TestKeys.decipher(keys.fresh, Files.readAllBytes(copiedMetadata)))
        .isEqualTo(TestKeys.decipher(keys.old, Files.readAllBytes(metadata)));
    assertThat(files())
        .containsExactly("copy.meta", "copy.raw", "disk.meta", "disk.raw", "vm.yaml");
    assertThatThrownBy(() -> run(withMetadata(), keys.old, to, keys.fresh, options(false, false)))
        .hasMessageContaining("is there already");
  }

  @Test
  void a_copy_that_fails_leaves_neither_a_disk_nor_metadata() throws IOException {
    makeMetadata();
    Path copy = directory.resolve("copy.raw");
    Path copiedMetadata = directory.resolve("copy.meta");
    Path nowhere = directory.resolve("no/file");
    List<DeviceConfig> failing =
        List.of(config(copy, Optional.of(nowhere)), config(nowhere, Optional.of(copiedMetadata)));
    for (DeviceConfig to : failing) {
      assertThatThrownBy(() -> run(withMetadata(), keys.old, to, keys.fresh, options(false, false)))
          .isInstanceOf(IOException.class)
          .hasMessageContaining(nowhere.toString());
      assertThat(files()).containsExactly("disk.meta", "disk.raw", "vm.yaml");
    }
  }

  @Test
  void what_cannot_be_right_is_refused_and_nothing_changed() throws IOException {
    byte[] before = Files.readAllBytes(disk);
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(false, false)))
        .hasMessageContaining("--assume-old-key");
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.old, options(true, false)))
        .hasMessageContaining("the same keys");
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, withMetadata(), keys.fresh, options(true, false)))
        .hasMessageContaining(
            "only one of the two configurations of " + disk + " has a metadata_path");
    makeMetadata();
    DeviceConfig elsewhere = config(disk, Optional.of(directory.resolve("other.meta")));
    assertThatThrownBy(
            () -> run(withMetadata(), keys.old, elsewhere, keys.fresh, options(true, false)))
        .hasMessageContaining("must both be the same");
    try (NativeDiskFile held = NativeDiskFile.open(disk.toString(), 512, 0, keys.log())) {
      assertThat(held.path()).isEqualTo(disk.toString());
      assertThatThrownBy(
              () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false)))
          .hasMessageContaining("is locked by this process");
    }
    assertThat(Files.readAllBytes(disk)).isEqualTo(before);
  }

  @Test
  void a_journal_does_not_replace_what_is_something_else() throws IOException {
    Path journal = directory.resolve("journal");
    byte[] zeros = new byte[8192];
    Files.write(journal, zeros);
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, journalAt(journal)))
        .hasMessageContaining(journal + " is there, and is no journal");
    Files.write(journal, new byte[] {1});
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, journalAt(journal)))
        .isInstanceOfAny(IOException.class, IllegalArgumentException.class);
    Files.delete(journal);
    Files.createDirectory(journal);
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, journalAt(journal)))
        .hasMessageContaining("is not a regular file");
    Path nowhere = directory.resolve("no/journal");
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, journalAt(nowhere)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("cannot make the journal " + nowhere)
        .hasMessageContaining("its directory does not exist");
    assertThat(TestKeys.decipher(keys.old, Files.readAllBytes(disk))).isEqualTo(plain);
    assertThat(files()).containsExactly("disk.raw", "journal", "vm.yaml");
  }

  @Test
  void another_disks_journal_is_neither_replaced_nor_removed() throws IOException {
    leaveHalfDone();
    Path journal = Path.of(disk + ".ubiblk-journal");
    byte[] needed = Files.readAllBytes(journal);
    Path other = Files.write(directory.resolve("other.raw"), TestKeys.encipher(keys.old, plain));
    DeviceConfig config = config(other, Optional.empty());
    // A slot of it is complete, as the work was ended while that was applied.
    assertThatThrownBy(() -> run(config, keys.old, config, keys.fresh, journalAt(journal)))
        .hasMessageContaining("may be half re-encrypted (its marker is " + disk + ".ubiblk-keys)");
    run(config, keys.old, config, keys.fresh, options(true, false));
    run(config, keys.old, config, keys.fresh, journalAt(journal)); // done already
    assertThat(Files.readAllBytes(journal)).isEqualTo(needed);
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false));
    assertThat(TestKeys.decipher(keys.fresh, Files.readAllBytes(disk))).isEqualTo(plain);
  }

  @Test
  void another_disks_journal_is_needed_before_its_first_slot() throws IOException {
    leaveBegun(true);
    Path journal = Path.of(disk + ".ubiblk-journal");
    Path other = Files.write(directory.resolve("other.raw"), TestKeys.encipher(keys.old, plain));
    DeviceConfig config = config(other, Optional.empty());
    assertThatThrownBy(() -> run(config, keys.old, config, keys.fresh, journalAt(journal)))
        .hasMessageContaining("may be half re-encrypted (its marker is " + disk + ".ubiblk-keys)");
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false));
    assertThat(TestKeys.decipher(keys.fresh, Files.readAllBytes(disk))).isEqualTo(plain);
  }

  /** As after a boot, when devices have changed their names. */
  @Test
  void a_journal_is_needed_although_its_disk_s_name_is_another_one_s_now() throws IOException {
    leaveBegun(true);
    Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
    Path moved = Files.move(disk, elsewhere.resolve("disk.raw"));
    Path marker = Path.of(disk + ".ubiblk-keys");
    Files.move(marker, Path.of(moved + ".ubiblk-keys"));
    byte[] others = plain.clone();
    others[0] ^= 1;
    Files.write(disk, TestKeys.encipher(keys.old, others));
    Path journal = Path.of(disk + ".ubiblk-journal");
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false)))
        .hasMessageContaining("may be half re-encrypted (its marker is " + marker + ")");
    DeviceConfig config = config(moved, Optional.empty());
    run(config, keys.old, config, keys.fresh, journalAt(journal));
    assertThat(TestKeys.decipher(keys.fresh, Files.readAllBytes(moved))).isEqualTo(plain);
    assertThat(journal).doesNotExist();
  }

  @Test
  void a_journal_that_nothing_came_of_is_replaced() throws IOException {
    leaveBegun(false);
    Path journal = Path.of(disk + ".ubiblk-journal");
    byte[] bytes = Files.readAllBytes(journal);
    Files.write(Path.of(journal + ".new"), Arrays.copyOf(Arrays.copyOf(bytes, 512), 8192));
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false));
    assertThat(TestKeys.decipher(keys.fresh, Files.readAllBytes(disk))).isEqualTo(plain);
    assertThat(files()).containsExactly("disk.raw", "disk.raw.ubiblk-keys", "vm.yaml");
  }

  @Test
  void a_journal_that_finished_work_left_is_removed() throws IOException {
    leaveHalfDone();
    Path journal = Path.of(disk + ".ubiblk-journal");
    byte[] finished = Files.readAllBytes(journal);
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false));
    // As if that had been killed between its last two steps.
    Files.write(journal, finished);
    run(plainDisk(), keys.fresh, plainDisk(), keys.other, options(false, false));
    assertThat(TestKeys.decipher(keys.other, Files.readAllBytes(disk))).isEqualTo(plain);
    assertThat(journal).doesNotExist();
    // What another work left may be needed.
    Files.write(journal, finished);
    assertThatThrownBy(
            () -> run(plainDisk(), keys.other, plainDisk(), keys.old, options(false, false)))
        .hasMessageContaining("may be half re-encrypted (its marker is " + disk + ".ubiblk-keys)");
    assertThat(Files.readAllBytes(journal)).isEqualTo(finished);
  }

  @Test
  void a_disk_that_was_restored_meanwhile_is_not_gone_on_with() throws IOException {
    leaveHalfDone();
    byte[] other = new byte[plain.length];
    new Random(2).nextBytes(other);
    Files.write(disk, TestKeys.encipher(keys.old, other));
    // All of it is in the one slot that is applied again, so this is the same as if it had been
    // there; a longer or shorter one is not.
    Files.write(disk, Arrays.copyOf(other, other.length - 512));
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false)))
        .hasMessageContaining("was 2560 sectors long (disk, metadata), not 2559");
  }

  @Test
  void a_disk_with_two_names_is_refused() throws IOException {
    Files.createLink(directory.resolve("link.raw"), disk);
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false)))
        .hasMessage(
            disk
                + " has 2 names (hard links), must have 1: under the others its marker is not found");
  }

  @Test
  void a_half_done_disk_is_refused_and_finished_with_the_same_keys_only() throws IOException {
    leaveHalfDone();
    assertThatThrownBy(() -> KeyGuard.check(disk.toString(), Optional.of(keys.fresh)))
        .hasMessage(disk + " is half re-encrypted; this finishes it: xts --resume");
    assertThatThrownBy(
            () -> run(plainDisk(), keys.other, plainDisk(), keys.fresh, options(true, false)))
        .hasMessageContaining("the keys to decrypt with are not those that it was begun with");
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.other, options(true, false)))
        .hasMessageContaining("the keys to encrypt with are not those that it was begun with");
    Path journal = Path.of(disk + ".ubiblk-journal");
    Path moved = directory.resolve("moved");
    Files.move(journal, moved);
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false)))
        .hasMessageContaining("its journal cannot be opened");
    Files.write(journal, new byte[1 << 17]);
    assertThatThrownBy(
            () -> run(plainDisk(), keys.old, plainDisk(), keys.fresh, options(true, false)))
        .hasMessageContaining("is no journal, or damaged");
    run(plainDisk(), keys.old, plainDisk(), keys.fresh, journalAt(moved));
    assertThat(TestKeys.decipher(keys.fresh, Files.readAllBytes(disk))).isEqualTo(plain);
    assertThat(moved).doesNotExist();
  }

  /** As if the process had been killed before the first slot, with the marker saved or not. */
  private void leaveBegun(boolean marked) throws IOException {
    MarkerFile markers = MarkerFile.of(disk.toString()).orElseThrow();
    MarkerStore killed =
        new MarkerStore() {
          @Override
          public String path() {
            return markers.path();
          }

          @Override
          public Optional<KeyMarker> load() throws IOException {
            return markers.load();
          }

          @Override
          public void save(KeyMarker marker) throws IOException {
            if (marked) {
              markers.save(marker);
            }
            throw new IllegalStateException("killed");
          }
        };
    reencryptUntilKilled(killed, Progress.NONE);
  }

  /** As if the process had been killed while the first slot was applied. */
  private void leaveHalfDone() throws IOException {
    reencryptUntilKilled(
        MarkerFile.of(disk.toString()).orElseThrow(),
        (done, total) -> {
          if (done > 0) {
            throw new IllegalStateException("killed");
          }
        });
  }

  private void reencryptUntilKilled(MarkerStore markers, Progress progress) throws IOException {
    InPlace.Settings settings =
        new InPlace.Settings(
            true, "xts --resume", 1, JournalLayout.SLOT_SECTORS_MAX, new SecureRandom());
    try (OpenDisk open = OpenDisk.open(plainDisk(), keys.old, keys.fresh, false, 0, keys.log());
        JournalFile journal = new JournalFile(open.file(), Optional.empty(), 0, keys.log())) {
      InPlace work = new InPlace(open, markers, journal, keys.old, keys.fresh, settings);
      assertThatThrownBy(() -> work.run(progress)).hasMessageContaining("killed");
    }
  }
}
