// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

/**
 * A guest request in progress.
 *
 * @param kind what the guest asked for
 * @param sector first 512-byte sector; 0 for a flush
 * @param sectorCount number of sectors; 0 for a flush
 */
public record ActiveRequest(Kind kind, long sector, long sectorCount) {

  /** The kinds that the RPC shows. */
  public enum Kind {
    READ,
    WRITE,
    FLUSH
  }
}
