// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.nativelib.CrashRecorder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What was written and synced, in one order, and from when on each write is certain to survive.
 *
 * <p>A write is durable once a sync of its file has succeeded that began after the write had ended;
 * unless another one failed in between, for the kernel may have dropped then what it could not
 * write, and says so only once. A durable write (DSYNC) is durable when it has succeeded; when it
 * fails, that is a failed sync as well. What is not durable may be there in any part.
 */
final class CrashRecord {
  /** Mark of the test: a commit begins. Marks of the guest are positive. */
  static final long COMMIT_BEGINS = -1;

  /** Mark of the test: a commit has ended. */
  static final long COMMIT_ENDS = -2;

  /** A moment that never comes. */
  static final int NEVER = Integer.MAX_VALUE;

  private static final int WRITE_BEGIN = 0;
  private static final int WRITE_END = 1;
  private static final int SYNC_BEGIN = 2;
  private static final int SYNC_END = 3;
  private static final int WORDS = 8;

  /** One write or sync of a file; moments are numbers of events. */
  static final class Action {
    final boolean write;
    final int file;
    final int begunAt;
    final int offset;
    final int length;
    final int dataOffset;

    /** Of a write: it is durable by itself. */
    final boolean durable;

    /** Something was being committed when it began. */
    final boolean inCommit;

    int endedAt = NEVER;
    boolean failed;
    int durableAt = NEVER;

    private Action(long[] words, int event, boolean inCommit, boolean canBeDurable) {
      this.inCommit = inCommit;
      int at = event * WORDS;
      write = words[at] == WRITE_BEGIN;
      file = (int) words[at + 1];
      begunAt = event;
      offset = Math.toIntExact(words[at + 3]);
      length = Math.toIntExact(words[at + 4]);
      dataOffset = Math.toIntExact(words[at + 5]);
      durable = canBeDurable && words[at + 7] == 1;
    }

    private boolean syncs() {
      return !write || durable;
    }
  }

  private final byte[] data;
  private final List<Action> actions = new ArrayList<>();
  private final int eventCount;
  private final int[] guestMarks;
  private final List<Integer> commitCuts = new ArrayList<>();

  private CrashRecord(long[] words, byte[] data, Mutation mutation) {
    this.data = data;
    eventCount = words.length / WORDS;
    guestMarks = new int[eventCount + 1];
    read(words, mutation);
    actions.removeIf(mutation::leavesOut);
    actions.stream().filter(action -> action.write).forEach(this::findDurability);
  }

  /** The record that has just ended, without what a mutation leaves out. */
  static CrashRecord take(Mutation mutation) {
    return new CrashRecord(CrashRecorder.events(), CrashRecorder.data(), mutation);
  }

  private void read(long[] words, Mutation mutation) {
    Map<Long, Action> open = new HashMap<>();
    boolean committing = false;
    for (int event = 0; event < eventCount; event++) {
      int at = event * WORDS;
      int kind = (int) words[at];
      guestMarks[event + 1] = guestMarks[event];
      if (kind == WRITE_BEGIN || kind == SYNC_BEGIN) {
        Action action = new Action(words, event, committing, !mutation.leavesOutDurability());
        actions.add(action);
        open.put(words[at + 2], action);
      } else if (kind == WRITE_END || kind == SYNC_END) {
        Action action = open.remove(words[at + 2]);
        action.endedAt = event;
        action.failed = words[at + 6] != 0;
      } else if (words[at + 7] > 0) {
        guestMarks[event + 1] = Math.toIntExact(words[at + 7]);
      } else {
        committing = words[at + 7] == COMMIT_BEGINS;
      }
      if (committing) {
        commitCuts.add(event + 1);
      }
    }
  }

  private void findDurability(Action write) {
    if (write.durable && !write.failed) {
      write.durableAt = write.endedAt;
      return;
    } else if (write.failed || write.endedAt == NEVER) {
      return;
    }
    int lostAt = NEVER;
    for (Action other : actions) {
      if (other.syncs()
          && other.failed
          && sameFile(write, other)
          && other.begunAt > write.begunAt) {
        lostAt = Math.min(lostAt, other.endedAt);
      }
    }
    for (Action sync : actions) {
      if (!sync.write
          && !sync.failed
          && sameFile(write, sync)
          && sync.begunAt > write.endedAt
          && sync.begunAt < lostAt) {
        write.durableAt = Math.min(write.durableAt, sync.endedAt);
      }
    }
  }

  private static boolean sameFile(Action one, Action other) {
    return one.file == other.file;
  }

  /** A cut can be from 0 to this: how many events came before it. */
  int eventCount() {
    return eventCount;
  }

  /** Cuts after the beginning of a commit and before its end. */
  List<Integer> commitCuts() {
    return commitCuts;
  }

  boolean isInCommit(int cut) {
    return Collections.binarySearch(commitCuts, cut) >= 0;
  }

  /** The last mark of the guest before a cut. */
  int guestMarkAt(int cut) {
    return guestMarks[cut];
  }

  /** Writes and syncs in the order of their beginning. */
  List<Action> actions() {
    return actions;
  }

  /** What was written. */
  byte[] data() {
    return data;
  }
}
