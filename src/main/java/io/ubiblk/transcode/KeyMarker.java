// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Properties;

/**
 * What is known of a disk's keys: that they are being changed, or which ones it has now. A small
 * text file for people, with values by which keys are recognised, but no keys.
 *
 * @param state how far it has come
 * @param disk the disk's path, for people
 * @param command the command line that does the work, for people
 * @param journal where the journal is, or was
 * @param journalId which journal it is
 * @param sectors how long disk and metadata are, for instance {@code 8192 40}
 * @param salt of both check values
 * @param oldCheck by which the old keys are known
 * @param newCheck by which the new keys are known
 */
record KeyMarker(
    State state,
    String disk,
    String command,
    String journal,
    JournalId journalId,
    String sectors,
    String salt,
    String oldCheck,
    String newCheck) {

  private static final String VERSION = "1";
  private static final String COMMENT =
      "ubiblk: which keys a disk has (docs/reencryption.md). Keep it beside the disk.";

  /** How far it has come. */
  enum State {
    /** The disk may have both keys. */
    REENCRYPTING,
    /** The disk has the new keys. */
    REENCRYPTED;

    String text() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** The same with the work done. */
  KeyMarker done() {
    return new KeyMarker(
        State.REENCRYPTED, disk, command, journal, journalId, sectors, salt, oldCheck, newCheck);
  }

  /** By which values are computed. */
  KeyCheck check() {
    return KeyCheck.of(salt);
  }

  byte[] toBytes() {
    Properties lines = new Properties();
    lines.setProperty("version", VERSION);
    lines.setProperty("state", state.text());
    lines.setProperty("disk", disk);
    lines.setProperty("command", command);
    lines.setProperty("journal", journal);
    lines.setProperty("journal_id", journalId.toString());
    lines.setProperty("sectors", sectors);
    lines.setProperty("salt", salt);
    lines.setProperty("old_check", oldCheck);
    lines.setProperty("new_check", newCheck);
    StringWriter text = new StringWriter();
    try {
      lines.store(text, COMMENT);
    } catch (IOException e) {
      throw new AssertionError("memory takes every line", e);
    }
    return text.toString().getBytes(StandardCharsets.UTF_8);
  }

  /**
   * Reads what {@link #toBytes} gave.
   *
   * @param path where it was, for the sentence of a refusal
   */
  static KeyMarker parse(String path, byte[] bytes) throws IOException {
    Properties lines = new Properties();
    try {
      lines.load(new StringReader(new String(bytes, StandardCharsets.UTF_8)));
      String version = line(lines, "version");
      if (!version.equals(VERSION)) {
        throw new IOException(
            "%s has version %s; this program reads %s".formatted(path, version, VERSION));
      }
      KeyMarker marker =
          new KeyMarker(
              State.valueOf(line(lines, "state").toUpperCase(Locale.ROOT)),
              line(lines, "disk"),
              line(lines, "command"),
              line(lines, "journal"),
              JournalId.parse(line(lines, "journal_id")),
              line(lines, "sectors"),
              line(lines, "salt"),
              hex(line(lines, "old_check")),
              hex(line(lines, "new_check")));
      marker.check();
      return marker;
    } catch (IllegalArgumentException e) {
      throw new IOException(path + " is damaged: it does not say which keys the disk has", e);
    }
  }

  private static String line(Properties lines, String name) {
    String value = lines.getProperty(name);
    if (value == null) {
      throw new IllegalArgumentException("no " + name);
    }
    return value;
  }

  private static String hex(String text) {
    if (!text.matches("[0-9a-f]{" + 2 * Digests.BYTES + "}")) {
      throw new IllegalArgumentException("no check value");
    }
    return text;
  }
}
