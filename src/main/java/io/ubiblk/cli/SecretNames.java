// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

/** The names of secrets for help texts, in lines that are not broken inside a name. */
final class SecretNames {
  static final String LINE_1 = "encryption_key[0], encryption_key[1],";
  static final String LINE_2 = "psk_secret,";
  static final String LINE_3 = "access_key_id, secret_access_key,";
  static final String LINE_4 = "archive_kek.key, archive_kek.init_vector,";
  static final String LINE_5 = "archive_kek.auth_data.";

  private SecretNames() {}
}
