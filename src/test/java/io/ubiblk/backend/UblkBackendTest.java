// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.nativelib.NativeUblkDevices.Device;
import org.junit.jupiter.api.Test;

class UblkBackendTest {
  @Test
  void a_list_says_whose_a_device_is() {
    assertThat(UblkBackend.describe(new Device(3, 2, 4711, 2, 64, 2048, -2)))
        .isEqualTo(
            "3: quiesced, 2048 sectors, 2 queues of 64, process 4711, hash fffffffffffffffe");
  }
}
