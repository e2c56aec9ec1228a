// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.KekFile;
import io.ubiblk.config.SecretName;
import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.SecretText;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code keys wrap}: wraps one secret for a configuration file. */
@Command(
    name = "wrap",
    description = "Reads a secret from standard input and prints it wrapped, as one line.",
    footer = {
      "  0    printed",
      "  1    KEK or secret cannot be used; stderr says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class KeysWrapCommand extends KeysTask {
  @Option(
      names = {"-k", "--kek"},
      required = true,
      paramLabel = "PATH",
      description = "The key-encrypting key to wrap the secret with, a KEK file or a FIFO.")
  private Path kek;

  @Option(
      names = {"-n", "--name"},
      required = true,
      paramLabel = "NAME",
      description = {
        "The key of the configuration that the value is for, which it is bound to:",
        SecretNames.LINE_1,
        SecretNames.LINE_2,
        SecretNames.LINE_3,
        SecretNames.LINE_4,
        SecretNames.LINE_5
      })
  private String nameText;

  @Option(
      names = "--raw",
      description = {
        "Standard input is the secret itself, to its last byte. Without this it is the secret in"
            + " base64, and a line end after that does not count."
      })
  private boolean raw;

  private SecretName name;

  KeysWrapCommand(Programs programs) {
    super(programs);
  }

  @Override
  void checkOptions() {
    name = name(nameText);
  }

  @Override
  void run(SecretStreams streams, Consumer<String> warnings) throws Exception {
    try (KekFile kekFile = KekFile.load(kek, warnings)) {
      KeyEncryption sealing = kekFile.sealing(warnings);
      try (Secret plain = raw ? readRaw(streams) : readBase64(streams)) {
        Optional<String> refusal = name.refusal(plain);
        if (refusal.isPresent()) {
          throw new IOException("standard input: " + name.text() + " " + refusal.get());
        }
        write(Secret.take(sealing.seal(name.text(), plain, streams.random())), streams);
      }
    }
  }

  private static void write(Secret sealed, SecretStreams streams) throws IOException {
    try (var line = new SecretText();
        Secret text = line.addBase64(sealed).add("\n").toSecret()) {
      text.lend(
          bytes -> {
            print(bytes, streams);
            return null;
          });
    }
  }
}
