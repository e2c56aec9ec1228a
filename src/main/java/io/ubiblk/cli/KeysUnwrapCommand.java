// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.ConfigKind;
import io.ubiblk.config.KekFile;
import io.ubiblk.config.SecretCheck;
import io.ubiblk.config.SecretName;
import io.ubiblk.secret.Secret;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code keys unwrap --check}: says which wrapped values open under a KEK. */
@Command(
    name = "unwrap",
    description = {
      "Says for every wrapped value of a configuration file, or for one value from standard input,"
          + " whether it opens under a key-encrypting key. Prints no secret."
    },
    footer = {
      "  0    every value opens, and the file loads",
      "  1    one does not; its line, or stderr, says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class KeysUnwrapCommand extends KeysTask {
  @Option(
      names = "--check",
      required = true,
      description = "Only check. There is nothing else: what is wrapped is not printed.")
  private boolean check;

  @Option(
      names = {"-k", "--kek"},
      required = true,
      paramLabel = "PATH",
      description = "The key-encrypting key, a KEK file or a FIFO.")
  private Path kek;

  @ArgGroup(multiplicity = "1")
  private Subject subject;

  @Option(
      names = "--kind",
      paramLabel = "KIND",
      description = {
        "What the file describes: device, remote or archive. Default: what its keys say."
      })
  private String kindText;

  private Optional<ConfigKind> kind = Optional.empty();

  /** What is looked at. */
  private static final class Subject {
    @Option(
        names = {"-f", "--config"},
        required = true,
        paramLabel = "PATH",
        description = "The configuration: of a device, a remote connection or an archive.")
    private Path config;

    @Option(
        names = {"-n", "--name"},
        required = true,
        paramLabel = "NAME",
        description = {
          "Read one value, as it stands in a configuration, from standard input; it is for this key:",
          SecretNames.LINE_1,
          SecretNames.LINE_2,
          SecretNames.LINE_3,
          SecretNames.LINE_4,
          SecretNames.LINE_5
        })
    private String name;
  }

  KeysUnwrapCommand(Programs programs) {
    super(programs);
  }

  @Override
  void checkOptions() {
    if (!check) {
      throw usage("--check is all there is; nothing here prints a secret");
    }
    kind = kind(kindText);
    if (subject.name != null) {
      name(subject.name);
    }
  }

  @Override
  void run(SecretStreams streams, Consumer<String> warnings) throws Exception {
    PrintWriter out = spec().commandLine().getOut();
    try (KekFile kekFile = KekFile.load(kek, warnings)) {
      if (subject.config != null) {
        SecretCheck.file(subject.config, kind, kekFile, out, warnings);
      } else {
        SecretName name = name(subject.name);
        try (Secret value = readBase64(streams)) {
          SecretCheck.value(name, value, kekFile, out);
        }
      }
    } finally {
      out.flush();
    }
    // The writer hands on to System.out, which keeps its failures to itself.
    if (out.checkError() || System.out.checkError()) {
      throw new IOException("cannot write to standard output");
    }
  }
}
