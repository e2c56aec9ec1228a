// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On trees like those of sysfs. */
class DeviceIdentityTest {
  @TempDir private Path sysfs;

  private Path device(String name, String attribute, String value) throws IOException {
    Path directory = sysfs.resolve(name);
    Path file = directory.resolve(attribute);
    Files.createDirectories(file.getParent());
    Files.writeString(file, value + "\n");
    return directory;
  }

  @Test
  void takes_what_stays_the_same_after_a_boot() throws IOException {
    assertThat(DeviceIdentity.inSysfs(device("dm-3", "dm/uuid", "LVM-abc"))).contains("dm-LVM-abc");
    assertThat(DeviceIdentity.inSysfs(device("nvme0n1", "wwid", "eui.00/25 38")))
        .contains("wwid-eui.00_25_38");
    assertThat(DeviceIdentity.inSysfs(device("sda", "device/wwid", "naa.5000")))
        .contains("wwid-naa.5000");
    assertThat(DeviceIdentity.inSysfs(device("vda", "serial", "s1"))).contains("serial-s1");
    assertThat(DeviceIdentity.inSysfs(device("loop0", "loop/backing_file", "/a")))
        .hasValueSatisfying(name -> assertThat(name).startsWith("loop-"))
        .isNotEqualTo(DeviceIdentity.inSysfs(device("loop1", "loop/backing_file", "/b")));
  }

  @Test
  void a_partition_is_a_part_of_its_disk() throws IOException {
    device("sda", "device/wwid", "naa.5000");
    assertThat(DeviceIdentity.inSysfs(device("sda/sda2", "partition", "2")))
        .contains("wwid-naa.5000-part2");
  }

  @Test
  void what_has_nothing_cannot_be_known_again() throws IOException {
    assertThat(DeviceIdentity.inSysfs(device("vdb", "serial", ""))).isEmpty();
    device("vdb/vdb1", "partition", "1");
    assertThat(DeviceIdentity.inSysfs(sysfs.resolve("vdb/vdb1"))).isEmpty();
  }
}
