// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.config.XtsEngine;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class NativeXtsTest {
  private final byte[] dataKey = key(1);
  private final byte[] tweakKey = key(2);
  private NativeLog log;

  private static byte[] key(int fill) {
    byte[] key = new byte[XtsKeys.KEY_BYTES];
    Arrays.fill(key, (byte) fill);
    return key;
  }

  private XtsKeys keys() {
    return XtsKeys.take(Secret.take(dataKey), Secret.take(tweakKey));
  }

  @BeforeEach
  void openLog() throws IOException {
    NativeLibrary.load();
    log = NativeLog.open();
  }

  @AfterEach
  void closeLog() throws IOException {
    log.close();
  }

  @Test
  void takes_the_keys_and_names_its_engine() throws IOException {
    try (NativeXts xts = NativeXts.create(keys(), XtsEngine.AUTO, log)) {
      assertThat(xts.engineName()).isIn("vaes512", "vaes256", "aesni", "isa-l", "openssl");
      assertThat(xts.engineReason()).isNotBlank();
      assertThat(dataKey).containsOnly(0);
      assertThat(tweakKey).containsOnly(0);
    }
  }

  @Test
  void zeroes_the_keys_when_the_engine_does_not_work() {
    // At most one of the vector engines and libraries is missing everywhere; ISA-L is not packaged.
    try (NativeXts xts = NativeXts.create(keys(), XtsEngine.ISA_L, log)) {
      assertThat(xts.engineName()).isEqualTo("isa-l");
    } catch (IOException e) {
      assertThat(e).hasMessageContaining("isa");
    }
    assertThat(dataKey).containsOnly(0);
    assertThat(tweakKey).containsOnly(0);
  }

  @Test
  void cannot_be_made_with_a_closed_log() throws IOException {
    log.close();
    assertThatThrownBy(() -> NativeXts.create(keys(), XtsEngine.AUTO, log))
        .isInstanceOf(IllegalStateException.class);
    assertThat(dataKey).containsOnly(0);
  }

  @Test
  void what_one_pair_enciphered_another_deciphers_once_it_was_recrypted() throws IOException {
    byte[] plain = new byte[3 * 512];
    new Random(1).nextBytes(plain);
    XtsKeys others = XtsKeys.take(Secret.take(key(3)), Secret.take(key(4)));
    try (NativeXts one = NativeXts.create(keys(), XtsEngine.AUTO, log);
        NativeXts other = NativeXts.create(others, XtsEngine.OPENSSL, log)) {
      ByteBuffer bytes = ByteBuffer.allocateDirect(5 * 512).position(512).limit(4 * 512);
      bytes.duplicate().put(plain);
      one.encrypt(77, bytes);
      assertThat(bytes).isNotEqualTo(ByteBuffer.wrap(plain));
      one.recrypt(other, 77, bytes);
      other.decrypt(77, bytes);
      assertThat(bytes).isEqualTo(ByteBuffer.wrap(plain));
      assertThat(bytes.get(511)).isZero();
      assertThat(bytes.limit(5 * 512).get(4 * 512)).isZero();
    }
  }

  @Test
  void only_whole_sectors_of_direct_buffers_are_taken() throws IOException {
    try (NativeXts xts = NativeXts.create(keys(), XtsEngine.AUTO, log)) {
      for (ByteBuffer bytes :
          List.of(
              ByteBuffer.allocate(512),
              ByteBuffer.allocateDirect(511),
              ByteBuffer.allocateDirect(0))) {
        assertThatThrownBy(() -> xts.encrypt(0, bytes))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("must be whole sectors of a direct buffer");
      }
    }
  }
}
