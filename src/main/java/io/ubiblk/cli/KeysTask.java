// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.ConfigException;
import io.ubiblk.config.ConfigKind;
import io.ubiblk.config.KekFile;
import io.ubiblk.config.SecretName;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.SecretText;
import io.ubiblk.secret.StrictBase64;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** A command of {@code keys}: what all of them do before and around their work. */
@Command(
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    usageHelpAutoWidth = true,
    footerHeading = "%nExit status:%n")
abstract class KeysTask implements Callable<Integer> {
  /** More than any key or credential. */
  private static final int INPUT_BYTES_MAX = 16 * 1024;

  @Spec private CommandSpec spec;

  @Mixin private LogOption logOption;

  private final Programs programs;

  KeysTask(Programs programs) {
    this.programs = programs;
  }

  /** Refuses options that make no sense; before anything is read. */
  abstract void checkOptions();

  /** Does the work; {@code warnings} takes one-line warnings. */
  abstract void run(SecretStreams streams, Consumer<String> warnings) throws Exception;

  @Override
  public final Integer call() throws Exception {
    checkOptions();
    Consumer<String> warnings = logOption.start(LogLevel.WARN);
    programs.prepare();
    run(programs.secretStreams(), warnings);
    return ExitCode.OK;
  }

  /** A refusal of the command line. */
  final ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  final CommandSpec spec() {
    return spec;
  }

  /** The KEK file of an option that may be absent; null if it is, which closes as well. */
  static KekFile loadKek(Optional<Path> path, Consumer<String> warnings) throws ConfigException {
    return path.isPresent() ? KekFile.load(path.get(), warnings) : null;
  }

  /** The kind that an option names. */
  final Optional<ConfigKind> kind(String text) {
    if (text == null) {
      return Optional.empty();
    }
    Optional<ConfigKind> kind = ConfigKind.of(text);
    if (kind.isEmpty()) {
      String known =
          Arrays.stream(ConfigKind.values())
              .map(ConfigKind::text)
              .collect(Collectors.joining(", "));
      throw usage("--kind must be one of %s, is %s".formatted(known, text));
    }
    return kind;
  }

  /** The name that an option gives. */
  final SecretName name(String text) {
    return SecretName.of(text)
        .orElseThrow(
            () ->
                usage(
                    "--name must be one of %s; the nearest to %s is %s"
                        .formatted(
                            String.join(", ", SecretName.all()), text, SecretName.nearest(text))));
  }

  /** Writes to standard output, all at once. */
  static void print(byte[] text, SecretStreams streams) throws IOException {
    try {
      streams.out().write(text);
    } catch (IOException e) {
      throw new IOException("cannot write to standard output: " + e.getMessage(), e);
    }
  }

  /** All of standard input. */
  static Secret readRaw(SecretStreams streams) throws IOException {
    return SecretText.readAll("standard input", streams.in(), INPUT_BYTES_MAX);
  }

  /** What standard input has in base64; one line end after it is no part of it. */
  static Secret readBase64(SecretStreams streams) throws IOException {
    try (Secret text = readRaw(streams)) {
      return text.lend(
          bytes -> {
            byte[] line = Arrays.copyOf(bytes, lengthOfLine(bytes));
            try {
              return StrictBase64.decode(line);
            } catch (IllegalArgumentException e) {
              throw new IOException("standard input: " + e.getMessage(), e);
            } finally {
              Arrays.fill(line, (byte) 0);
            }
          });
    }
  }

  private static int lengthOfLine(byte[] bytes) {
    int length = bytes.length;
    if (length > 0 && bytes[length - 1] == '\n') {
      length--;
      if (length > 0 && bytes[length - 1] == '\r') {
        length--;
      }
    }
    return length;
  }
}
