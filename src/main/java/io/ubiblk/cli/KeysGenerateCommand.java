// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.KekFile;
import io.ubiblk.config.PrivateFile;
import io.ubiblk.config.SecretName;
import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.NewKeys;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.SecretText;
import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code keys generate}: makes a KEK file, or new keys as a piece of configuration. */
@Command(
    name = "generate",
    description = {
      "Makes new keys from the system's random source and prints them as YAML: a KEK file, or"
          + " lines for a configuration file."
    },
    footer = {
      "  0    made; a file is complete and durable",
      "  1    not made, and no file is left behind; stderr says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class KeysGenerateCommand extends KeysTask {
  private static final List<String> KINDS = List.of("kek", "xts", "psk");

  @Parameters(
      paramLabel = "WHAT",
      description = {
        "kek: a KEK file. xts: the encryption_key of a disk. psk: the psk_secret of a remote"
            + " connection."
      })
  private String what;

  @Option(
      names = {"-k", "--kek"},
      paramLabel = "PATH",
      description = {
        "Wrap the keys with this key-encrypting key; without it they come out in clear. May be a"
            + " FIFO or /dev/stdin: it is opened once and read to its end."
      })
  private Path kek;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "PATH",
      description = {
        "The file to make, readable by its owner alone. It must not exist. Default: standard"
            + " output."
      })
  private Path output;

  KeysGenerateCommand(Programs programs) {
    super(programs);
  }

  @Override
  void checkOptions() {
    if (!KINDS.contains(what)) {
      throw usage("WHAT must be one of %s, is %s".formatted(String.join(", ", KINDS), what));
    } else if (what.equals("kek") && kek != null) {
      throw usage("--kek is for keys that it wraps; nothing wraps a KEK");
    }
  }

  @Override
  void run(SecretStreams streams, Consumer<String> warnings) throws Exception {
    try (KekFile kekFile = loadKek(Optional.ofNullable(kek), warnings);
        var yaml = new SecretText()) {
      Optional<KeyEncryption> sealing =
          kekFile == null ? Optional.empty() : Optional.of(kekFile.sealing(warnings));
      new Writer(yaml, sealing, streams.random()).write(what);
      try (Secret text = yaml.toSecret()) {
        text.lend(
            bytes -> {
              deliver(bytes, streams);
              return null;
            });
      }
    }
    if (kek == null && !what.equals("kek")) {
      warnings.accept(
          "these keys are in clear: whoever reads them reads the data; --kek wraps them");
    }
  }

  private void deliver(byte[] yaml, SecretStreams streams) throws IOException {
    if (output != null) {
      PrivateFile.create(output, yaml);
    } else {
      print(yaml, streams);
    }
  }

  /** Makes keys and the lines for them. */
  private record Writer(SecretText yaml, Optional<KeyEncryption> kek, SecureRandom random) {
    void write(String what) throws IOException, GeneralSecurityException {
      switch (what) {
        case "kek" -> writeKek();
        case "xts" -> writeXts();
        case "psk" -> writePsk();
        default -> throw new IllegalArgumentException("no keys are called " + what);
      }
    }

    private void writeKek() {
      try (Secret key = NewKeys.kek(random)) {
        yaml.add("method: aes256-gcm\nkey: \"").addBase64(key).add("\"\n");
      }
    }

    private void writeXts() throws IOException, GeneralSecurityException {
      List<Secret> pair = NewKeys.xtsPair(random);
      try (Secret dataKey = pair.get(0);
          Secret tweakKey = pair.get(1)) {
        yaml.add("encryption_key:\n  - ");
        writeValue(SecretName.ENCRYPTION_KEY_0, dataKey);
        yaml.add("  - ");
        writeValue(SecretName.ENCRYPTION_KEY_1, tweakKey);
      }
    }

    private void writePsk() throws GeneralSecurityException {
      try (Secret psk = NewKeys.psk(random)) {
        yaml.add("psk_secret: ");
        writeValue(SecretName.PSK_SECRET, psk);
      }
    }

    private void writeValue(SecretName name, Secret plain) throws GeneralSecurityException {
      try (Secret value =
          kek.isPresent()
              ? Secret.take(kek.get().seal(name.text(), plain, random))
              : plain.copy()) {
        yaml.add("\"").addBase64(value).add("\"\n");
      }
    }
  }
}
