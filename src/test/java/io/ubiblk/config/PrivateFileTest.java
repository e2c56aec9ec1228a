// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PrivateFileTest {
  private static final byte[] CONTENT = "content\n".getBytes(UTF_8);
  private static final PrivateFile.Check NOTHING = unused -> {};

  @TempDir private Path directory;
  private final List<String> warnings = new ArrayList<>();

  private List<String> names() throws IOException {
    return names(directory);
  }

  private static List<String> names(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }

  private static String mode(Path path) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }

  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatThrownBy(call).isInstanceOf(IOException.class).hasMessage(message);
  }

  @Test
  void a_new_file_is_its_owners_alone() throws Exception {
    Path path = directory.resolve("new");
    PrivateFile.create(path, CONTENT);
    assertThat(mode(path)).isEqualTo("rw-------");
    assertThat(path).hasBinaryContent(CONTENT);
    assertThat(names()).containsExactly("new");
  }

  @Test
  void what_is_there_already_is_not_touched() throws Exception {
    Path path = Files.writeString(directory.resolve("old"), "old");
    assertRefused(
        () -> PrivateFile.create(path, CONTENT),
        path + ": is there already, and is not overwritten");
    assertThat(path).hasContent("old");
  }

  @Test
  void links_are_not_followed() throws Exception {
    Path target = directory.resolve("target");
    Path link = Files.createSymbolicLink(directory.resolve("link"), target);
    assertRefused(
        () -> PrivateFile.create(link, CONTENT),
        link + ": is there already, and is not overwritten");
    assertThat(target).doesNotExist();
  }

  @Test
  void a_missing_directory_is_told() {
    Path path = directory.resolve("missing/new");
    assertRefused(
        () -> PrivateFile.create(path, CONTENT),
        path + ": cannot be made: its directory does not exist");
  }

  @Test
  void a_file_that_is_refused_is_gone() throws Exception {
    Path path = directory.resolve("new");
    PrivateFile.Check refusal =
        written -> {
          assertThat(written).isEqualTo(path).hasBinaryContent(CONTENT);
          throw new ConfigException("not this one");
        };
    assertThatThrownBy(() -> PrivateFile.create(path, CONTENT, refusal))
        .isInstanceOf(ConfigException.class)
        .hasMessage("not this one");
    assertThat(names()).isEmpty();
  }

  @Test
  void a_full_disk_leaves_nothing_behind() throws Exception {
    try (TinyFileSystem tiny = TinyFileSystem.mount(directory, 16)) {
      Path path = tiny.root().resolve("new");
      assertRefused(
          () -> PrivateFile.create(path, new byte[64 << 10]),
          path + ": cannot be written: No space left on device");
      Path old = Files.writeString(tiny.root().resolve("old"), "old");
      assertThatThrownBy(() -> PrivateFile.replace(old, new byte[64 << 10], NOTHING, warnings::add))
          .isInstanceOf(IOException.class)
          .hasMessageEndingWith(": cannot be written: No space left on device");
      assertThat(names(tiny.root())).containsExactly("old");
      assertThat(old).hasContent("old");
    }
  }

  @Test
  void a_file_system_that_cannot_be_written_is_told() throws Exception {
    try (TinyFileSystem tiny = TinyFileSystem.mount(directory, 64)) {
      Path old = Files.writeString(tiny.root().resolve("old"), "old");
      tiny.makeReadOnly();
      Path path = tiny.root().resolve("new");
      assertRefused(
          () -> PrivateFile.create(path, CONTENT),
          path + ": cannot be made: Read-only file system");
      assertThatThrownBy(() -> PrivateFile.replace(old, CONTENT, NOTHING, warnings::add))
          .isInstanceOf(IOException.class)
          .hasMessageEndingWith(": cannot be made: Read-only file system");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"rw-------", "rw-r-----", "r--r--r--", "rw-rw-rw-", "rwxrwxrwx"})
  void a_replaced_file_keeps_its_mode(String mode) throws Exception {
    Path path = Files.writeString(directory.resolve("old"), "old");
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString(mode));
    PrivateFile.replace(path, CONTENT, NOTHING, warnings::add);
    assertThat(path).hasBinaryContent(CONTENT);
    assertThat(mode(path)).isEqualTo(mode);
    assertThat(names()).containsExactly("old");
    assertThat(warnings).isEmpty();
  }

  @Test
  void a_replaced_file_keeps_its_owner_and_group() throws Exception {
    assumeTrue(Files.getAttribute(directory, "unix:uid").equals(0), "giving files away needs root");
    Path path = Files.writeString(directory.resolve("old"), "old");
    Files.setAttribute(path, "unix:uid", 12345);
    Files.setAttribute(path, "unix:gid", 12346);
    PrivateFile.replace(path, CONTENT, NOTHING, warnings::add);
    assertThat(path).hasBinaryContent(CONTENT);
    assertThat(Files.getAttribute(path, "unix:uid")).isEqualTo(12345);
    assertThat(Files.getAttribute(path, "unix:gid")).isEqualTo(12346);
    assertThat(warnings).isEmpty();
  }

  @Test
  void a_link_leads_to_the_file_that_is_replaced() throws Exception {
    Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
    Path target = Files.writeString(elsewhere.resolve("old"), "old");
    Path link = Files.createSymbolicLink(directory.resolve("link"), Path.of("elsewhere/old"));
    PrivateFile.Check beside =
        written -> assertThat(written.getParent()).isEqualTo(elsewhere.toRealPath());
    PrivateFile.replace(link, CONTENT, beside, warnings::add);
    assertThat(Files.isSymbolicLink(link)).isTrue();
    assertThat(target).hasBinaryContent(CONTENT);
    assertThat(names(elsewhere)).containsExactly("old");
  }

  @Test
  void until_it_is_replaced_the_old_file_is_there_and_the_new_one_is_private() throws Exception {
    Path path = Files.writeString(directory.resolve("old"), "old");
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
    PrivateFile.replace(
        path,
        CONTENT,
        written -> {
          assertThat(mode(written)).isEqualTo("rw-------");
          assertThat(written).hasBinaryContent(CONTENT);
          assertThat(path).hasContent("old");
        },
        warnings::add);
    assertThat(path).hasBinaryContent(CONTENT);
  }

  @Test
  void a_replacement_that_is_refused_changes_nothing() throws Exception {
    Path path = Files.writeString(directory.resolve("old"), "old");
    PrivateFile.Check refusal =
        unused -> {
          throw new IOException("not this one");
        };
    assertRefused(() -> PrivateFile.replace(path, CONTENT, refusal, warnings::add), "not this one");
    assertThat(path).hasContent("old");
    assertThat(names()).containsExactly("old");
  }

  @Test
  void only_regular_files_are_replaced() throws Exception {
    assertRefused(
        () -> PrivateFile.replace(directory, CONTENT, NOTHING, warnings::add),
        directory + ": is no file that can be replaced");
    Path missing = directory.resolve("missing");
    assertRefused(
        () -> PrivateFile.replace(missing, CONTENT, NOTHING, warnings::add),
        missing + ": cannot be replaced: it does not exist");
    assertThat(Files.exists(missing, LinkOption.NOFOLLOW_LINKS)).isFalse();
  }
}
