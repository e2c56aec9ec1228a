// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.ConfigKind;
import io.ubiblk.config.KekFile;
import io.ubiblk.config.Rewrap;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code keys rewrap}: wraps the secrets of a configuration file under another KEK. */
@Command(
    name = "rewrap",
    description = {
      "Wraps every secret of a configuration file under another key-encrypting key. All else in"
          + " the file stays byte for byte. Before the file is replaced, at once and durably, the"
          + " result is loaded and compared."
    },
    footer = {
      "  0    the file is replaced, or the output is complete; either is durable",
      "  1    nothing was changed, unless stderr says otherwise, and it says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class KeysRewrapCommand extends KeysTask {
  @Option(
      names = {"-f", "--config"},
      required = true,
      paramLabel = "PATH",
      description = "The configuration: of a device, a remote connection or an archive.")
  private Path config;

  @Option(
      names = {"-k", "--kek"},
      paramLabel = "PATH",
      description = {
        "The key-encrypting key that the secrets are wrapped with. Without it they are taken for"
            + " secrets in clear. May be a FIFO or /dev/stdin, like the new one; it is read first."
      })
  private Path kek;

  @Option(
      names = "--new-kek",
      required = true,
      paramLabel = "PATH",
      description = "The key-encrypting key to wrap them with; it has no init_vector.")
  private Path newKek;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "PATH",
      description = {"Make this file, which must not exist, and leave the configuration as it is."})
  private Path output;

  @Option(
      names = "--kind",
      paramLabel = "KIND",
      description = {
        "What the file describes: device, remote or archive. Default: what its keys say."
      })
  private String kindText;

  private Optional<ConfigKind> kind = Optional.empty();

  KeysRewrapCommand(Programs programs) {
    super(programs);
  }

  @Override
  void checkOptions() {
    kind = kind(kindText);
  }

  @Override
  void run(SecretStreams streams, Consumer<String> warnings) throws Exception {
    var request = new Rewrap.Request(config, kind, Optional.ofNullable(output));
    try (KekFile from = loadKek(Optional.ofNullable(kek), warnings);
        KekFile to = KekFile.load(newKek, warnings)) {
      Rewrap.run(request, from, to, streams.random(), warnings);
    }
  }
}
