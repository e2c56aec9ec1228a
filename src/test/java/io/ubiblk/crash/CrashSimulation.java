// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/** Takes crash states of recordings, recovers each, and counts the different ones. One thread. */
final class CrashSimulation implements AutoCloseable {
  private static final int THREADS = 2;

  private final Laboratory laboratory;
  private final ExecutorService threads = Executors.newFixedThreadPool(THREADS);
  private final Set<ByteBuffer> states = ConcurrentHashMap.newKeySet();
  private final AtomicInteger statesInCommit = new AtomicInteger();

  CrashSimulation(Laboratory laboratory) {
    this.laboratory = laboratory;
  }

  /** Different states so far. */
  int stateCount() {
    return states.size();
  }

  /** Those of them whose cut was inside a commit. */
  int stateInCommitCount() {
    return statesInCommit.get();
  }

  /** Recovers {@code count} different states of a recording, or as many as chance finds soon. */
  Findings check(Recording recording, int count, Random random)
      throws IOException, InterruptedException {
    Findings findings = new Findings();
    List<Future<?>> shares = new ArrayList<>();
    for (int thread = 0; thread < THREADS; thread++) {
      Recovery recovery = new Recovery(laboratory, recording, "recovered-" + thread);
      Random own = new Random(random.nextLong());
      shares.add(
          threads.submit(
              () -> {
                check(recovery, recording, count / THREADS, own, findings);
                return null;
              }));
    }
    for (Future<?> share : shares) {
      await(share);
    }
    return findings;
  }

  private void check(
      Recovery recovery, Recording recording, int count, Random random, Findings findings)
      throws IOException {
    int checked = 0;
    for (int i = 0; checked < count && i < 4 * count; i++) {
      CrashState state =
          random.nextInt(5) < 2 ? recording.stateInCommit(random) : recording.anyState(random);
      ByteBuffer hash = state.hash();
      if (states.add(hash)) {
        checked++;
        findings.add(recovery.check(state));
        statesInCommit.addAndGet(recording.isInCommit(state) ? 1 : 0);
      }
    }
  }

  private static void await(Future<?> share) throws IOException, InterruptedException {
    try {
      share.get();
    } catch (ExecutionException e) {
      throw new IOException("a recovery failed", e.getCause());
    }
  }

  @Override
  public void close() {
    threads.shutdownNow();
  }
}
