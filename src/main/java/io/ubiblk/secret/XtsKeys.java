// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

/**
 * The two AES-256-XTS keys of a disk, until they are handed to whoever encrypts with them.
 *
 * <p>They are handed over once: the receiver copies them into memory that is locked and zeroed on
 * free, and the bytes here are zeroed before {@link #handOver} returns.
 */
public final class XtsKeys implements AutoCloseable {
  /** Bytes of each of the two keys. */
  public static final int KEY_BYTES = 32;

  private final Secret dataKey;
  private final Secret tweakKey;

  private XtsKeys(Secret dataKey, Secret tweakKey) {
    this.dataKey = dataKey;
    this.tweakKey = tweakKey;
  }

  /**
   * Takes both keys.
   *
   * @throws IllegalArgumentException if one is not {@link #KEY_BYTES} long
   */
  public static XtsKeys take(Secret dataKey, Secret tweakKey) {
    if (dataKey.length() != KEY_BYTES || tweakKey.length() != KEY_BYTES) {
      throw new IllegalArgumentException("an XTS key is not " + KEY_BYTES + " bytes long");
    }
    return new XtsKeys(dataKey, tweakKey);
  }

  /** Whether both keys are the same, which weakens XTS; no new disk should have such keys. */
  public boolean halvesEqual() {
    return dataKey.sameBytes(tweakKey);
  }

  /**
   * Lends both keys to {@code receiver}, which copies what it needs and keeps neither array; then
   * zeroes them, also when the receiver fails. Can be called once.
   */
  public <T, E extends Exception> T handOver(Receiver<T, E> receiver) throws E {
    try {
      return dataKey.lend(data -> tweakKey.lend(tweak -> receiver.receive(data, tweak)));
    } finally {
      close();
    }
  }

  @Override
  public void close() {
    dataKey.close();
    tweakKey.close();
  }

  @Override
  public String toString() {
    return "[redacted]";
  }

  /** Copies the keys to where they are used. */
  @FunctionalInterface
  public interface Receiver<T, E extends Exception> {
    /** Gets the data key (the first of the list) and the tweak key (the second). */
    T receive(byte[] dataKey, byte[] tweakKey) throws E;
  }
}
