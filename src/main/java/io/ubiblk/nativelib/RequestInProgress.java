// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

/**
 * A request that a queue has taken and not yet completed.
 *
 * @param operation what the guest asked for
 * @param sector its first sector
 * @param sectorCount its length
 */
public record RequestInProgress(QueueOperation operation, long sector, long sectorCount) {

  /** Takes apart the word that queue_activity.kind_sectors describes; it is not 0. */
  static RequestInProgress of(long kindSectors, long sector) {
    int kind = (int) (kindSectors >>> 32) - 1;
    return new RequestInProgress(
        QueueOperation.of(kind), sector, Integer.toUnsignedLong((int) kindSectors));
  }
}
