// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;

/**
 * Files in memory that write down, in one order, all that is done to them; and what a power cut
 * after any step leaves: all that was synced, and of the rest any sectors.
 *
 * <p>Several threads may use it at once.
 */
final class PowerWorld {
  private static final int SECTOR_BYTES = SectorStore.SECTOR_BYTES;

  /** What is not done although it is asked for. */
  enum LeftOut {
    NOTHING,
    DISK_SYNC,
    JOURNAL_DATA_SYNC,
    JOURNAL_DESCRIPTOR_SYNC,
    JOURNAL_CREATION_SYNC,
    JOURNAL_NAME,
    MARKER
  }

  /** The files. The journal has its name, or not yet. */
  enum FileName {
    DISK,
    METADATA,
    JOURNAL,
    NEW_JOURNAL
  }

  /** What is there: the content of files, and the marker. */
  static final class Content {
    final Map<FileName, byte[]> files = new TreeMap<>();
    Optional<KeyMarker> marker = Optional.empty();

    Content copy() {
      Content copy = new Content();
      files.forEach((name, bytes) -> copy.files.put(name, bytes.clone()));
      copy.marker = marker;
      return copy;
    }

    /** A number that differs for different content, but for rare accidents. */
    long fingerprint() {
      long hash = marker.map(KeyMarker::hashCode).orElse(0);
      for (Map.Entry<FileName, byte[]> file : files.entrySet()) {
        hash = 31 * hash + file.getKey().name().hashCode();
        for (int at = 0; at + Long.BYTES <= file.getValue().length; at += Long.BYTES) {
          hash = 1_000_003 * hash + ByteBuffer.wrap(file.getValue()).getLong(at);
        }
      }
      return hash;
    }
  }

  private interface Step {}

  private record Write(FileName file, int offset, ByteBuffer bytes) implements Step {}

  private record Sync(FileName file) implements Step {}

  /** A file of zeros under a name; durable at once if it is not, it does not matter. */
  private record Make(FileName file, int bytes) implements Step {}

  private record Rename(FileName from, FileName to, boolean durable) implements Step {}

  private record Delete(FileName file) implements Step {}

  private record Mark(KeyMarker marker, boolean durable) implements Step {}

  private final Content before;
  private final LeftOut leftOut;
  private int killAt = Integer.MAX_VALUE;
  private final List<Step> steps = new ArrayList<>();
  private final Content now;
  private int journalSyncs;
  private int stepsUntilFault = Integer.MAX_VALUE;
  private Random faults = new Random(0);

  PowerWorld(Content before, LeftOut leftOut) {
    this.before = before.copy();
    this.now = before.copy();
    this.leftOut = leftOut;
  }

  /** Lets the step after so many fail; a sync that fails loses some of what it should have kept. */
  void failAfter(int count, Random random) {
    stepsUntilFault = count;
    faults = random;
  }

  /** Ends whoever does the step after so many, as a kill does: nothing more of him is done. */
  synchronized void killAfter(int count) {
    killAt = steps.size() + count;
  }

  /** Whoever comes next may do any number of steps. */
  synchronized void revive() {
    killAt = Integer.MAX_VALUE;
    journalSyncs = 0;
  }

  private synchronized void add(Step step) throws IOException {
    if (steps.size() >= killAt) {
      throw new IOException("killed");
    }
    boolean fails = stepsUntilFault-- == 0;
    if (fails && step instanceof Sync sync) {
      loseUnsynced(sync.file());
    }
    if (fails) {
      throw new IOException("a fault that was asked for");
    }
    steps.add(step);
    apply(now, step);
  }

  /** What the page cache could not write, it drops. */
  private void loseUnsynced(FileName file) {
    byte[] kept = crashed(steps.size(), faults).files.get(file);
    if (kept != null && now.files.containsKey(file)) {
      now.files.put(file, kept);
    }
  }

  private static void apply(Content content, Step step) {
    if (step instanceof Write write) {
      byte[] file = content.files.get(write.file());
      if (file != null) {
        write.bytes().get(0, file, write.offset(), write.bytes().capacity());
      }
    } else if (step instanceof Make make) {
      content.files.put(make.file(), new byte[make.bytes()]);
    } else if (step instanceof Rename rename) {
      content.files.put(rename.to(), content.files.remove(rename.from()));
    } else if (step instanceof Delete delete) {
      content.files.remove(delete.file());
    } else if (step instanceof Mark mark) {
      content.marker = Optional.of(mark.marker());
    }
  }

  synchronized int stepCount() {
    return steps.size();
  }

  synchronized Content content() {
    return now.copy();
  }

  /**
   * What a power cut leaves that comes after {@code cut} steps, or during the last of them. Files
   * that are renamed keep what was synced of them under their old name.
   */
  synchronized Content crashed(int cut, Random random) {
    Content left = before.copy();
    int odds = random.nextInt(3); // none of what is not certain, half of it, all
    for (int i = 0; i < cut; i++) {
      Step step = steps.get(i);
      if (step instanceof Write write && !isSynced(i, cut, write.file())) {
        applySome(left, write, odds, random);
      } else if (step instanceof Mark mark && !mark.durable()) {
        applyPerhaps(left, step, random);
      } else if (step instanceof Rename rename && !rename.durable()) {
        applyPerhaps(left, step, random);
      } else {
        apply(left, step);
      }
    }
    return left;
  }

