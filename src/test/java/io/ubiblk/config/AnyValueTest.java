// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.secret.KeyEncryption;
import java.util.List;
import java.util.stream.Collectors;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/** Any value at any key is loaded, or refused as a mistake of the user's. */
class AnyValueTest {
  @Property(tries = 500)
  void a_device_loads_or_is_refused(@ForAll("mappings") String entries) {
    loadOrRefuse("path: /d\n" + entries);
    loadOrRefuse("socket: /s\n" + entries);
  }

  @Property(tries = 500)
  void a_source_loads_or_is_refused(
      @ForAll("sources") String source, @ForAll("mappings") String entries) {
    loadOrRefuse(
        "path: /d\nmetadata_path: /m\nstripe_source:\n"
            + (source + entries)
                .lines()
                .map(line -> "  " + line + "\n")
                .collect(Collectors.joining()));
  }

  @Provide
  Arbitrary<String> sources() {
    return Arbitraries.of(
        "source: raw\n",
        "source: remote\n",
        "source: archive\ntype: filesystem\n",
        "source: archive\ntype: s3\n",
        "");
  }

  @Provide
  Arbitrary<String> mappings() {
    List<String> names =
        Keys.SCHEMAS.stream()
            .flatMap(schema -> schema.keys().stream())
            .map(Key::name)
            .distinct()
            .toList();
    Arbitrary<String> entry =
        Arbitraries.of(names).flatMap(name -> values().map(value -> name + ": " + value + "\n"));
    return entry.list().ofMaxSize(4).map(lines -> String.join("", lines));
  }

  private static Arbitrary<String> values() {
    Arbitrary<String> scalars =
        Arbitraries.oneOf(
            Arbitraries.of(
                "~", "true", "", "0", "2", "64", "0x40", "AA==", "\"AA==\"", "none", "a"),
            Arbitraries.bigIntegers().map(Object::toString),
            Arbitraries.doubles().map(Object::toString),
            Arbitraries.strings().withCharRange('0', 'z').map(text -> '"' + text + '"'),
            Arbitraries.strings()
                .withCharRange(' ', '~')
                .map(text -> "'" + text.replace("'", "''") + "'"));
    return Arbitraries.oneOf(
        scalars,
        scalars.list().ofMaxSize(3).map(items -> "[" + String.join(", ", items) + "]"),
        scalars.map(item -> "{path: " + item + ", method: " + item + ", key: " + item + "}"));
  }

  private static void loadOrRefuse(String yaml) {
    try (var file = new ConfigFile("f", warning -> assertThat(warning).startsWith("f: "))) {
      var root = (YamlNode.Mapping) YamlReader.read(yaml.getBytes(UTF_8));
      DeviceConfig config = DeviceFields.read(file, root).open(KeyEncryption.none());
      file.checkRanges();
      DeviceRules.check(file, config);
      assertThat(config.numQueues()).isBetween(1, 63);
      assertThat(Integer.bitCount(config.queueSize())).isEqualTo(1);
    } catch (ConfigException e) {
      assertThat(e).hasNoCause();
      assertThat(e.getMessage().lines()).hasSize(1);
    }
  }
}
