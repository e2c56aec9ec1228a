// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.IOException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A source that is closed once, by whoever comes first, and what is done after that. */
final class OpenSource {
  private static final Logger LOG = LoggerFactory.getLogger(OpenSource.class);

  /** Guarded by this; empty when there is none, or when it is closed. */
  private Optional<StripeSource> source;

  OpenSource(Optional<StripeSource> source) {
    this.source = source;
  }

  /** The source to read from; the caller knows that there is one. */
  synchronized StripeSource get() throws IOException {
    return source.orElseThrow(() -> new IOException("the stripe source is closed"));
  }

  synchronized Optional<String> description() {
    return source.map(StripeSource::describe);
  }

  /** Closes it; false if it was closed before, or never there. */
  boolean close() {
    Optional<StripeSource> closing;
    synchronized (this) {
      closing = source;
      source = Optional.empty();
    }
    closing.ifPresent(OpenSource::close);
    return closing.isPresent();
  }

  private static void close(StripeSource source) {
    try {
      source.close();
    } catch (IOException | RuntimeException e) {
      // It was only read from, so nothing is lost.
      LOG.warn("closing {}: {}", source.describe(), e.getMessage());
    }
  }
}
