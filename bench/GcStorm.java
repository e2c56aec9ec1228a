// SPDX-License-Identifier: AGPL-3.0-only

import io.ubiblk.cli.Main;
import java.util.ArrayList;
import java.util.List;

/**
 * Runs a back end with a thread beside it that gives its JVM no rest. Started from source with the
 * jar on the class path: {@code java -cp ubiblk.jar GcStorm.java gc|burn|none PROGRAM ARGUMENT...}.
 *
 * <p>{@code gc} keeps a live heap, makes garbage and collects everything, again and again. {@code
 * burn} uses as much of a core without a single allocation: what it does to a guest is what any
 * neighbour on that core does. The first second is the back end's own, to start in.
 */
final class GcStorm {
  private static final int LIVE_MIB = 24;
  private static volatile long sink;

  private GcStorm() {}

  public static void main(String[] arguments) {
    String[] rest = new String[arguments.length - 1];
    System.arraycopy(arguments, 1, rest, 0, rest.length);
    Thread thread = new Thread(() -> disturb(arguments[0]), "storm");
    thread.setDaemon(true);
    thread.start();
    Main.main(rest);
  }

  private static void disturb(String kind) {
    try {
      Thread.sleep(1000);
    } catch (InterruptedException e) {
      return;
    }
    if (kind.equals("gc")) {
      collect();
    } else if (kind.equals("burn")) {
      burn();
    }
  }

  /** Small objects in lists, so that a collection has something to walk. */
  private static List<byte[]> live() {
    List<byte[]> blocks = new ArrayList<>();
    for (int i = 0; i < LIVE_MIB * 4096; i++) {
      blocks.add(new byte[240]);
    }
    return blocks;
  }

  private static void collect() {
    List<byte[]> blocks = live();
    for (int i = 0; ; i = (i + 1) % blocks.size()) {
      for (int j = 0; j < 10_000; j++) {
        blocks.set((i + j * 7) % blocks.size(), new byte[240]);
      }
      System.gc();
      sink += blocks.size();
    }
  }

  private static void burn() {
    for (long i = 0; ; i++) {
      sink += i;
    }
  }
}
