// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

/**
 * How far the work has come: all before it has the new keys.
 *
 * @param target index of the target that is being worked on
 * @param sector the first of its sectors that may hold something under the old keys
 */
record Position(int target, long sector) {
  static final Position START = new Position(0, 0);
}
