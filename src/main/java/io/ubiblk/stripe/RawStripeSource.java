// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.config.FailureReason;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousFileChannel;
import java.nio.channels.ClosedChannelException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Set;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * Stripes of a raw image: a file of any length, or a block device, of this host.
 *
 * <p>An asynchronous channel whose reads run on the calling thread: any number of threads read at
 * once, and unlike a {@code FileChannel} it is not closed for all of them when one is interrupted.
 */
public final class RawStripeSource implements StripeSource {
  private static final int MODE_KIND = 0xf000;
  private static final int MODE_FILE = 0x8000;
  private static final int MODE_BLOCK_DEVICE = 0x6000;

  private final Path path;
  private final AsynchronousFileChannel channel;
  private final long byteLength;
  private final int stripeBytes;

  /** Both guarded by this. */
  private int readerCount;

  private boolean closed;

  private RawStripeSource(
      Path path, AsynchronousFileChannel channel, long byteLength, int stripeBytes) {
    this.path = path;
    this.channel = channel;
    this.byteLength = byteLength;
    this.stripeBytes = stripeBytes;
  }

  /**
   * Opens an image for reading. Its length is what it is now.
   *
   * @param stripeBytes bytes of every stripe of the disk but the last
   */
  public static RawStripeSource open(Path path, int stripeBytes) throws IOException {
    AsynchronousFileChannel channel = channel(path);
    try {
      return new RawStripeSource(path, channel, channel.size(), stripeBytes);
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }

  private static AsynchronousFileChannel channel(Path path) throws IOException {
    try {
      int kind = (Integer) Files.getAttribute(path, "unix:mode") & MODE_KIND;
      if (kind != MODE_FILE && kind != MODE_BLOCK_DEVICE) {
        throw new IOException(path + " is neither a file nor a block device");
      }
      return AsynchronousFileChannel.open(
          path, Set.of(StandardOpenOption.READ), new CallingThread());
    } catch (FileSystemException e) {
      throw new IOException(
          "cannot open the raw image %s: %s".formatted(path, FailureReason.of(e)), e);
    }
  }

  @Override
  public long byteLength() {
    return byteLength;
  }

  @Override
  public boolean has(int stripe) {
    return offset(stripe) < byteLength;
  }

  @Override
  public void read(int stripe, ByteBuffer into) throws IOException, InterruptedException {
    if (!has(stripe)) {
      throw new IllegalArgumentException(describe() + " has no stripe " + stripe);
    }
    enter();
    try {
      int end = into.limit();
      long left = byteLength - offset(stripe);
      into.limit(into.position() + (int) Math.min(into.remaining(), left));
      readFully(offset(stripe), into);
      into.limit(end);
      while (into.hasRemaining()) {
        into.put((byte) 0);
      }
    } finally {
      leave();
    }
  }

  private void readFully(long offset, ByteBuffer into) throws IOException, InterruptedException {
    long position = offset;
    while (into.hasRemaining()) {
      if (Thread.interrupted()) {
        throw new InterruptedException();
      }
      int count = readOnce(position, into);
      if (count <= 0) {
        throw new IOException(
            "%s ends at byte %d; it had %d when it was opened"
                .formatted(describe(), position, byteLength));
      }
      position += count;
    }
  }

  private int readOnce(long position, ByteBuffer into) throws IOException, InterruptedException {
    try {
      return channel.read(into, position).get();
    } catch (ExecutionException e) {
      throw new IOException(
          "%s at byte %d: %s".formatted(describe(), position, e.getCause().getMessage()), e);
    }
  }

  private long offset(int stripe) {
    return (long) stripe * stripeBytes;
  }

  @Override
  public String describe() {
    return "raw image " + path;
  }

  private synchronized void enter() throws IOException {
    if (closed) {
      throw new ClosedChannelException();
    }
    readerCount++;
  }

  /** The last reader of a closed source closes the file: close waits for no read that hangs. */
  private void leave() throws IOException {
    synchronized (this) {
      readerCount--;
      if (!closed || readerCount != 0) {
        return;
      }
    }
    channel.close();
  }

  @Override
  public void close() throws IOException {
    synchronized (this) {
      closed = true;
      if (readerCount != 0) {
        return;
      }
    }
    channel.close();
  }

  /** Runs what it is given at once. The channel asks nothing else of it. */
  private static final class CallingThread extends AbstractExecutorService {
    @Override
    public void execute(Runnable command) {
      command.run();
    }

    @Override
    public void shutdown() {
      // There are no threads to end.
    }

    @Override
    public List<Runnable> shutdownNow() {
      return List.of();
    }

    @Override
    public boolean isShutdown() {
      return false;
    }

    @Override
    public boolean isTerminated() {
      return false;
    }

    @Override
    public boolean awaitTermination(long timeout, TimeUnit unit) {
      return false;
    }
  }
}
