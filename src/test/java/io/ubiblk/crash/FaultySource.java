// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.stripe.StripeSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Random;

/** A source that fails now and then, having filled a part of the buffer with something. */
final class FaultySource implements StripeSource {
  private final StripeSource source;
  private final Random random;
  private int perMille;

  FaultySource(StripeSource source, long seed) {
    this.source = source;
    this.random = new Random(seed);
  }

  /** How many of a thousand reads fail from here on. */
  synchronized void fail(int readsPerMille) {
    perMille = readsPerMille;
  }

  private synchronized boolean fails() {
    return random.nextInt(1000) < perMille;
  }

  @Override
  public void read(int stripe, ByteBuffer into) throws IOException, InterruptedException {
    if (fails()) {
      for (int i = into.remaining() / 2; i > 0; i--) {
        into.put((byte) i);
      }
      throw new IOException("an injected failure");
    }
    source.read(stripe, into);
  }

  @Override
  public long byteLength() {
    return source.byteLength();
  }

  @Override
  public boolean has(int stripe) {
    return source.has(stripe);
  }

  @Override
  public String describe() {
    return source.describe();
  }

  @Override
  public void close() throws IOException {
    source.close();
  }
}
