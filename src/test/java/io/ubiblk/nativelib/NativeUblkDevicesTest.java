// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.nativelib.NativeUblkDevices.Device;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class NativeUblkDevicesTest {
  private static final int NOBODYS_ID = 1_000_000;

  @BeforeAll
  static void loadLibrary() throws IOException {
    NativeLibrary.load();
  }

  /** What is asked of a kernel without ublk fails with a sentence; with it, there is no device. */
  private static String expected() {
    return Files.exists(Path.of("/dev/ublk-control"))
        ? "there is no ublk device " + NOBODYS_ID
        : "this kernel has no ublk";
  }

  @Test
  void a_device_that_is_not_there_cannot_be_stopped_or_deleted() {
    assertThatThrownBy(() -> NativeUblkDevices.stop(NOBODYS_ID))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(expected());
    assertThatThrownBy(() -> NativeUblkDevices.delete(NOBODYS_ID))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(expected());
  }

  @Test
  void a_list_has_no_device_that_is_not_there() throws IOException {
    if (Files.exists(Path.of("/dev/ublk-control"))) {
      assertThat(NativeUblkDevices.list()).noneMatch(device -> device.id() == NOBODYS_ID);
    } else {
      assertThatThrownBy(NativeUblkDevices::list).hasMessageContaining("ublk_drv");
    }
  }

  @Test
  void states_have_the_kernels_names() {
    String[] names = {"dead", "live", "quiesced", "fail_io", "state 4"};
    for (int state = 0; state < names.length; state++) {
      assertThat(new Device(0, state, 1, 1, 64, 8, 0).stateName()).isEqualTo(names[state]);
    }
  }
}
