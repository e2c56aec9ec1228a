// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.TestScale;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The simulation sees what it is there to see: every broken rule is found out. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class MutationIT {
  private static final int WORKLOADS_MAX = 20;
  private static final int STATES = 60;

  private Laboratory laboratory;
  private CrashSimulation simulation;

  @BeforeAll
  void open() throws Exception {
    laboratory = Laboratory.open();
    simulation = new CrashSimulation(laboratory);
  }

  @AfterAll
  void close() throws Exception {
    simulation.close();
    laboratory.close();
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NONE")
  void findsTheMutation(Mutation mutation) throws Exception {
    Random random = new Random(TestScale.seed());
    int before = simulation.stateCount();
    int violations = 0;
    int workloads = 0;
    while (violations == 0 && workloads < WORKLOADS_MAX) {
      violations =
          run(mutation.setup(random.nextLong()), mutation, random).count(mutation.breaks());
      workloads++;
    }
    TestScale.report(
        "%d crash states of %d workloads, in %d of them %s by %s"
            .formatted(
                simulation.stateCount() - before,
                workloads,
                violations,
                mutation.breaks(),
                mutation));
    assertThat(violations).as("%s by %s", mutation.breaks(), mutation).isPositive();
  }

  /** What finds a mutation is the mutation, and not the workload that it has. */
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NONE")
  void findsNothingWithoutTheMutation(Mutation mutation) throws Exception {
    Random random = new Random(TestScale.seed());
    for (int i = 0; i < TestScale.count(1, 5); i++) {
      CrashSetup setup = mutation.setup(random.nextLong());
      Findings findings = run(setup, Mutation.NONE, random);
      assertThat(findings.isEmpty()).as("%s of %s", findings, setup).isTrue();
    }
  }

  private Findings run(CrashSetup setup, Mutation mutation, Random random) throws Exception {
    Recording recording = new Workload(laboratory, setup, mutation).onNewDisk();
    return simulation.check(recording, STATES, random);
  }
}
