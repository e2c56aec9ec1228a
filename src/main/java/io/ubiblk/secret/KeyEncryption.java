// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Optional;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * The key-encrypting key (KEK): opens wrapped values, and seals new ones.
 *
 * <p>AES-256-GCM in two dialects, told apart by whether the KEK has an {@code init_vector}:
 *
 * <ul>
 *   <li>With it, a value is body ‖ tag, the nonce of every value is the init_vector, and the
 *       additional data is auth_data, which must be there. Read, never written.
 *   <li>Without it, a value is nonce ‖ body ‖ tag, and the additional data is auth_data if that is
 *       there, else the name of the value. Read and written.
 * </ul>
 *
 * <p>The first dialect uses one nonce for every value, which reveals the XOR of any two of them, so
 * it is only read. In the second, the value's name as additional data binds a value to its place:
 * the halves of a key cannot be exchanged.
 *
 * <p>The parts are looked at when a value is opened, not before: a KEK that nothing needs is not
 * judged.
 */
public final class KeyEncryption implements AutoCloseable {
  /** Bytes of an AES-256 key. */
  public static final int KEY_BYTES = 32;

  /** Bytes of a nonce. */
  public static final int NONCE_BYTES = 12;

  /** Bytes of the authentication tag at the end of a wrapped value. */
  public static final int TAG_BYTES = 16;

  /** Ways to wrap a value. */
  public enum Dialect {
    /** Not at all. */
    NONE,
    /** With the init_vector of the KEK as everybody's nonce. */
    INIT_VECTOR,
    /** With a nonce of the value's own, in front of it. */
    OWN_NONCE
  }

  private static final String TRANSFORMATION = "AES/GCM/NoPadding";

  private final boolean sealing;
  private final Optional<Secret> key;
  private final Optional<Secret> initVector;
  private final Optional<Secret> authData;

  private KeyEncryption(
      boolean sealing,
      Optional<Secret> key,
      Optional<Secret> initVector,
      Optional<Secret> authData) {
    this.sealing = sealing;
    this.key = key;
    this.initVector = initVector;
    this.authData = authData;
  }

  /** Method {@code none}: values are taken as they are. */
  public static KeyEncryption none() {
    return new KeyEncryption(false, Optional.empty(), Optional.empty(), Optional.empty());
  }

  /** Method {@code aes256-gcm}; takes the three secrets, and closes them when it is closed. */
  public static KeyEncryption aes256Gcm(
      Optional<Secret> key, Optional<Secret> initVector, Optional<Secret> authData) {
    return new KeyEncryption(true, key, initVector, authData);
  }

  /** How values are wrapped under this KEK. */
  public Dialect dialect() {
    if (!sealing) {
      return Dialect.NONE;
    }
    return initVector.isPresent() ? Dialect.INIT_VECTOR : Dialect.OWN_NONCE;
  }

  /** Whether a value that this KEK seals opens only under the name that it was sealed under. */
  public boolean bindsNames() {
    return dialect() == Dialect.OWN_NONCE && authData.isEmpty();
  }

  /**
   * Why {@link #seal} would fail, as a sentence about one key of the KEK; empty if it would not.
   */
  public Optional<String> sealingRefusal() {
    if (!sealing) {
      return Optional.of("method: is none, which wraps nothing");
    } else if (initVector.isPresent()) {
      return Optional.of(
          "init_vector: must not be there: one nonce for every value reveals the XOR of any two of"
              + " them, so nothing new is wrapped that way");
    } else if (key.isEmpty()) {
      return Optional.of("key: is required, but not there");
    } else if (key.get().length() != KEY_BYTES) {
      return Optional.of("key: must be %d bytes, is %d".formatted(KEY_BYTES, key.get().length()));
    }
    return Optional.empty();
  }

  /**
   * Opens a wrapped value. The caller keeps {@code wrapped} and owns what is returned.
   *
   * @param name the name the value was sealed under; see {@link KeyEncryption}
   * @throws GeneralSecurityException with a sentence for the operator, if it does not open
   */
  public Secret open(String name, Secret wrapped) throws GeneralSecurityException {
    if (!sealing) {
      return wrapped.copy();
    }
    SecretKeySpec aesKey = aesKey();
    if (initVector.isPresent()) {
      byte[] nonce = initVector.get().lend(byte[]::clone);
      byte[] additional = givenAuthData();
      requireRoom(wrapped, TAG_BYTES);
      return wrapped.lend(value -> open(aesKey, nonce, additional, value, 0));
    }
    byte[] additional = additionalData(name);
    requireRoom(wrapped, NONCE_BYTES + TAG_BYTES);
    return wrapped.lend(
        value -> open(aesKey, Arrays.copyOf(value, NONCE_BYTES), additional, value, NONCE_BYTES));
  }