  private static void applyPerhaps(Content left, Step step, Random random) {
    boolean possible = !(step instanceof Rename rename) || left.files.containsKey(rename.from());
    if (possible && random.nextBoolean()) {
      apply(left, step);
    }
  }

  private boolean isSynced(int write, int cut, FileName file) {
    FileName name = file;
    for (int i = write + 1; i < cut; i++) {
      if (steps.get(i) instanceof Rename rename && rename.from() == name) {
        name = rename.to();
      } else if (steps.get(i) instanceof Sync sync && sync.file() == name) {
        return true;
      }
    }
    return false;
  }

  private static void applySome(Content left, Write write, int odds, Random random) {
    byte[] file = left.files.get(write.file());
    for (int at = 0; file != null && at < write.bytes().capacity(); at += SECTOR_BYTES) {
      if (random.nextInt(2) < odds) {
        write.bytes().get(at, file, write.offset() + at, SECTOR_BYTES);
      }
    }
  }

  /** A file as a store. */
  SectorStore store(FileName name) {
    return new Store(name);
  }

  private final class Store implements SectorStore {
    private final FileName first;

    Store(FileName first) {
      this.first = first;
    }

    /** An open file goes with its new name. */
    private FileName name() {
      return first == FileName.NEW_JOURNAL && now.files.containsKey(FileName.JOURNAL)
          ? FileName.JOURNAL
          : first;
    }

    @Override
    public String path() {
      return first.toString();
    }

    @Override
    public long sectorCount() {
      synchronized (PowerWorld.this) {
        return now.files.get(name()).length / SECTOR_BYTES;
      }
    }

    @Override
    public void read(long sector, ByteBuffer into) {
      synchronized (PowerWorld.this) {
        int offset = Math.toIntExact(sector * SECTOR_BYTES);
        into.put(into.position(), now.files.get(name()), offset, into.remaining());
      }
    }

    @Override
    public void write(long sector, ByteBuffer content) throws IOException {
      ByteBuffer bytes = ByteBuffer.allocate(content.remaining());
      bytes.put(0, content, content.position(), content.remaining());
      synchronized (PowerWorld.this) {
        add(new Write(name(), Math.toIntExact(sector * SECTOR_BYTES), bytes));
      }
    }

    @Override
    public void sync() throws IOException {
      synchronized (PowerWorld.this) {
        if (!isLeftOut()) {
          add(new Sync(name()));
        }
      }
    }

    private boolean isLeftOut() {
      return switch (name()) {
        case DISK, METADATA -> leftOut == LeftOut.DISK_SYNC;
        case NEW_JOURNAL -> leftOut == LeftOut.JOURNAL_CREATION_SYNC;
        case JOURNAL -> {
          boolean ofData = journalSyncs++ % 2 == 0;
          yield leftOut == (ofData ? LeftOut.JOURNAL_DATA_SYNC : LeftOut.JOURNAL_DESCRIPTOR_SYNC);
        }
      };
    }
  }

  /** The marker's place. */
  MarkerStore markers() {
    return new MarkerStore() {
      @Override
      public String path() {
        return "marker";
      }

      @Override
      public Optional<KeyMarker> load() throws IOException {
        synchronized (PowerWorld.this) {
          // As it is stored, to see that nothing of it is lost on the way.
          return now.marker.isEmpty()
              ? Optional.empty()
              : Optional.of(KeyMarker.parse(path(), now.marker.get().toBytes()));
        }
      }

      @Override
      public void save(KeyMarker marker) throws IOException {
        // Before it is durable it may be there or not.
        if (leftOut != LeftOut.MARKER) {
          add(new Mark(marker, false));
        }
        add(new Mark(marker, leftOut != LeftOut.MARKER));
      }
    };
  }

  /** The journal's place. */
  JournalFiles journals() {
    return new JournalFiles() {
      @Override
      public String path() {
        return "journal";
      }

      @Override
      public SectorStore create(JournalHeader header) throws IOException {
        long sectorCount = header.layout().sectorCount();
        add(new Make(FileName.NEW_JOURNAL, Math.toIntExact(sectorCount * SECTOR_BYTES)));
        synchronized (PowerWorld.this) {
          now.files.remove(FileName.JOURNAL); // for Store.name: nothing came of that one
        }
        return store(FileName.NEW_JOURNAL);
      }

      @Override
      public void publish() throws IOException {
        add(new Rename(FileName.NEW_JOURNAL, FileName.JOURNAL, leftOut != LeftOut.JOURNAL_NAME));
      }

      @Override
      public void discard() throws IOException {
        add(new Delete(FileName.NEW_JOURNAL));
      }

      @Override
      public SectorStore open(String path) throws IOException {
        synchronized (PowerWorld.this) {
          if (!now.files.containsKey(FileName.JOURNAL)) {
            throw new IOException("there is no journal");
          }
        }
        return store(FileName.JOURNAL);
      }

      @Override
      public void delete(String path, JournalId id) throws IOException {
        add(new Delete(FileName.JOURNAL));
      }
    };
  }

  @Override
  public String toString() {
    return steps.size() + " steps " + Arrays.toString(now.files.keySet().toArray());
  }
}
