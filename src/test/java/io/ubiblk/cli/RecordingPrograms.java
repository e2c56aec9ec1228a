// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.backend.MetadataInit;
import io.ubiblk.backend.UblkBackend;
import io.ubiblk.backend.XtsTool;
import io.ubiblk.config.DeviceConfig;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Stands in for every program: remembers what it was asked, and fails when told to. */
final class RecordingPrograms implements Programs {
  final List<String> calls = new ArrayList<>();
  Optional<Exception> prepareFailure = Optional.empty();
  Optional<Exception> runFailure = Optional.empty();
  Optional<DeviceConfig> served = Optional.empty();
  boolean keysWereThere;
  SecureRandom random = new SecureRandom();
  byte[] in = {};
  OutputStream out = new ByteArrayOutputStream();

  @Override
  public void prepare() throws Exception {
    calls.add("prepare");
    if (prepareFailure.isPresent()) {
      throw prepareFailure.get();
    }
  }

  @Override
  public void serveVhost(DeviceConfig config) throws Exception {
    work("run", config);
  }

  @Override
  public void serveUblk(DeviceConfig config, UblkBackend.Options options) throws Exception {
    work("ublk " + options, config);
  }

  @Override
  public void listUblk(PrintWriter out) {
    calls.add("list");
    out.println("listed");
  }

  @Override
  public void stopUblk(int id) {
    calls.add("stop " + id);
  }

  @Override
  public void deleteUblk(int id) {
    calls.add("delete " + id);
  }

  @Override
  public void initMetadata(DeviceConfig config, MetadataInit.Options options) throws Exception {
    work("init " + options, config);
  }

  @Override
  public void dumpMetadata(DeviceConfig config, boolean json, Appendable out) throws Exception {
    work(json ? "dump json" : "dump", config);
    out.append("dumped\n");
  }

  @Override
  public SecretStreams secretStreams() {
    calls.add("streams");
    return new SecretStreams(random, new ByteArrayInputStream(in), out);
  }

  @Override
  public void recode(DeviceConfig config, XtsTool.Recoding recoding) throws Exception {
    work("recode " + recoding, config);
  }

  @Override
  public void reencrypt(DeviceConfig from, DeviceConfig to, XtsTool.Reencryption reencryption)
      throws Exception {
    work("reencrypt to %s %s".formatted(to.path(), reencryption), from);
  }

  private void work(String call, DeviceConfig config) throws Exception {
    calls.add(call);
    served = Optional.of(config);
    keysWereThere =
        config.encryptionKey().isPresent() && !config.encryptionKey().get().halvesEqual();
    if (runFailure.isPresent()) {
      throw runFailure.get();
    }
  }
}
