// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

/** Who computes AES-XTS. */
public enum XtsEngine implements Key.Worded {
  /** The fastest that works on this machine. */
  AUTO("auto"),
  /** Ours, on 512-bit vectors. */
  VAES512("vaes512"),
  /** Ours, on 256-bit vectors. */
  VAES256("vaes256"),
  /** Ours, with the AES instructions of any x86-64. */
  AESNI("aesni"),
  /** The installed libisal_crypto. */
  ISA_L("isa-l"),
  /** The installed libcrypto. */
  OPENSSL("openssl");

  private final String text;

  XtsEngine(String text) {
    this.text = text;
  }

  @Override
  public String text() {
    return text;
  }
}
