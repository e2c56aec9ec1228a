// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.backend.XtsTool;
import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;

/** {@code xts}: enciphers, deciphers and re-enciphers files and disks while nobody serves them. */
@Command(
    name = XtsCommand.NAME,
    description = {
      "Works on files and disks with the keys of a configuration while nobody serves them.",
      "",
      "decode and encode read INPUT, whole sectors of 512 bytes, and write OUTPUT, which is made or"
          + " emptied. A sector's number is the one that it has in INPUT. decode writes from the"
          + " beginning of OUTPUT on, encode to where the sectors were.",
      "",
      "reencrypt changes the keys of the disk that --config describes to those of --to-config, in"
          + " place if both have the same path, else into new files at the paths of --to-config."
          + " The metadata file is changed with the disk. A kill or power cut at any point leaves a"
          + " disk that the same command completes.",
      ""
    },
    footer = {
      "  0    done, and durable",
      "  1    it could not be done; the log on stderr says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class XtsCommand extends DeviceCommand {
  /** The program's name. */
  static final String NAME = "xts";

  private static final int THREADS_MAX = 64;

  @Option(
      names = "--action",
      paramLabel = "ACTION",
      defaultValue = "decode",
      description = "decode (the default), encode or reencrypt.")
  private String action;

  @Option(
      names = "--start",
      paramLabel = "SECTOR",
      defaultValue = "0",
      converter = UnsignedNumber.class,
      description = "decode, encode: the first sector of INPUT. Default: 0.")
  private Long start;

  @Option(
      names = "--len",
      paramLabel = "SECTORS",
      converter = UnsignedNumber.class,
      description = "decode, encode: how many sectors. Default: to the end.")
  private Long length;

  @Option(
      names = "--to-config",
      paramLabel = "PATH",
      description = "reencrypt: the configuration that the disk is to have from then on.")
  private Path toConfig;

  @Option(
      names = "--to-kek",
      paramLabel = "PATH",
      description = "reencrypt: the KEK of --to-config; as --kek.")
  private Path toKek;

  @Option(
      names = "--journal",
      paramLabel = "PATH",
      description = {
        "reencrypt, in place: where the journal is, up to 73 MiB, on a file system that survives a"
            + " power cut. Default: beside the disk. Block devices need it."
      })
  private Path journal;

  @Option(
      names = "--assume-old-key",
      description = {
        "reencrypt: go on though nothing proves that the keys of --config are the disk's. Needed for"
            + " disks without metadata; wrong keys destroy the content."
      })
  private boolean assumeOldKey;

  @Option(
      names = "--skip-holes",
      description = {
        "reencrypt: leave all holes of the disk's file as they are. What was never written reads as"
            + " other noise afterwards. Without it, holes stay where metadata knows of no write."
      })
  private boolean skipHoles;

  @Option(
      names = "--threads",
      paramLabel = "N",
      defaultValue = "4",
      description = "How many threads work, 1 to 64. Default: 4.")
  private int threads;

  @Option(names = "--quiet", description = "Show no progress.")
  private boolean quiet;

  @Parameters(arity = "0..2", paramLabel = "INPUT OUTPUT", hideParamSyntax = true)
  private List<String> files = new ArrayList<>();

  private XtsCommand(Programs programs) {
    super(programs, LogLevel.WARN);
  }

  /** The command, ready to be run. */
  static CommandLine line(Programs programs) {
    CommandLine line = new CommandLine(new XtsCommand(programs));
    CommandLine.Model.CommandSpec spec = line.getCommandSpec();
    spec.remove(spec.findOption("--unlink-kek")); // this program alone has none
    return line;
  }

  private boolean reencrypts() {
    return action.equals("reencrypt");
  }

  @Override
  void checkOptions() {
    if (!List.of("decode", "encode", "reencrypt").contains(action)) {
      throw usage("--action must be decode, encode or reencrypt, is " + action);
    } else if (threads < 1 || threads > THREADS_MAX) {
      throw usage("--threads must be 1 to %d, is %d".formatted(THREADS_MAX, threads));
    } else if (reencrypts()) {
      checkOptionsOfReencrypt();
    } else {
      checkOptionsOfRecoding();
    }
  }

  private void checkOptionsOfReencrypt() {
    if (toConfig == null) {
      throw usage("--action reencrypt needs --to-config");
    } else if (!files.isEmpty()) {
      throw usage("--action reencrypt takes the disk from --config, not " + files.get(0));
    } else if (start != 0 || length != null) {
      throw usage("--action reencrypt works on whole disks, without --start and --len");
    }
  }

  private void checkOptionsOfRecoding() {
    if (files.size() != 2) {
      throw usage("--action %s needs INPUT and OUTPUT".formatted(action));
    } else if (toConfig != null || toKek != null || journal != null || assumeOldKey || skipHoles) {
      throw usage(
          "--to-config, --to-kek, --journal, --assume-old-key and --skip-holes are for --action"
              + " reencrypt");
    }
  }

  @Override
  void check(DeviceConfig config) throws ConfigException {
    if (config.encryptionKey().isEmpty()) {
      throw refused("encryption_key", "is required by " + NAME);
    }
  }

  @Override
  void run(DeviceConfig config) throws Exception {
    if (reencrypts()) {
      try (DeviceConfig to = load(toConfig, Optional.ofNullable(toKek), false)) {
        if (to.encryptionKey().isEmpty()) {
          throw new ConfigException(toConfig + ": encryption_key: is required by " + NAME);
        }
        programs().reencrypt(config, to, reencryption());
      }
    } else {
      programs().recode(config, recoding());
    }
  }

  private XtsTool.Recoding recoding() {
    return new XtsTool.Recoding(
        files.get(0),
        files.get(1),
        action.equals("encode"),
        start,
        length == null ? OptionalLong.empty() : OptionalLong.of(length),
        threads,
        quiet);
  }

  private XtsTool.Reencryption reencryption() {
    return new XtsTool.Reencryption(
        Optional.ofNullable(journal), assumeOldKey, skipHoles, threads, command(), quiet);
  }

  /** What completes the work if it is cut short, from any directory. */
  private String command() {
    List<String> words = new ArrayList<>(List.of(NAME, "--action", action));
    addOption(words, "--config", options().config());
    options().kek().ifPresent(kek -> addOption(words, "--kek", kek));
    addOption(words, "--to-config", toConfig);
    Optional.ofNullable(toKek).ifPresent(kek -> addOption(words, "--to-kek", kek));
    Optional.ofNullable(journal).ifPresent(path -> addOption(words, "--journal", path));
    if (assumeOldKey) {
      words.add("--assume-old-key");
    }
    if (skipHoles) {
      words.add("--skip-holes");
    }
    return String.join(" ", words);
  }

  private static void addOption(List<String> words, String option, Path path) {
    words.add(option);
    String text = path.toAbsolutePath().toString();
    // As a shell wants it.
    words.add(
        text.matches("[A-Za-z0-9_./:@%+=,-]+") ? text : "'" + text.replace("'", "'\\''") + "'");
  }

  /** A number from 0 to 2^64 - 1, kept in the bits of a signed one. */
  private static final class UnsignedNumber implements ITypeConverter<Long> {
    @Override
    public Long convert(String text) {
      try {
        return Long.parseUnsignedLong(text);
      } catch (NumberFormatException e) {
        throw new TypeConversionException(
            "must be a number from 0 to 18446744073709551615, is " + text);
      }
    }
  }
}
