// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;

/**
 * Makes and opens the journal. One thread. What is made or opened is closed by the owner of this.
 */
interface JournalFiles {
  /** Where a new journal is made. */
  String path();

  /**
   * Makes a file for a new journal, which does not have its name yet.
   *
   * @param header of the journal, which says how long it is and of which disk
   * @throws IOException also if something else has its name, or a journal that some disk may need
   */
  SectorStore create(JournalHeader header) throws IOException;

  /** Gives the new journal, which is complete, its name; durable on return. */
  void publish() throws IOException;

  /** Removes the new journal, which could not be completed. */
  void discard() throws IOException;

  /**
   * Opens the journal that was begun.
   *
   * @param path where it was made; the owner may know better
   */
  SectorStore open(String path) throws IOException;

  /**
   * Removes the journal, if it is there; another one stays.
   *
   * @param path where it was made; the owner may know better
   */
  void delete(String path, JournalId id) throws IOException;
}
