// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import java.io.InputStream;
import java.io.OutputStream;
import java.security.SecureRandom;

/**
 * Where the tools for keys get bytes from and bring them to.
 *
 * @param random makes keys and nonces
 * @param in standard input, without a buffer that would keep what was read
 * @param out standard output, likewise
 */
record SecretStreams(SecureRandom random, InputStream in, OutputStream out) {}
