// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.TestScale;
import java.util.Random;
import java.util.function.LongFunction;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** No crash loses or leaks anything, whatever the guest does and whatever fails meanwhile. */
class CrashSimulationIT {
  private final Random random = new Random(TestScale.seed());
  private Laboratory laboratory;
  private CrashSimulation simulation;

  @BeforeEach
  void open() throws Exception {
    laboratory = Laboratory.open();
    simulation = new CrashSimulation(laboratory);
  }

  @AfterEach
  void close() throws Exception {
    simulation.close();
    laboratory.close();
  }

  @Test
  void recoversFromEveryCrash() throws Exception {
    int disks = TestScale.count(6, 65);
    simulate(disks, TestScale.count(60, 120), CrashSetup::random);
    assertThat(2 * disks).isGreaterThanOrEqualTo(TestScale.count(12, 100));
    assertThat(simulation.stateCount()).isGreaterThanOrEqualTo(TestScale.count(500, 10_000));
    assertThat(simulation.stateInCommitCount()).isGreaterThanOrEqualTo(TestScale.count(50, 500));
  }

  /** Where a commit writes two sectors, of which a crash may leave either. */
  @Test
  void recoversWhereFlagsLieInTwoSectors() throws Exception {
    simulate(TestScale.count(2, 10), TestScale.count(20, 60), CrashSetup::betweenSectors);
    assertThat(simulation.stateCount()).isGreaterThanOrEqualTo(TestScale.count(40, 800));
  }

  /** Two workloads on each disk: the second begins with what a crash has left of the first. */
  private void simulate(int disks, int states, LongFunction<CrashSetup> setups) throws Exception {
    for (int disk = 0; disk < disks; disk++) {
      CrashSetup setup = setups.apply(random.nextLong());
      Workload workload = new Workload(laboratory, setup, Mutation.NONE);
      Recording first = workload.onNewDisk();
      check(first, states);
      check(workload.after(first, first.anyState(random)), states);
    }
    TestScale.report(
        "%d crash states of %d workloads, %d of them inside a commit"
            .formatted(simulation.stateCount(), 2 * disks, simulation.stateInCommitCount()));
  }

  private void check(Recording recording, int states) throws Exception {
    Findings findings = simulation.check(recording, states, random);
    assertThat(findings.isEmpty()).as("%s of %s", findings, recording.setup()).isTrue();
  }
}
