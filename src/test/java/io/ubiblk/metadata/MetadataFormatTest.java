// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MetadataFormatTest {
  private static byte[] vector(String name) throws IOException {
    return Files.readAllBytes(Path.of("src/test/resources/vectors", name));
  }

  private static byte[] sectorOf(byte[] file, int sector) {
    return Arrays.copyOfRange(file, sector * 512, (sector + 1) * 512);
  }

  private static byte[] encode(MetadataFormat format, long sector, int stripeCount, byte[] flags) {
    ByteBuffer into = ByteBuffer.allocate(1024).position(100);
    Arrays.fill(into.array(), (byte) 0xff);
    format.encodeFlags(sector, stripeCount, stripe -> flags[stripe], into);
    assertThat(into.position()).isEqualTo(100 + 512);
    assertThat(into.array()[99]).isEqualTo((byte) 0xff);
    assertThat(into.array()[100 + 512]).isEqualTo((byte) 0xff);
    return Arrays.copyOfRange(into.array(), 100, 100 + 512);
  }

  /** 600 of 1024 stripes have a source. */
  private static byte[] sixHundred() {
    byte[] flags = new byte[1024];
    Arrays.fill(flags, 0, 600, (byte) StripeFlags.HAS_SOURCE);
    return flags;
  }

  @Test
  void sectors_of_2_0_are_those_that_others_wrote() throws IOException {
    byte[] theirs = vector("head/metadata_v2_600_of_1024.bin");
    for (int sector = 1; sector < theirs.length / 512; sector++) {
      assertThat(encode(MetadataFormat.V2_0, sector, 1024, sixHundred()))
          .isEqualTo(sectorOf(theirs, sector));
    }
    assertThat(encode(MetadataFormat.V2_0, 1, 4, new byte[] {4, 4, 0, 0}))
        .isEqualTo(sectorOf(vector("head/metadata_v2_fresh.bin"), 1));
  }

  @Test
  void sectors_of_1_0_are_those_that_others_wrote() throws IOException {
    byte[] theirs = vector("metadata/two_header_sectors_600_of_1024.bin");
    assertThat(encode(MetadataFormat.V1_0, 1, 1024, sixHundred())).isEqualTo(sectorOf(theirs, 1));
    assertThat(encode(MetadataFormat.V1_0, 2, 1024, sixHundred())).isEqualTo(sectorOf(theirs, 2));
  }

  @ParameterizedTest
  @EnumSource
  void bits_that_live_in_memory_and_stripes_that_do_not_exist_are_left_out(MetadataFormat format) {
    byte[] sector =
        encode(format, 1, 3, new byte[] {(byte) 0xff, (byte) StripeFlags.READABLE, 2, 7});
    assertThat(Arrays.copyOf(sector, 4)).containsExactly(7, 0, 2, 0);
    assertThat(encode(format, 2, 3, new byte[0])).startsWith(new byte[8]);
  }

  @Property(tries = 200)
  void a_stripe_lies_in_its_sector(
      @ForAll MetadataFormat format, @ForAll @IntRange(min = 0) int stripe) {
    long sector = format.sectorOf(stripe);
    int first = format.firstStripeOf(sector);
    assertThat(stripe).isGreaterThanOrEqualTo(first);
    assertThat(stripe - first).isLessThan(format.stripesPerSector());
    assertThat(first % format.stripesPerSector()).isZero();
  }

  @Property(tries = 200)
  void a_2_0_sector_ends_with_the_checksum_of_the_rest(
      @ForAll @IntRange(max = 2000) int stripeCount, @ForAll @IntRange(min = 1, max = 4) int at) {
    byte[] flags = new byte[stripeCount];
    for (int i = 0; i < stripeCount; i++) {
      flags[i] = (byte) (i * 5 & StripeFlags.DURABLE);
    }
    byte[] sector = encode(MetadataFormat.V2_0, at, stripeCount, flags);
    CRC32 crc = new CRC32();
    crc.update(sector, 0, 508);
    assertThat(ByteBuffer.wrap(sector).order(ByteOrder.LITTLE_ENDIAN).getInt(508))
        .isEqualTo((int) crc.getValue());
  }

  @Test
  void sectors_are_counted_with_the_header() {
    assertThat(MetadataFormat.V1_0.sectorCount(512)).isEqualTo(2);
    assertThat(MetadataFormat.V1_0.sectorCount(513)).isEqualTo(3);
    assertThat(MetadataFormat.V2_0.sectorCount(508)).isEqualTo(2);
    assertThat(MetadataFormat.V2_0.sectorCount(509)).isEqualTo(3);
    assertThat(MetadataFormat.V2_0.sectorCount(0)).isEqualTo(1);
    assertThat(MetadataFormat.V2_0.firstStripeOf(MetadataFormat.V2_0.sectorOf(Integer.MAX_VALUE)))
        .isEqualTo(Integer.MAX_VALUE / 508 * 508);
  }
}
