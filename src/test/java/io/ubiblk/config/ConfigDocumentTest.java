// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** docs/config.md has exactly the keys that the parser reads, and its samples load. */
class ConfigDocumentTest {
  private static final Path DOCUMENT = Path.of("docs/config.md");
  private static final Pattern HEADING = Pattern.compile("#+ (.*)");
  private static final Pattern ROW =
      Pattern.compile("\\| `([a-z_]+)` \\| (.*) \\| (.*) \\| (.*) \\| (.*) \\|");

  @TempDir private Path directory;

  /** A row of a table, as document and parser have it. */
  private record Row(String name, String type, String defaultText, String range) {
    static Row of(Key key) {
      return new Row(key.name(), key.type(), key.defaultText(), key.rangeText());
    }
  }

  private static Map<String, List<Row>> documented() throws IOException {
    Map<String, List<Row>> tables = new LinkedHashMap<>();
    String heading = "";
    for (String line : Files.readAllLines(DOCUMENT)) {
      Matcher matcher = HEADING.matcher(line);
      Matcher row = ROW.matcher(line);
      if (matcher.matches()) {
        heading = matcher.group(1);
      } else if (row.matches()) {
        assertThat(row.group(5)).as(row.group(1)).endsWith(".");
        tables
            .computeIfAbsent(heading, unused -> new ArrayList<>())
            .add(new Row(row.group(1), row.group(2), row.group(3), row.group(4).strip()));
      }
    }
    return tables;
  }

  @Test
  void tables_and_parser_have_the_same_keys_defaults_and_ranges() throws IOException {
    Map<String, List<Row>> parsed = new LinkedHashMap<>();
    Keys.SCHEMAS.forEach(
        schema -> parsed.put(schema.title(), schema.keys().stream().map(Row::of).toList()));
    assertThat(documented()).isEqualTo(parsed);
  }

  @Test
  void the_defaults_of_the_device_table_are_those_of_an_empty_file() throws Exception {
    var fixture = new ConfigFixture(directory);
    StringBuilder spelledOut = new StringBuilder("path: /d\n");
    for (Row row : documented().get("Device")) {
      if (!row.defaultText().equals("required")) {
        String value = row.defaultText().equals("absent") ? "~" : row.defaultText();
        spelledOut.append(row.name()).append(": ").append(value).append('\n');
      }
    }
    assertThat(fixture.device(spelledOut.toString())).isEqualTo(fixture.device("path: /d\n"));
  }

  @Test
  void the_samples_load() throws Exception {
    var fixture = new ConfigFixture(directory);
    List<String> samples = new ArrayList<>();
    StringBuilder sample = new StringBuilder();
    for (String line : Files.readAllLines(DOCUMENT)) {
      if (line.startsWith("    ")
          && !line.strip().startsWith("*")
          && !line.startsWith("      (")
          && !line.startsWith("      must")) {
        sample.append(line.substring(4)).append('\n');
      } else if (!sample.isEmpty()) {
        samples.add(sample.toString());
        sample.setLength(0);
      }
    }
    assertThat(samples).hasSize(3);
    assertThat(fixture.device(samples.get(0)).encryptionKey()).isPresent();
    String source = "path: /d\nmetadata_path: /m\ncopy_on_read: true\n" + samples.get(1);
    assertThat(fixture.device(source).source()).isPresent();
    fixture.kek(samples.get(2)).close();
    assertThat(fixture.warnings).isEmpty();
  }

  @Test
  void every_name_that_a_value_is_bound_to_is_documented() throws IOException {
    assertThat(Files.readString(DOCUMENT))
        .contains(
            "`encryption_key[0]`, `encryption_key[1]`, `psk_secret`, `access_key_id`,"
                + " `secret_access_key`, `archive_kek.key`,\n`archive_kek.init_vector` and"
                + " `archive_kek.auth_data`")
        .contains("at most 1 MiB");
    assertThat(ConfigFile.BYTES_MAX).isEqualTo(1 << 20);
    assertThat(Files.readString(DOCUMENT)).contains("nested at most " + YamlReader.DEPTH_MAX);
  }
}
