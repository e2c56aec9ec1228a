// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

/** Whether the base disk is read and written past the page cache. */
public enum DirectIo implements Key.Worded {
  /** If its file system can, at offsets of 512 bytes. */
  AUTO("auto"),
  /** Yes, or fail to start. */
  ALWAYS("true"),
  /** No. */
  NEVER("false");

  private final String text;

  DirectIo(String text) {
    this.text = text;
  }

  @Override
  public String text() {
    return text;
  }
}
