// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** docs/keys.md has exactly the names that a value can be wrapped for. */
class KeysDocumentTest {
  private static final Pattern ROW = Pattern.compile("(?m)^\\| (`.*`) \\|");
  private static final Pattern NAME = Pattern.compile("`([^`]+)`");

  @Test
  void the_table_has_every_name() throws IOException {
    Matcher row = ROW.matcher(Files.readString(Path.of("docs/keys.md")));
    List<String> names = new ArrayList<>();
    while (row.find()) {
      NAME.matcher(row.group(1)).results().forEach(name -> names.add(name.group(1)));
    }
    assertThat(names).isEqualTo(SecretName.all());
  }

  @Test
  void the_kinds_are_documented() throws IOException {
    String document = Files.readString(Path.of("docs/keys.md"));
    for (ConfigKind kind : ConfigKind.values()) {
      assertThat(document).contains("`" + kind.text() + "`");
    }
  }
}
