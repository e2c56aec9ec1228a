// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

/** Is told how far a long piece of work has come. Any thread, one at a time. */
public interface Progress {
  /** Tells nobody. */
  Progress NONE = (done, total) -> {};

  /**
   * So many sectors of all are done.
   *
   * @param done from 0 to {@code total}; never less than before
   * @param total what there is to do
   */
  void reached(long done, long total);
}
