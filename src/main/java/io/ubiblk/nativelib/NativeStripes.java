// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * The stripes of a disk that is filled on demand: their states, which the queues look at, the
 * misses that they report, and the way of fetched content to the base disk.
 *
 * <p>Made before the front end is started, and closed after it was. Any thread, except that one at
 * a time waits for misses.
 */
public final class NativeStripes extends NativeHandle {
  /** Bytes of one miss in a batch: kind and stripe, two ints in native order. */
  public static final int MISS_BYTES = 8;

  /** Kind of a miss: a read waits for the stripe. */
  public static final int MISS_READ = 0;

  /** Kind of a miss: a write waits for the stripe. */
  public static final int MISS_WRITE = 1;

  private final ByteBuffer flags;

  private NativeStripes(long address, NativeDevice device) {
    super("the stripes", address, device);
    flags = flags(address);
  }

  /**
   * Makes the disk wait for its stripes.
   *
   * @param shift a stripe has 2^shift sectors
   * @param flags what the metadata file says of every stripe; direct, from position to limit
   * @param trackWritten whether writes wait until the stripe is marked as written
   * @param fetchTimeoutMs how long a request waits for a stripe; 0: for ever
   * @param image where reads go to whose stripe was not fetched; empty: they wait
   */
  public static NativeStripes attach(
      NativeDevice device,
      int shift,
      ByteBuffer flags,
      boolean trackWritten,
      long fetchTimeoutMs,
      Optional<Image> image)
      throws IOException {
    checkDirect(flags);
    byte[] path = image.map(raw -> NativeText.encode("the image", raw.path())).orElse(null);
    long imageBytes = image.map(Image::byteLength).orElse(0L);
    long address =
        device.use(
            deviceAddress ->
                attach(
                    deviceAddress,
                    shift,
                    flags,
                    flags.position(),
                    trackWritten,
                    fetchTimeoutMs,
                    path,
                    imageBytes));
    return new NativeStripes(address, device);
  }

  /** Stripes of the disk. */
  public int stripeCount() {
    return flags.capacity();
  }

  /** Bytes of a stripe; the last one of the disk may be shorter. */
  public int stripeBytes(int stripe) {
    checkStripe(stripe);
    return Math.toIntExact(use(address -> stripeBytes(address, stripe)));
  }

  /** What is published of a stripe at this moment. */
  public int flags(int stripe) {
    checkStripe(stripe);
    return use(address -> flagsOf(address, stripe));
  }

  /** Publishes flags of a stripe; whoever waits for them looks at the next {@link #wake}. */
  public void publish(int stripe, int set, int clear) {
    checkStripe(stripe);
    use(
        address -> {
          publish(address, stripe, set, clear);
          return null;
        });
  }

  /** Lets requests that wait look at what was published. */
  public void wake() {
    use(
        address -> {
          wake(address);
          return null;
        });
  }

  /**
   * Waits for misses and puts as many as are there, and fit, into {@code batch} from its position
   * on.
   *
   * @return how many; -1 once {@link #endMisses} was called
   */
  public int awaitMisses(ByteBuffer batch) {
    checkDirect(batch);
    int max = batch.remaining() / MISS_BYTES;
    if (max == 0) {
      throw new IllegalArgumentException("the batch has no room for a miss");
    }
    return use(address -> awaitMisses(address, batch, batch.position(), max));
  }

  /** Ends the waiting for misses, now and for ever. */
  public void endMisses() {
    use(
        address -> {
          endMisses(address);
          return null;
        });
  }

  /**
   * Writes a stripe's content to the base disk, enciphered if the disk is, and waits.
   *
   * @param content of a {@link NativeBuffer}, from its start; means nothing afterwards
   */
  public void write(int stripe, ByteBuffer content) throws IOException {
    checkStripe(stripe);
    checkDirect(content);
    if (content.position() != 0 || content.limit() != stripeBytes(stripe)) {
      throw new IllegalArgumentException(
          "stripe %d has %d bytes, the buffer goes from %d to %d"
              .formatted(stripe, stripeBytes(stripe), content.position(), content.limit()));
    }
    use(
        address -> {
          write(address, stripe, content);
          return null;
        });
  }

  /**
   * Makes completed writes of stripes durable. A failure is told to everybody: it is the disk's.
   */
  public void sync() throws IOException {
    use(
        address -> {
          sync(address);
          return null;
        });
  }

  /** How many syncs of the base disk have failed, whoever issued them. */
  public long syncFailures() {
    return use(address -> syncFailures(address));
  }

  /** The queues let go of the image; nothing will be read from it any more. */
  public void dropImage() {
    use(
        address -> {
          dropImage(address);
          return null;
        });
  }

  /** The native object ends with the disk. */
  @Override
  void destroy(long address) {
    // Nothing here is ours alone.
  }

  private void checkStripe(int stripe) {
    if (stripe < 0 || stripe >= stripeCount()) {
      throw new IndexOutOfBoundsException(
          "stripe " + stripe + " of a disk that has " + stripeCount());
    }
  }

  private static void checkDirect(ByteBuffer buffer) {
    if (!buffer.isDirect()) {
      throw new IllegalArgumentException("native code takes direct buffers only");
    }
  }

  /**
   * A raw image that reads may go to.
   *
   * @param path where it is
   * @param byteLength what counts as its length: that at the time when it was opened
   */
  public record Image(String path, long byteLength) {}

  private static native long attach(
      long device,
      int shift,
      ByteBuffer flags,
      int flagsPosition,
      boolean trackWritten,
      long fetchTimeoutMs,
      byte[] imagePath,
      long imageBytes)
      throws IOException;

  private static native ByteBuffer flags(long stripes);

  private static native int flagsOf(long stripes, int stripe);

  private static native long stripeBytes(long stripes, int stripe);

  private static native void publish(long stripes, int stripe, int set, int clear);

  private static native void wake(long stripes);

  private static native int awaitMisses(long stripes, ByteBuffer batch, int position, int max);

  private static native void endMisses(long stripes);

  private static native void write(long stripes, int stripe, ByteBuffer content) throws IOException;

  private static native void sync(long stripes) throws IOException;

  private static native long syncFailures(long stripes);

  private static native void dropImage(long stripes);
}
