// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

/** How blocks are read and written. */
public enum IoEngine implements Key.Worded {
  /** Asynchronously, through a ring shared with the kernel. */
  IO_URING("io_uring"),
  /** One system call after the other. */
  SYNC("sync");

  private final String text;

  IoEngine(String text) {
    this.text = text;
  }

  @Override
  public String text() {
    return text;
  }
}
