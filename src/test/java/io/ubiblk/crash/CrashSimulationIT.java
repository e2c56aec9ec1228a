// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** No crash loses or leaks anything, whatever the guest does and whatever fails meanwhile. */
class CrashSimulationIT {
  private static final int DISKS = CrashScale.count(6, 65);
  private static final int STATES_OF_EACH = CrashScale.count(60, 120);

  @Test
  void recoversFromEveryCrash() throws Exception {
    Random random = new Random(CrashScale.seed());
    int workloads = 0;
    try (Laboratory laboratory = Laboratory.open();
        CrashSimulation simulation = new CrashSimulation(laboratory)) {
      for (int disk = 0; disk < DISKS; disk++) {
        CrashSetup setup = CrashSetup.random(random.nextLong());
        Workload workload = new Workload(laboratory, setup, Mutation.NONE);
        Recording first = workload.onNewDisk();
        check(simulation, first, random);
        // Another crash on a disk that has recovered from one.
        Recording second = workload.after(first, first.anyState(random));
        check(simulation, second, random);
        workloads += 2;
      }
      CrashScale.report(
          "%d crash states of %d workloads, %d of them inside a commit"
              .formatted(simulation.stateCount(), workloads, simulation.stateInCommitCount()));
      assertThat(workloads).isGreaterThanOrEqualTo(CrashScale.count(12, 100));
      assertThat(simulation.stateCount()).isGreaterThanOrEqualTo(CrashScale.count(500, 10_000));
      assertThat(simulation.stateInCommitCount()).isGreaterThanOrEqualTo(CrashScale.count(50, 500));
    }
  }

  private static void check(CrashSimulation simulation, Recording recording, Random random)
      throws Exception {
    Findings findings = simulation.check(recording, STATES_OF_EACH, random);
    assertThat(findings.isEmpty()).as("%s of %s", findings, recording.setup()).isTrue();
  }
}
