// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import static io.ubiblk.metadata.MetadataFiles.DISK_SECTORS;
import static io.ubiblk.metadata.MetadataFiles.SHIFT;
import static io.ubiblk.metadata.MetadataFiles.load;
import static io.ubiblk.metadata.MetadataFiles.vector;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.nativelib.NativeLibrary;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.zip.CRC32;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class MetadataFileTest {
  @BeforeEach
  void loadLibrary() throws IOException {
    NativeLibrary.load();
  }

  private static byte[] changed(byte[] content, Consumer<ByteBuffer> change) {
    byte[] copy = content.clone();
    change.accept(ByteBuffer.wrap(copy).order(ByteOrder.LITTLE_ENDIAN));
    return copy;
  }

  /** The checksum of a sector made right again. */
  private static void seal(ByteBuffer content, int sector) {
    CRC32 crc = new CRC32();
    crc.update(content.slice(sector * 512, 508));
    content.putInt(sector * 512 + 508, (int) crc.getValue());
  }

  private static void assertRefused(byte[] content, String sentence) {
    assertRefused(content, DISK_SECTORS, sentence);
  }

  private static void assertRefused(byte[] content, long diskSectors, String sentence) {
    var store = new MemoryStore(content);
    assertThatThrownBy(() -> MetadataFile.load(store, diskSectors))
        .isInstanceOf(MetadataException.class)
        .hasMessage("/m: " + sentence);
    assertThat(store.closes).isEqualTo(1);
  }

  @ParameterizedTest
  @CsvSource({
    "metadata/fresh_8k.bin, 4 4 0 0",
    "metadata/after_fetch_stripe0.bin, 5 4 0 0",
    "metadata/all_fetched_stripe1_written_stripe3_written.bin, 5 7 0 2",
    "head/metadata_v2_fresh.bin, 4 4 0 0",
  })
  void files_that_others_made_load_with_their_flags(String name, String flags) throws IOException {
    byte[] loaded = load(vector(name), DISK_SECTORS);
    assertThat(Arrays.toString(loaded).replaceAll("[^\\d ]", "")).isEqualTo(flags);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"metadata/two_header_sectors_600_of_1024.bin", "head/metadata_v2_600_of_1024.bin"})
  void flags_in_several_sectors_load(String name) throws IOException {
    byte[] loaded = load(vector(name), 1024 << SHIFT);
    byte[] expected = new byte[1024];
    Arrays.fill(expected, 0, 600, (byte) 4);
    assertThat(loaded).isEqualTo(expected);
  }

  @Test
  void what_the_header_says_is_told() throws IOException {
    try (MetadataFile file =
        MetadataFile.load(new MemoryStore(vector("head/metadata_v2_fresh.bin")), DISK_SECTORS)) {
      assertThat(file.format()).isEqualTo(MetadataFormat.V2_0);
      assertThat(file.stripeSectorCountShift()).isEqualTo(11);
      assertThat(file.stripeCount()).isEqualTo(4);
      assertThat(file.flags().isDirect()).isTrue();
    }
    try (MetadataFile file =
        MetadataFile.load(new MemoryStore(vector("metadata/fresh_8k.bin")), DISK_SECTORS)) {
      assertThat(file.format()).isEqualTo(MetadataFormat.V1_0);
    }
  }

  @Test
  void sectors_are_written_through_and_synced() throws IOException {
    var store = new MemoryStore(vector("metadata/fresh_8k.bin"));
    MetadataFile file = MetadataFile.load(store, DISK_SECTORS);
    file.releaseFlags();
    assertThatThrownBy(file::flags).isInstanceOf(IllegalStateException.class);
    ByteBuffer sector = ByteBuffer.allocateDirect(512);
    file.format().encodeFlags(1, 4, stripe -> stripe == 0 ? 5 : stripe == 1 ? 4 : 0, sector);
    file.write(1, sector.flip());
    file.sync();
    assertThat(store.steps).containsExactly("write 1+1", "sync");
    assertThat(store.content()).isEqualTo(vector("metadata/after_fetch_stripe0.bin"));
    file.close();
    assertThat(store.closes).isEqualTo(1);
  }

  @Test
  void other_versions_are_refused_by_name() {
    assertRefused(
        vector("metadata/bad_version_0_0.bin"), "has version 0.0; this program reads 1.0 and 2.0");
    byte[] fresh = vector("metadata/fresh_8k.bin");
    assertRefused(
        changed(fresh, bytes -> bytes.putShort(9, (short) 3)),
        "has version 3.0; this program reads 1.0 and 2.0");
    assertRefused(
        changed(fresh, bytes -> bytes.putShort(11, (short) 65535)),
        "has version 1.65535; this program reads 1.0 and 2.0");
    // A 2.0 in name only.
    assertRefused(
        vector("metadata/bad_version_2_0.bin"),
        "sector 0 is damaged: its checksum is 00000000, and that of its bytes is 7d028377");
  }

  @Test
  void what_begins_otherwise_is_refused() {
    String other =
        "does not begin as metadata does: it is some other file, or enciphered with other keys"
            + " than encryption_key has, or with none";
    assertRefused(vector("metadata/bad_magic.bin"), other);
    assertRefused(vector("metadata/fresh_8k_encrypted_K1K2.bin"), other);
    assertRefused(
        new byte[8192],
        "begins with an empty sector: init-metadata was not run on it, or was cut short");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 511, 513, 8191})
  void lengths_that_are_no_sectors_are_refused(int length) {
    assertRefused(
        Arrays.copyOf(vector("metadata/fresh_8k.bin"), length),
        "has " + length + " bytes; metadata has a multiple of 512");
  }

  @Test
  void a_file_too_short_for_the_disk_is_refused() throws IOException {
    assertRefused(
        Arrays.copyOf(vector("metadata/fresh_8k.bin"), 512),
        "has 512 bytes, too few for the 4 stripes of the disk, which take 1024");
    assertRefused(
        Arrays.copyOf(vector("head/metadata_v2_600_of_1024.bin"), 1536),
        1024 << SHIFT,
        "has 1536 bytes, too few for the 1024 stripes of the disk, which take 2048");
    assertThat(load(Arrays.copyOf(vector("metadata/fresh_8k.bin"), 1024), DISK_SECTORS)).hasSize(4);
  }

  @Test
  void a_count_that_does_not_match_the_disk_is_refused() throws IOException {
    byte[] fresh = vector("head/metadata_v2_fresh.bin");
    assertRefused(fresh, DISK_SECTORS + 1, "is for 4 stripes of 2^11 sectors, but the disk has 5");
    assertRefused(fresh, 3 << SHIFT, "is for 4 stripes of 2^11 sectors, but the disk has 3");
    assertThat(load(fresh, DISK_SECTORS - 1)).hasSize(4); // the last stripe is shorter
    assertRefused(
        changed(
            fresh,
            bytes -> {
              bytes.putInt(14, -1);
              seal(bytes, 0);
            }),
        "is for 4294967295 stripes of 2^11 sectors, but the disk has 4");
  }

  @Test
  void more_stripes_than_can_be_counted_are_refused() {
    byte[] small = changed(vector("metadata/fresh_8k.bin"), bytes -> bytes.put(13, (byte) 0));
    assertRefused(
        small,
        1L << 31,
        "has stripes of 2^0 sectors, of which the disk has 2147483648, at most 16777216");
  }

  @Test
  void stripes_of_a_size_that_nobody_makes_are_refused() throws IOException {
    byte[] fresh = vector("metadata/fresh_8k.bin");
    byte[] largest = changed(fresh, bytes -> bytes.put(13, (byte) 17));
    assertThat(load(largest, 2 << 17)).containsExactly(4, 4);
    assertRefused(
        changed(fresh, bytes -> bytes.put(13, (byte) 18)),
        "has stripes of 2^18 sectors, at most 2^17");
    assertRefused(
        changed(fresh, bytes -> bytes.put(13, (byte) 255)),
        "has stripes of 2^255 sectors, at most 2^17");
  }

  @Test
  void flags_that_are_not_known_are_refused() {
    assertRefused(
        changed(vector("metadata/fresh_8k.bin"), bytes -> bytes.put(512 + 2, (byte) 0x0c)),
        "stripe 2 has flags 0x0c, of which 0x07 are known");
    assertRefused(
        changed(
            vector("head/metadata_v2_600_of_1024.bin"),
            bytes -> {
              bytes.put(1024 + 1, (byte) 0x80);
              seal(bytes, 2);
            }),
        1024 << SHIFT,
        "stripe 509 has flags 0x80, of which 0x07 are known");
  }

  private static String notEmpty(int sector, int at) {
    return "is not empty behind the flags of the disk's 4 stripes (sector %d, byte %d): it is for a"
            .formatted(sector, at)
        + " longer disk, or damaged";
  }

  @ParameterizedTest
  @EnumSource
  void bytes_behind_the_last_stripe_are_refused(MetadataFormat format) throws IOException {
    byte[] fresh = MetadataFiles.created(new byte[80 * 1024], format, SHIFT, DISK_SECTORS, 2);
    assertRefused(
        changed(
            fresh,
            bytes -> {
              bytes.put(512 + 4, (byte) 1);
              if (format == MetadataFormat.V2_0) {
                seal(bytes, 1);
              }
            }),
        notEmpty(1, 4));
    assertRefused(changed(fresh, bytes -> bytes.put(1024, (byte) 4)), notEmpty(2, 0));
    // Further than is read at once.
    assertRefused(changed(fresh, bytes -> bytes.put(80 * 1024 - 1, (byte) 4)), notEmpty(159, 511));
  }

  @Test
  void damage_of_2_0_is_told_by_sector() {
    assertRefused(
        changed(vector("head/metadata_v2_fresh.bin"), bytes -> bytes.put(513, (byte) 5)),
        "sector 1 is damaged: its checksum is 13a920ff, and that of its bytes is 48453584");
  }

  @Property(tries = 100)
  void any_byte_of_2_0_that_changes_is_noticed(
      @ForAll @IntRange(max = 2047) int at, @ForAll @IntRange(min = 1, max = 255) int difference) {
    byte[] content = vector("head/metadata_v2_600_of_1024.bin");
    content[at] ^= (byte) difference;
    assertThatThrownBy(() -> load(content, 1024 << SHIFT)).isInstanceOf(MetadataException.class);
  }

  @Property(tries = 100)
  void what_is_created_and_updated_loads_again(
      @ForAll MetadataFormat format,
      @ForAll @IntRange(min = 6, max = 16) int shift,
      @ForAll @Size(min = 1, max = 2000) byte[] random,
      @ForAll @IntRange(max = 4096) int lengthBefore,
      @ForAll @IntRange(max = 63) int missingSectors)
      throws IOException {
    NativeLibrary.load();
    byte[] flags = random.clone();
    for (int i = 0; i < flags.length; i++) {
      flags[i] &= StripeFlags.DURABLE;
    }
    long diskSectors = ((long) flags.length << shift) - missingSectors;
    var store = new MemoryStore(random.length > lengthBefore ? random : new byte[lengthBefore]);
    MetadataCreator.write(
        store,
        new MetadataParameters(
            format, shift, diskSectors, stripe -> (flags[stripe] & StripeFlags.HAS_SOURCE) != 0));
    byte[] created = load(store.content(), diskSectors);
    for (int i = 0; i < flags.length; i++) {
      assertThat(created[i]).isEqualTo((byte) (flags[i] & StripeFlags.HAS_SOURCE));
    }
    ByteBuffer sector = ByteBuffer.allocateDirect(512);
    for (long at = 1; at < format.sectorCount(flags.length); at++) {
      format.encodeFlags(at, flags.length, stripe -> flags[stripe], sector.clear());
      store.write(at, sector.flip());
    }
    assertThat(load(store.content(), diskSectors)).isEqualTo(flags);
  }
}
