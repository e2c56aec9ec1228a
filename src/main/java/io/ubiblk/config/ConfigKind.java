// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** What a configuration file describes. */
public enum ConfigKind {
  /** A device, with its stripe source in it. */
  DEVICE("device"),
  /** One end of a remote connection: a listen file or a server file. */
  REMOTE("remote"),
  /** The place of an archive: a target file. */
  ARCHIVE("archive");

  private final String text;

  ConfigKind(String text) {
    this.text = text;
  }

  /** The kind as it is written on a command line. */
  public String text() {
    return text;
  }

  /** The kind that {@code text} names. */
  public static Optional<ConfigKind> of(String text) {
    return Arrays.stream(values()).filter(kind -> kind.text.equals(text)).findFirst();
  }

  /**
   * The kind that has the keys of {@code root}; a device if nothing tells.
   *
   * @throws ConfigException if it has keys of several, since taking it for the wrong one would pass
   *     over the secrets of the other
   */
  static ConfigKind of(ConfigFile file, YamlNode.Mapping root) throws ConfigException {
    List<ConfigKind> found = new ArrayList<>();
    List<String> by = new ArrayList<>();
    for (ConfigKind kind : values()) {
      Optional<String> key = kind.keyIn(root);
      if (key.isPresent()) {
        found.add(kind);
        by.add(key.get());
      }
    }
    if (found.size() > 1) {
      throw file.error(
          "has keys of more than one kind of file: %s has %s, %s has %s; say which it is"
              .formatted(found.get(0).text, by.get(0), found.get(1).text, by.get(1)));
    }
    return found.isEmpty() ? DEVICE : found.get(0);
  }

  /** The first key of the file that this kind alone has: {@code path} is shared. */
  private Optional<String> keyIn(YamlNode.Mapping root) {
    return root.entries().stream()
        .map(entry -> entry.key().text())
        .filter(name -> !name.equals(Keys.PATH.name()))
        .filter(name -> schemas().stream().anyMatch(schema -> schema.find(name).isPresent()))
        .findFirst();
  }

  private List<Schema> schemas() {
    return switch (this) {
      case DEVICE -> List.of(Keys.DEVICE);
      case REMOTE -> List.of(Keys.REMOTE);
      case ARCHIVE -> List.of(Keys.S3, Keys.FILESYSTEM);
    };
  }
}
