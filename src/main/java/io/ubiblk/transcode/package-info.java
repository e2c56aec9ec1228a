// SPDX-License-Identifier: AGPL-3.0-only
/**
 * Turning the sectors of a disk into others while nobody serves it: encode, decode, and other keys,
 * in place with a journal or as a copy; and the marker that keeps a configuration with other keys
 * away from a disk. docs/reencryption.md describes the files and their order.
 */
package io.ubiblk.transcode;
