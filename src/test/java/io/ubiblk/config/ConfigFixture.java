// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/** Loads configurations from texts, and remembers the warnings. */
final class ConfigFixture {
  final List<String> warnings = new ArrayList<>();
  private final Path directory;

  ConfigFixture(Path directory) {
    this.directory = directory;
  }

  static Path vector(String name) {
    return Path.of("src/test/resources/vectors/kek", name);
  }

  Path file(String name, String text) {
    try {
      return Files.writeString(directory.resolve(name), text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  DeviceConfig device(String yaml) throws ConfigException {
    return ConfigLoader.load(file("vm.yaml", yaml), null, warnings::add);
  }

  DeviceConfig device(KekFile kek, String yaml) throws ConfigException {
    return ConfigLoader.load(file("vm.yaml", yaml), kek, warnings::add);
  }

  RemoteConfig remote(String yaml) throws ConfigException {
    return ConfigLoader.loadRemote(file("server.yaml", yaml), null, warnings::add);
  }

  ArchiveTargetConfig archive(String yaml) throws ConfigException {
    return ConfigLoader.loadArchiveTarget(file("target.yaml", yaml), null, warnings::add);
  }

  KekFile kek(String yaml) throws ConfigException {
    return KekFile.load(file("kek.yaml", yaml), warnings::add);
  }

  /**
   * The message that {@code load} is refused with, without the directory before the file's name.
   */
  String refusal(ThrowingCallable load) {
    Throwable thrown = catchThrowable(load);
    assertThat(thrown).isInstanceOf(ConfigException.class).hasNoCause();
    assertThat(thrown.getMessage()).startsWith(directory.toString()).doesNotContain("\n");
    return thrown.getMessage().substring(directory.toString().length() + 1);
  }

  String deviceRefusal(String yaml) {
    return refusal(() -> device(yaml));
  }
}
