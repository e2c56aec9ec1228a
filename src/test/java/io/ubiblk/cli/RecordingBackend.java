// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.DeviceConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Stands in for a back end: remembers what it was asked, and fails when told to. */
final class RecordingBackend implements BackendRunner {
  final List<String> calls = new ArrayList<>();
  Optional<Exception> prepareFailure = Optional.empty();
  Optional<Exception> runFailure = Optional.empty();
  Optional<DeviceConfig> served = Optional.empty();
  boolean keysWereThere;

  @Override
  public void prepare() throws Exception {
    calls.add("prepare");
    if (prepareFailure.isPresent()) {
      throw prepareFailure.get();
    }
  }

  @Override
  public void run(DeviceConfig config) throws Exception {
    calls.add("run");
    served = Optional.of(config);
    keysWereThere =
        config.encryptionKey().isPresent() && !config.encryptionKey().get().halvesEqual();
    if (runFailure.isPresent()) {
      throw runFailure.get();
    }
  }
}
