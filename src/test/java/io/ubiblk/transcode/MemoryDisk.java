// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.transcode.PowerWorld.FileName;
import java.util.ArrayList;
import java.util.List;

/** The disk of a {@link PowerWorld}, from old keys to fresh ones. */
final class MemoryDisk implements DiskState {
  private final Coverage coverage;
  private final List<Target> targets = new ArrayList<>();

  MemoryDisk(PowerWorld world, boolean hasMetadata, Coverage coverage, TestKeys keys) {
    this.coverage = coverage;
    Target.Converter converter = (sector, bytes) -> keys.old.recrypt(keys.fresh, sector, bytes);
    targets.add(new Target(world.store(FileName.DISK), converter));
    if (hasMetadata) {
      targets.add(new Target(world.store(FileName.METADATA), converter));
    }
  }

  @Override
  public String path() {
    return "disk";
  }

  @Override
  public List<Target> targets() {
    return targets;
  }

  @Override
  public Coverage coverage() {
    return coverage;
  }
}
