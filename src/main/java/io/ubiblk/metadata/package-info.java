// SPDX-License-Identifier: AGPL-3.0-only
/**
 * The metadata file: what is known about each stripe of a disk, on disk. Formats, creating, loading
 * and checking; when which sector is written is decided above. docs/metadata.md describes the file.
 */
package io.ubiblk.metadata;
