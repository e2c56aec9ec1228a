// SPDX-License-Identifier: AGPL-3.0-only
/** The command line: one picocli command per program, parsing only. */
package io.ubiblk.cli;
