// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.security.SecureRandom;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MarkerFileTest {
  @TempDir private Path directory;
  private Path disk;
  private final KeyMarker marker =
      new KeyMarker(
          KeyMarker.State.REENCRYPTING,
          "/disk",
          "xts",
          "/journal",
          JournalId.random(new SecureRandom()),
          "1",
          KeyCheck.random(new SecureRandom()).salt(),
          "ab".repeat(32),
          "cd".repeat(32));

  @BeforeEach
  void makeDisk() throws IOException {
    disk = Files.write(directory.resolve("disk.raw"), new byte[512]);
  }

  @Test
  void lies_beside_the_disk_itself_whatever_link_leads_there() throws IOException {
    Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
    Path link = Files.createSymbolicLink(elsewhere.resolve("link"), disk);
    Path expected = disk.toRealPath().resolveSibling("disk.raw.ubiblk-keys");
    assertThat(MarkerFile.of(link.toString()).orElseThrow().path()).isEqualTo(expected.toString());
    assertThat(MarkerFile.of(disk.toString()).orElseThrow().path()).isEqualTo(expected.toString());
  }

  @Test
  void what_was_saved_is_loaded_and_readable_by_everybody() throws IOException {
    MarkerFile file = MarkerFile.of(disk.toString()).orElseThrow();
    assertThat(file.load()).isEmpty();
    file.save(marker);
    file.save(marker.done());
    assertThat(file.load()).isEqualTo(Optional.of(marker.done()));
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(Path.of(file.path()))))
        .isEqualTo("rw-r--r--");
    assertThat(directory.resolve("disk.raw.ubiblk-keys.new")).doesNotExist();
  }

  @Test
  void a_link_that_somebody_planted_is_not_followed() throws IOException {
    Path target = Files.writeString(directory.resolve("target"), "precious");
    Files.setPosixFilePermissions(target, PosixFilePermissions.fromString("rw-------"));
    Path missing = directory.resolve("missing");
    MarkerFile file = MarkerFile.of(disk.toString()).orElseThrow();
    for (Path planted : List.of(target, missing)) {
      Files.createSymbolicLink(Path.of(file.path() + ".new"), planted);
      file.save(marker);
      assertThat(Files.isSymbolicLink(Path.of(file.path()))).isFalse();
    }
    assertThat(file.load()).isEqualTo(Optional.of(marker));
    assertThat(target).hasContent("precious");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(target)))
        .isEqualTo("rw-------");
    assertThat(missing).doesNotExist();
  }

  @Test
  void what_cannot_be_read_is_not_taken_for_nothing() throws IOException {
    MarkerFile file = MarkerFile.of(disk.toString()).orElseThrow();
    Files.createDirectory(Path.of(file.path()));
    assertThatThrownBy(file::load)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("Is a directory");
    Files.delete(Path.of(file.path()));
    Files.writeString(Path.of(file.path()), "version=1\n");
    assertThatThrownBy(file::load).hasMessageContaining(file.path() + " is damaged");
  }

  @Test
  void a_disk_that_got_another_name_keeps_its_marker() throws IOException {
    MarkerFile.of(disk.toString()).orElseThrow().save(marker);
    Path renamed = Files.move(disk, directory.resolve("renamed.raw"));
    Optional<KeyMarker> kept = MarkerFile.of(renamed.toString()).orElseThrow().load();
    // Not every file system keeps attributes; those that do must not lose this one.
    assertThat(kept).isEqualTo(hasAttributes() ? Optional.of(marker) : Optional.empty());
  }

  @Test
  void a_refusal_says_how_to_forget_the_marker_as_far_as_it_is_there() throws IOException {
    MarkerFile file = MarkerFile.of(disk.toString()).orElseThrow();
    file.save(marker.done());
    String remove = "remove " + file.path();
    String untag = "run setfattr -x user.ubiblk.keys " + disk.toRealPath();
    String both = hasAttributes() ? remove + " and " + untag : remove;
    assertAdvice(both);
    if (hasAttributes()) {
      Files.delete(Path.of(file.path()));
      assertAdvice(untag);
      file.save(marker.done());
      attributes(disk).delete("ubiblk.keys");
      assertAdvice(remove);
    }
    Files.delete(Path.of(file.path()));
    KeyGuard.check(disk.toString(), Optional.empty());
  }

  private void assertAdvice(String advice) {
    assertThatThrownBy(() -> KeyGuard.check(disk.toString(), Optional.empty()))
        .hasMessageEndingWith("(If it is another disk by that name, " + advice + ")");
  }

  private static UserDefinedFileAttributeView attributes(Path file) {
    return Files.getFileAttributeView(file, UserDefinedFileAttributeView.class);
  }

  private boolean hasAttributes() throws IOException {
    Path file = Files.write(directory.resolve("plain"), new byte[1]);
    try {
      Files.setAttribute(file, "user:test", ByteBuffer.wrap(new byte[] {1}));
      return true;
    } catch (FileSystemException | UnsupportedOperationException e) {
      return false;
    }
  }

  @Test
  void directories_are_made_for_everybody_to_look_into() throws IOException {
    Path made = directory.resolve("a/b");
    DurableFiles.createDirectories(made);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(made)))
        .isEqualTo("rwxr-xr-x");
  }
}
