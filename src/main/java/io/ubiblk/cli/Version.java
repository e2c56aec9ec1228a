// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine.IVersionProvider;

/** The version that the build wrote into the jar. */
final class Version implements IVersionProvider {
  @Override
  public String[] getVersion() throws IOException {
    try (InputStream in = Version.class.getResourceAsStream("version.txt")) {
      if (in == null) {
        throw new IOException("version.txt is missing from the jar");
      }
      return new String[] {
        "ubiblk " + new String(in.readAllBytes(), StandardCharsets.UTF_8).strip()
      };
    }
  }
}
