// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeSectorFile;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * The metadata file of a disk: loaded, checked against the disk, and written sector by sector from
 * then on. It says how things were when it was loaded; what has become of them is not kept here.
 *
 * <p>Loading and closing are for one thread. Sectors may be written by any thread, also at once if
 * they are different ones.
 */
public final class MetadataFile implements AutoCloseable {
  /** How long a start waits for a predecessor's last writes to end, in milliseconds. */
  private static final int LOCK_TIMEOUT_MS = 10_000;

  private final MetadataStore store;
  private final MetadataLoader.Loaded loaded;

  private MetadataFile(MetadataStore store, MetadataLoader.Loaded loaded) {
    this.store = store;
    this.loaded = loaded;
  }

  /**
   * Opens, locks and loads the metadata of a disk. Keeps {@code xts} (none: not enciphered) and
   * {@code log}.
   *
   * @param diskSectors length of the base disk
   * @throws MetadataException if it is no metadata, damaged, or that of another disk
   */
  public static MetadataFile openForUpdate(
      String path, long diskSectors, Optional<NativeXts> xts, NativeLog log) throws IOException {
    return open(path, NativeSectorFile.Mode.UPDATE, diskSectors, xts, log);
  }

  /** The same without a lock, to look at it only: whoever has it may be writing to it. */
  public static MetadataFile openReadOnly(
      String path, long diskSectors, Optional<NativeXts> xts, NativeLog log) throws IOException {
    return open(path, NativeSectorFile.Mode.READ, diskSectors, xts, log);
  }

  private static MetadataFile open(
      String path,
      NativeSectorFile.Mode mode,
      long diskSectors,
      Optional<NativeXts> xts,
      NativeLog log)
      throws IOException {
    var store =
        new NativeMetadataStore(NativeSectorFile.open(path, mode, LOCK_TIMEOUT_MS, xts, log));
    return load(store, diskSectors);
  }

  /** Loads the metadata in {@code store}, which is taken: closed with the result, or at once. */
  public static MetadataFile load(MetadataStore store, long diskSectors) throws IOException {
    try {
      return new MetadataFile(store, MetadataLoader.load(store, diskSectors));
    } catch (IOException | RuntimeException | OutOfMemoryError e) {
      store.close();
      throw e;
    }
  }

  /** How its sectors are laid out. */
  public MetadataFormat format() {
    return loaded.format();
  }

  /** A stripe has 2 to the power of this sectors. */
  public int stripeSectorCountShift() {
    return loaded.shift();
  }

  /** Stripes of the disk. */
  public int stripeCount() {
    return loaded.stripeCount();
  }

  /**
   * The flags as they were loaded: a direct buffer with one byte per stripe. Not to be touched
   * after {@link #releaseFlags} or {@link #close}.
   */
  public ByteBuffer flags() {
    return loaded.flags().bytes().asReadOnlyBuffer();
  }

  /** Frees the memory of the flags, once they were copied to where they are used. */
  public void releaseFlags() throws IOException {
    loaded.flags().close();
  }

  /**
   * Writes sectors.
   *
   * @param content direct, whole sectors, from position to limit; unchanged
   */
  public void write(long sector, ByteBuffer content) throws IOException {
    store.write(sector, content);
  }

  /** Makes every completed write durable. */
  public void sync() throws IOException {
    store.sync();
  }

  @Override
  public void close() throws IOException {
    try {
      releaseFlags();
    } finally {
      store.close();
    }
  }
}