  /**
   * Seals {@code plain} under a fresh nonce as nonce ‖ body ‖ tag.
   *
   * @throws IllegalStateException if this KEK has an init_vector or method none: nothing is written
   *     under those
   */
  public byte[] seal(String name, Secret plain, SecureRandom random)
      throws GeneralSecurityException {
    if (!sealing || initVector.isPresent()) {
      throw new IllegalStateException("new values are sealed only under a KEK without init_vector");
    }
    byte[] nonce = new byte[NONCE_BYTES];
    random.nextBytes(nonce);
    Cipher cipher = cipher(Cipher.ENCRYPT_MODE, aesKey(), nonce, additionalData(name));
    byte[] sealed = Arrays.copyOf(nonce, NONCE_BYTES + plain.length() + TAG_BYTES);
    plain.lend(bytes -> cipher.doFinal(bytes, 0, bytes.length, sealed, NONCE_BYTES));
    return sealed;
  }

  @Override
  public void close() {
    key.ifPresent(Secret::close);
    initVector.ifPresent(Secret::close);
    authData.ifPresent(Secret::close);
  }

  @Override
  public String toString() {
    return sealing ? "aes256-gcm [redacted]" : "none";
  }

  private static Secret open(
      SecretKeySpec aesKey, byte[] nonce, byte[] additional, byte[] value, int offset)
      throws GeneralSecurityException {
    Cipher cipher = cipher(Cipher.DECRYPT_MODE, aesKey, nonce, additional);
    try {
      return Secret.take(cipher.doFinal(value, offset, value.length - offset));
    } catch (AEADBadTagException e) {
      throw new GeneralSecurityException(
          "does not open under the KEK: another KEK sealed it, or it was altered");
    }
  }

  private static Cipher cipher(int mode, SecretKeySpec aesKey, byte[] nonce, byte[] additional)
      throws GeneralSecurityException {
    Cipher cipher = Cipher.getInstance(TRANSFORMATION);
    cipher.init(mode, aesKey, new GCMParameterSpec(TAG_BYTES * 8, nonce));
    cipher.updateAAD(additional);
    return cipher;
  }

  /** JCA copies the key and offers no way to zero that copy; it becomes garbage with the cipher. */
  private SecretKeySpec aesKey() throws GeneralSecurityException {
    Secret bytes =
        key.orElseThrow(() -> new GeneralSecurityException("is wrapped, and the KEK has no key"));
    requireLength("key", bytes, KEY_BYTES);
    if (initVector.isPresent()) {
      requireLength("init_vector", initVector.get(), NONCE_BYTES);
    }
    return bytes.lend(raw -> new SecretKeySpec(raw, "AES"));
  }

  /** JCA fails in its own ways on a value that is shorter than its tag, so it never sees one. */
  private static void requireRoom(Secret wrapped, int bytes) throws GeneralSecurityException {
    if (wrapped.length() < bytes) {
      throw new GeneralSecurityException(
          "does not open under the KEK: it is %d bytes, and a wrapped value has at least %d"
              .formatted(wrapped.length(), bytes));
    }
  }

  private static void requireLength(String part, Secret secret, int bytes)
      throws GeneralSecurityException {
    if (secret.length() != bytes) {
      throw new GeneralSecurityException(
          "does not open: the KEK's "
              + part
              + " must be "
              + bytes
              + " bytes, is "
              + secret.length());
    }
  }

  private byte[] givenAuthData() throws GeneralSecurityException {
    return authData
        .orElseThrow(
            () ->
                new GeneralSecurityException(
                    "does not open: the KEK has init_vector but no auth_data (it may be empty, but"
                        + " must be there)"))
        .lend(byte[]::clone);
  }

  private byte[] additionalData(String name) {
    return authData.isPresent()
        ? authData.get().lend(byte[]::clone)
        : name.getBytes(StandardCharsets.UTF_8);
  }
}
