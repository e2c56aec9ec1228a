// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.backend.UblkBackend;
import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.IoEngine;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code ublk-backend}: serves a disk as a block device of this host. */
@Command(
    name = UblkBackendCommand.NAME,
    description = {
      "Serves a disk as a block device of this host, /dev/ublkbN. A device whose server was killed"
          + " waits, and is taken over when that is started again."
    },
    footer = {
      "  0    stopped by SIGTERM, SIGINT or SIGHUP, or with the device; or done",
      "  1    failed to start or to go on; the log on stderr says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class UblkBackendCommand extends DeviceCommand {
  /** The program's name. */
  static final String NAME = "ublk-backend";

  /** What the kernel's driver takes. */
  private static final int QUEUE_SIZE_MAX = 4096;

  /** The kernel's largest request, and what all the buffers of a disk's requests may take. */
  private static final int REQUEST_BYTES_MAX = 4 << 20;

  private static final long BUFFERS_BYTES_MAX = 1 << 30;

  /** Numbers of the kernel's devices are minor numbers. */
  private static final int DEVICE_ID_MAX = (1 << 20) - 1;

  @Option(
      names = "--device-symlink",
      paramLabel = "PATH",
      description = "Make a symbolic link to the block device there, and remove it at the end.")
  private Path deviceSymlink;

  @Option(
      names = "--dev-id",
      paramLabel = "N",
      description = {
        "Which /dev/ublkbN it is to be. Default: the one that is this disk's already, else the"
            + " kernel's choice."
      })
  private Integer devId;

  @Option(names = "--list", description = "Print the ublk devices of this host.")
  private boolean list;

  @Option(
      names = "--stop",
      paramLabel = "N",
      description =
          "End /dev/ublkbN, whichever program made it; its server, if there is one, stops with it.")
  private Integer stop;

  @Option(
      names = "--delete",
      paramLabel = "N",
      description = {
        "Remove /dev/ublkbN, whose server is gone, whichever program made it; requests that wait"
            + " for it fail."
      })
  private Integer delete;

  UblkBackendCommand(Programs programs) {
    super(programs, LogLevel.INFO);
  }

  @Override
  boolean needsDevice() {
    return !list && stop == null && delete == null;
  }

  @Override
  void checkOptions() {
    long tasks = Stream.of(list, stop != null, delete != null).filter(asked -> asked).count();
    if (tasks > 1) {
      throw usage("--list, --stop and --delete are done one at a time");
    }
    if (tasks == 1 && (devId != null || deviceSymlink != null)) {
      throw usage("--dev-id and --device-symlink are for serving a disk");
    }
    checkId("--dev-id", devId);
    checkId("--stop", stop);
    checkId("--delete", delete);
  }

  private void checkId(String option, Integer id) {
    if (id != null && (id < 0 || id > DEVICE_ID_MAX)) {
      throw usage("%s must be 0 to %d, is %d".formatted(option, DEVICE_ID_MAX, id));
    }
  }

  @Override
  void check(DeviceConfig config) throws ConfigException {
    checkServed(config);
    if (config.ioEngine() == IoEngine.SYNC) {
      throw refused("io_engine", "must be io_uring for " + NAME + ": ublk's commands need it");
    } else if (config.queueSize() > QUEUE_SIZE_MAX) {
      throw refused(
          "queue_size",
          "must be at most %d for %s, is %d".formatted(QUEUE_SIZE_MAX, NAME, config.queueSize()));
    }
    long requestBytes = Math.min(config.segSizeMax(), REQUEST_BYTES_MAX);
    long buffersBytes = requestBytes * config.queueSize() * config.numQueues();
    if (buffersBytes > BUFFERS_BYTES_MAX) {
      throw refused(
          "queue_size",
          "times num_queues times seg_size_max is %d MiB of buffers: must be at most %d MiB for %s"
              .formatted(buffersBytes >> 20, BUFFERS_BYTES_MAX >> 20, NAME));
    }
  }

  @Override
  void run(DeviceConfig config) throws Exception {
    OptionalInt wanted = devId == null ? OptionalInt.empty() : OptionalInt.of(devId);
    programs()
        .serveUblk(config, new UblkBackend.Options(Optional.ofNullable(deviceSymlink), wanted));
  }

  @Override
  void runWithoutDevice() throws Exception {
    if (list) {
      programs().listUblk(spec().commandLine().getOut());
    } else if (stop != null) {
      programs().stopUblk(stop);
    } else {
      programs().deleteUblk(delete);
    }
  }
}
