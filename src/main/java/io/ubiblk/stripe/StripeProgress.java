// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.Optional;
import java.util.OptionalLong;

/**
 * How far a disk has been copied from its source, at one moment.
 *
 * @param counts how much there is and how much is done
 * @param waiting stripes that guests' requests wait for and that cannot be read yet
 * @param retrying stripes that have failed and are not fetched yet
 * @param lastFailure of fetching, however long ago
 * @param metadataError why the metadata file cannot be written, while it cannot
 * @param autofetch what fetching in the background does
 * @param source where stripes come from; absent when no source is open
 * @param timing of the steps of fetching
 */
public record StripeProgress(
    Counts counts,
    int waiting,
    int retrying,
    Optional<Failure> lastFailure,
    Optional<String> metadataError,
    AutofetchState autofetch,
    Optional<String> source,
    Timing timing) {

  /**
   * Stripes and bytes.
   *
   * @param total stripes of the disk
   * @param source stripes that had a source when the process started
   * @param fetched stripes whose content is durable on the base disk
   * @param written stripes that are durably marked as written by the guest
   * @param bytesDone bytes of fetched stripes that have a source
   * @param bytesTotal bytes of stripes that have a source
   * @param bytesPerSecond what was fetched lately
   * @param etaSeconds until everything is fetched, at that rate; absent while nothing is
   */
  public record Counts(
      int total,
      int source,
      int fetched,
      int written,
      long bytesDone,
      long bytesTotal,
      long bytesPerSecond,
      OptionalLong etaSeconds) {

    /** Stripes that never had a source. */
    public int noSource() {
      return total - source;
    }
  }

  /**
   * The steps of fetching.
   *
   * @param sourceRead reads of stripes from the source
   * @param baseWrite writes of stripes to the base disk
   * @param baseSync syncs of the base disk before flags become durable
   * @param metadataWrite writes of neighbouring sectors of the metadata file
   * @param metadataSync syncs of the metadata file
   */
  public record Timing(
      Step sourceRead, Step baseWrite, Step baseSync, Step metadataWrite, Step metadataSync) {}

  /**
   * One step.
   *
   * @param count how often it was completed; attempts that failed are not counted
   * @param totalUs microseconds that these took, those at the same time added up
   */
  public record Step(long count, long totalUs) {}

  /**
   * Something that went wrong.
   *
   * @param text where and what
   * @param ageMs milliseconds since then
   */
  public record Failure(String text, long ageMs) {}
}
