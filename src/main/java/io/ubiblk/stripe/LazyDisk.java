// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.MetadataFormat;
import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A disk that is filled while it is used: hears what guests wait for, fetches it and everything
 * else, and makes it durable.
 *
 * <pre>
 *   stripe-misses ─► StripeFetcher (fetch-N) ─► StripeCommitter (stripe-commit) ─► published
 * </pre>
 */
public final class LazyDisk implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(LazyDisk.class);

  private final StripeMisses misses;
  private final StripeFetcher fetcher;
  private final StripeCommitter committer;
  private final StepTimes times;
  private final Thread listening;
  private final Thread committing;
  private final long closeMs;

  private LazyDisk(
      LazyDiskSettings settings,
      StripeMisses misses,
      StripeFetcher fetcher,
      StripeCommitter committer,
      StepTimes times,
      StripeBuffer sectors) {
    this.misses = misses;
    this.fetcher = fetcher;
    this.committer = committer;
    this.times = times;
    this.closeMs = settings.closeMs();
    this.listening = thread("stripe-misses", new MissListener(misses, fetcher)::run);
    this.committing = thread("stripe-commit", () -> commit(sectors));
  }

  /**
   * Starts filling.
   *
   * @param source where stripes come from; may be absent when nothing is left to fetch. Belongs to
   *     the lazy disk from a successful start on, which closes it as soon as nothing needs it
   * @param whenComplete called once, by a thread that may wait, when every stripe is fetched and
   *     the source is closed; soon if that is so from the start
   * @throws IOException if the source does not fit the disk, or is missing
   */
  public static LazyDisk start(
      LazyDiskSettings settings,
      StripeDisk disk,
      MetadataFormat format,
      StripeMisses misses,
      Optional<StripeSource> source,
      StripeBuffer.Factory buffers,
      Runnable whenComplete)
      throws IOException {
    Surroundings real =
        new Surroundings(Ticker.system(), () -> ThreadLocalRandom.current().nextDouble());
    return start(settings, disk, format, misses, source, buffers, whenComplete, real);
  }

  static LazyDisk start(
      LazyDiskSettings settings,
      StripeDisk disk,
      MetadataFormat format,
      StripeMisses misses,
      Optional<StripeSource> source,
      StripeBuffer.Factory buffers,
      Runnable whenComplete,
      Surroundings surroundings)
      throws IOException {
    checkSource(disk, source);
    CommitQueue commits = new CommitQueue(format);
    StepTimes times = new StepTimes(surroundings.ticker());
    StripeDisk timed = times.timed(disk);
    StripeBuffer sectors =
        buffers.allocate(
            "sectors of the metadata file",
            MetadataWriter.SECTORS_MAX * MetadataFormat.SECTOR_BYTES);
    StripeCommitter committer =
        new StripeCommitter(
            timed,
            commits,
            new MetadataWriter(timed, format, sectors.bytes()),
            settings.trackWritten(),
            surroundings);
    StripeFetcher fetcher =
        new StripeFetcher(
            settings,
            timed,
            new OpenSource(source.map(times::timed)),
            commits,
            buffers,
            surroundings,
            whenComplete);
    LazyDisk lazy = new LazyDisk(settings, misses, fetcher, committer, times, sectors);
    try {
      lazy.committing.start();
      lazy.listening.start();
      fetcher.start(settings.autofetch());
    } catch (RuntimeException | OutOfMemoryError e) {
      lazy.close(); // a thread that did start waits for misses, which would keep the disk open
      throw e;
    }
    return lazy;
  }

  /** A disk that could never be filled, or not with what belongs there, does not start. */
  private static void checkSource(StripeDisk disk, Optional<StripeSource> source)
      throws IOException {
    int last = disk.stripeCount() - 1;
    long diskBytes = (long) last * disk.stripeBytes(0) + disk.stripeBytes(last);
    if (source.isPresent() && source.get().byteLength() > diskBytes) {
      throw new IOException(
          "%s has %d bytes, more than the disk, which has %d"
              .formatted(source.get().describe(), source.get().byteLength(), diskBytes));
    }
    int missing = 0;
    for (int stripe = 0; stripe <= last; stripe++) {
      int flags = disk.flags(stripe);
      missing += StripeFlags.mustBeFetched(flags) ? 1 : 0;
      if (source.isPresent()
          && (flags & StripeFlags.HAS_SOURCE) != 0
          && !source.get().has(stripe)) {
        throw new IOException(
            "the metadata says that stripe %d has a source, but %s does not have it"
                .formatted(stripe, source.get().describe()));
      }
    }
    if (missing != 0 && source.isEmpty()) {
      throw new IOException(
          missing + " stripes are not fetched yet, and there is no stripe source");
    }
  }

  /** How far it is. Any thread. */
  public StripeProgress progress() {
    return fetcher.progress(committer.error(), times.snapshot());
  }

  /**
   * Tries again now whatever has failed and waits for its time, the metadata file too; returns how
   * many stripes. Those that no guest waits for are neither tried nor counted while fetching in the
   * background is off or paused. Any thread.
   */
  public int retryNow() {
    committer.retryNow();
    return fetcher.retryNow();
  }

  /** Stops fetching what nobody waits for; what is in progress ends. Any thread. */
  public AutofetchState pauseAutofetch() {
    return fetcher.setAutofetch(false);
  }

  /** Fetches what nobody waits for, whether or not that was configured. Any thread. */
  public AutofetchState resumeAutofetch() {
    return fetcher.setAutofetch(true);
  }

  /**
   * Ends everything in the order in which it is used: no more misses, no more fetches, then what
   * was fetched becomes durable, unless that fails. Takes at most the time of the settings, and
   * lets what hangs then end by itself; that touches the disk no more, unless it is inside a call
   * to it.
   */
  @Override
  public void close() {
    Deadline deadline = Deadline.in(closeMs);
    // A source that hangs must not cost what has been fetched the time to become durable.
    Deadline half = Deadline.in(closeMs / 2);
    misses.close();
    try {
      boolean ended = half.join(listening);
      ended &= fetcher.stop(half);
      committer.close();
      ended &= deadline.join(committing);
      if (!ended) {
        abandon();
        LOG.warn("fetching has not ended within {} ms", closeMs);
      }
    } catch (InterruptedException e) {
      abandon();
      Thread.currentThread().interrupt();
    }
  }

  private void abandon() {
    fetcher.abandon();
    committing.interrupt();
  }

  private void commit(StripeBuffer sectors) {
    try (sectors) {
      committer.run(fetcher);
    } catch (IOException e) {
      LOG.warn("a buffer of the metadata file was not given back: {}", e.getMessage());
    }
  }

  private static Thread thread(String name, Runnable body) {
    Thread thread = new Thread(body, name);
    thread.setDaemon(true);
    return thread;
  }
}
