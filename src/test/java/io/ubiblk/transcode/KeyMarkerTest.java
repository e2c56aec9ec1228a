// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KeyMarkerTest {
  private static final SecureRandom RANDOM = new SecureRandom();

  private static KeyMarker marker(String disk) {
    return new KeyMarker(
        KeyMarker.State.REENCRYPTING,
        disk,
        "xts --config " + disk,
        disk + ".journal",
        JournalId.random(RANDOM),
        "8192 40",
        KeyCheck.random(RANDOM).salt(),
        "ab".repeat(32),
        "0f".repeat(32));
  }

  @Test
  void comes_back_as_it_was_whatever_the_paths_are() throws IOException {
    for (String disk : new String[] {"/d", " /a b\\c\n\r\t#!=:é\u20ac\ud83d\ude00 ", ""}) {
      KeyMarker marker = marker(disk);
      assertThat(KeyMarker.parse("m", marker.toBytes())).isEqualTo(marker);
      assertThat(KeyMarker.parse("m", marker.done().toBytes())).isEqualTo(marker.done());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "state=reencrypting, state=sideways",
    "old_check=ab, old_check=",
    "new_check=, old=",
    "journal_id=, journal_id=00",
    "salt=, salt=z",
  })
  void a_damaged_one_is_refused(String line, String damaged) {
    String text = new String(marker("/d").toBytes(), StandardCharsets.UTF_8);
    assertThat(text).contains(line);
    byte[] bytes = text.replace(line, damaged).getBytes(StandardCharsets.UTF_8);
    assertThatThrownBy(() -> KeyMarker.parse("/the/marker", bytes))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith("/the/marker is damaged");
  }

  @Test
  void a_later_version_is_refused() {
    String text = new String(marker("/d").toBytes(), StandardCharsets.UTF_8);
    byte[] bytes = text.replace("version=1", "version=2").getBytes(StandardCharsets.UTF_8);
    assertThatThrownBy(() -> KeyMarker.parse("/m", bytes))
        .hasMessage("/m has version 2; this program reads 1");
  }

  @Test
  void check_values_know_their_keys_and_depend_on_the_salt() throws IOException {
    try (TestKeys keys = new TestKeys()) {
      KeyCheck check = KeyCheck.random(RANDOM);
      String value = check.valueOf(keys.old);
      assertThat(check.matches(value, keys.old)).isTrue();
      assertThat(check.matches(value, keys.fresh)).isFalse();
      assertThat(KeyCheck.of(check.salt()).valueOf(keys.old)).isEqualTo(value);
      assertThat(KeyCheck.random(RANDOM).valueOf(keys.old)).isNotEqualTo(value);
    }
  }
}
