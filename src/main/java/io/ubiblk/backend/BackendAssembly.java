// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.HeapTraces;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.nativelib.ProcessHardening;
import io.ubiblk.rpc.RpcLimits;
import io.ubiblk.rpc.RpcServer;
import io.ubiblk.stripe.LazyDisk;
import io.ubiblk.transcode.KeyGuard;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The parts of one back end, wired once: log, disk, its filling, RPC, front end.
 *
 * <p>What was started is ended in the reverse order, all of it, whatever fails on the way; the same
 * when a later part does not start.
 */
final class BackendAssembly implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(BackendAssembly.class);

  private final String name;
  private final SourceOpener sources;
  private final FrontEnd.Opener opener;
  private final Deque<Part> parts = new ArrayDeque<>();
  private FrontEnd frontEnd;

  private BackendAssembly(String name, SourceOpener sources, FrontEnd.Opener opener) {
    this.name = name;
    this.sources = sources;
    this.opener = opener;
  }

  /** Starts every part. When this returns, the disk can be used. */
  static BackendAssembly start(DeviceConfig config, SourceOpener sources, FrontEnd.Opener opener)
      throws IOException {
    BackendAssembly assembly = new BackendAssembly(config.path(), sources, opener);
    try {
      assembly.startParts(config);
      return assembly;
    } catch (IllegalArgumentException e) {
      // What the native side calls an invalid argument is a setting that does not fit the disk.
      throw assembly.undo(new IOException(e.getMessage(), e));
    } catch (OutOfMemoryError e) {
      // Of the native side: settings that want more than there is. The heap's ends the process.
      throw assembly.undo(new IOException(e.getMessage(), e));
    } catch (IOException e) {
      throw assembly.undo(e);
    } catch (RuntimeException e) {
      throw assembly.undo(e);
    } catch (Error e) {
      throw assembly.undo(e);
    }
  }

  private void startParts(DeviceConfig config) throws IOException {
    NativeLog log = NativeLog.open();
    parts.push(log::close);
    Optional<NativeXts> xts = openCipher(config, log);
    // From here on keys are in locked memory alone: the configuration's are zeroed by now.
    HeapTraces.clear();
    ProcessHardening.clearStack();
    NativeDevice device = openDevice(config, xts, log);
    KeyGuard.check(config.path(), xts);
    Optional<LazyDisk> filling = Optional.empty();
    if (config.metadataPath().isPresent()) {
      DiskFilling opened = DiskFilling.start(config, device, xts, sources, log);
      parts.push(opened::close);
      filling = Optional.of(opened.lazyDisk());
    }
    ServedDisk disk = new ServedDisk(device, config.ioEngine(), filling);
    if (config.rpcSocketPath().isPresent()) {
      Path path = Path.of(config.rpcSocketPath().get());
      RpcServer rpc = RpcServer.start(path, RpcLimits.DEFAULT, NativeLibrary.VERSION, disk, disk);
      parts.push(rpc::close);
    }
    frontEnd = opener.open(config, device, log);
    parts.push(frontEnd::close);
    disk.attach(frontEnd);
    parts.push(disk::detach);
  }

  private Optional<NativeXts> openCipher(DeviceConfig config, NativeLog log) throws IOException {
    if (config.encryptionKey().isEmpty()) {
      return Optional.empty();
    }
    NativeXts keys = NativeXts.create(config.encryptionKey().get(), config.xtsEngine(), log);
    parts.push(keys::close);
    return Optional.of(keys);
  }

  private NativeDevice openDevice(DeviceConfig config, Optional<NativeXts> xts, NativeLog log)
      throws IOException {
    NativeDevice device = NativeDevice.open(config, xts, log);
    parts.push(device::close);
    LOG.info(
        "{}: {} sectors, {} queues of {}, {}, {}, {}",
        config.path(),
        device.capacitySectors(),
        config.numQueues(),
        config.queueSize(),
        config.ioEngine().text(),
        device.directIo() ? "direct" : "page cache",
        xts.map(keys -> "XTS by " + keys.engineName() + " (" + keys.engineReason() + ")")
            .orElse("not encrypted"));
    return device;
  }

  /** As {@link FrontEnd#awaitEnd}. */
  String awaitEnd() throws IOException {
    return frontEnd.awaitEnd();
  }

  private <E extends Throwable> E undo(E failure) {
    try {
      close();
    } catch (IOException | RuntimeException e) {
      failure.addSuppressed(e);
    }
    return failure;
  }

  /** Ends every part; the first failure is thrown once all have ended. */
  @Override
  public void close() throws IOException {
    IOException failure = null;
    while (!parts.isEmpty()) {
      try {
        parts.pop().close();
      } catch (IOException | RuntimeException e) {
        if (failure == null) {
          failure = new IOException(name + ": " + e.getMessage(), e);
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  @Override
  public String toString() {
    return name;
  }

  /** How one part ends. */
  private interface Part {
    void close() throws IOException;
  }
}
