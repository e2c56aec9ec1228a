// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.config.XtsEngine;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import io.ubiblk.transcode.SectorRecoding.Direction;
import io.ubiblk.transcode.SectorRecoding.Range;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SectorRecodingTest {
  private static final Path VECTORS = Path.of("src/test/resources/vectors/xts");

  @TempDir private Path directory;
  private NativeLog log;
  private NativeXts keys;
  private Path output;

  /** The keys of the vectors: 00 to 1f, 80 to 9f. */
  @BeforeEach
  void openKeys() throws IOException {
    NativeLibrary.load();
    log = NativeLog.open();
    keys =
        NativeXts.create(
            XtsKeys.take(Secret.take(counting(0)), Secret.take(counting(0x80))),
            XtsEngine.AUTO,
            log);
    output = directory.resolve("output");
  }

  private static byte[] counting(int first) {
    byte[] bytes = new byte[XtsKeys.KEY_BYTES];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (first + i);
    }
    return bytes;
  }

  @AfterEach
  void close() throws IOException {
    keys.close();
    log.close();
  }

  private byte[] run(Path input, Direction direction, Range range) throws IOException {
    SectorRecoding.run(
        input.toString(), output.toString(), direction, range, keys, 3, log, Progress.NONE);
    return Files.readAllBytes(output);
  }

  private static Range range(long start, long length) {
    return new Range(start, OptionalLong.of(length));
  }

  private static final Range ALL = new Range(0, OptionalLong.empty());

  private static byte[] vector(String name) throws IOException {
    return Files.readAllBytes(VECTORS.resolve(name));
  }

  @Test
  void makes_of_the_vectors_what_others_made_of_them() throws IOException {
    assertThat(run(VECTORS.resolve("plain8.bin"), Direction.ENCODE, ALL))
        .isEqualTo(vector("disk8.bin"));
    assertThat(run(VECTORS.resolve("disk8.bin"), Direction.DECODE, ALL))
        .isEqualTo(vector("plain8.bin"));
    assertThat(run(VECTORS.resolve("plain8.bin"), Direction.ENCODE, range(3, 2)))
        .isEqualTo(vector("encode_start3_len2.bin"));
    assertThat(run(VECTORS.resolve("disk8.bin"), Direction.DECODE, range(3, 2)))
        .isEqualTo(vector("decode_start3_len2.bin"));
  }

  @Test
  void decoding_from_the_same_start_restores_what_was_encoded() throws IOException {
    Path encoded = directory.resolve("encoded");
    run(VECTORS.resolve("plain8.bin"), Direction.ENCODE, range(5, 2));
    Files.move(output, encoded);
    assertThat(Files.size(encoded)).isEqualTo(7 * 512);
    byte[] plain = vector("plain8.bin");
    assertThat(run(encoded, Direction.DECODE, new Range(5, OptionalLong.empty())))
        .isEqualTo(Arrays.copyOfRange(plain, 5 * 512, 7 * 512));
  }

  @Test
  void several_threads_make_of_a_long_file_what_one_would() throws IOException {
    byte[] plain = new byte[(5 << 20) + 512];
    new Random(1).nextBytes(plain);
    Path input = Files.write(directory.resolve("long"), plain);
    byte[] encoded = run(input, Direction.ENCODE, ALL);
    assertThat(encoded).isEqualTo(TestKeys.encipher(keys, plain));
    Path back = Files.write(directory.resolve("back"), encoded);
    assertThat(run(back, Direction.DECODE, ALL)).isEqualTo(plain);
  }

  @Test
  void no_sectors_make_an_empty_output() throws IOException {
    assertThat(run(VECTORS.resolve("disk8.bin"), Direction.DECODE, range(3, 0))).isEmpty();
    assertThat(run(VECTORS.resolve("plain8.bin"), Direction.ENCODE, range(3, 0))).isEmpty();
  }

  @Test
  void an_output_is_for_its_owner_and_what_it_held_is_gone() throws IOException {
    run(VECTORS.resolve("disk8.bin"), Direction.DECODE, ALL);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(output)))
        .isEqualTo("rw-------");
    Files.write(output, new byte[1 << 20]);
    assertThat(run(VECTORS.resolve("disk8.bin"), Direction.DECODE, range(0, 1))).hasSize(512);
  }

  @Test
  void a_range_outside_of_the_input_is_refused_and_the_output_untouched() throws IOException {
    Files.write(output, new byte[] {1});
    assertRefused(new Range(8, OptionalLong.empty()), "--start 8 is not below the 8 sectors");
    assertRefused(new Range(-1, OptionalLong.empty()), "--start 18446744073709551615 is not below");
    assertRefused(range(7, 2), "--len 2 is more than the 1 sectors");
    assertRefused(range(1, -1), "--len 18446744073709551615 is more than the 7 sectors");
    assertThat(Files.readAllBytes(output)).containsExactly(1);
  }

  private void assertRefused(Range range, String sentence) {
    for (Direction direction : Direction.values()) {
      assertThatThrownBy(() -> run(VECTORS.resolve("disk8.bin"), direction, range))
          .isInstanceOf(IOException.class)
          .hasMessageContaining(sentence);
    }
  }

  @Test
  void inputs_that_are_no_sectors_are_refused() throws IOException {
    Path odd = Files.write(directory.resolve("odd"), new byte[700]);
    assertThatThrownBy(() -> run(odd, Direction.DECODE, ALL))
        .hasMessageContaining("700 bytes, is not a multiple of 512");
    Path empty = Files.write(directory.resolve("empty"), new byte[0]);
    assertThatThrownBy(() -> run(empty, Direction.DECODE, ALL)).hasMessageContaining("is empty");
  }

  @Test
  void an_input_that_is_missing_is_told_whether_or_not_the_output_is_there() throws IOException {
    Path none = directory.resolve("none");
    String sentence = "cannot read " + none + ": No such file or directory";
    assertThatThrownBy(() -> run(none, Direction.DECODE, ALL)).hasMessage(sentence);
    Files.write(output, new byte[] {1});
    assertThatThrownBy(() -> run(none, Direction.DECODE, ALL)).hasMessage(sentence);
    assertThat(Files.readAllBytes(output)).containsExactly(1);
  }

  @Test
  void a_file_is_not_both_input_and_output() throws IOException {
    Path input = Files.write(output, vector("disk8.bin"));
    assertThatThrownBy(() -> run(input, Direction.DECODE, ALL))
        .hasMessageContaining("is input and output at once");
    assertThat(Files.readAllBytes(output)).isEqualTo(vector("disk8.bin"));
  }

  @Test
  void a_disk_in_use_is_no_output() throws IOException {
    Files.write(output, vector("disk8.bin"));
    try (NativeDiskFile held = NativeDiskFile.open(output.toString(), 512, 0, log)) {
      assertThat(held.byteLength()).isEqualTo(8 * 512);
      assertThatThrownBy(() -> run(VECTORS.resolve("plain8.bin"), Direction.ENCODE, ALL))
          .hasMessageContaining("is locked by this process");
    }
    assertThat(Files.readAllBytes(output)).isEqualTo(vector("disk8.bin"));
  }
}
