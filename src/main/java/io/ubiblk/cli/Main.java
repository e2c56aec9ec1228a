// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.backend.VhostBackend;
import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import java.io.IOException;
import java.util.Optional;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * Entry point of the jar. The first argument names the program, unless a launcher that stands for
 * one program named it in the system property {@value #PROGRAM_PROPERTY}.
 */
@Command(
    name = "ubiblk",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    description = "Block devices for virtual machines. The first argument names the program.",
    synopsisSubcommandLabel = "PROGRAM")
public final class Main implements Runnable {
  /** Set by the launcher of a program to the program's name. */
  static final String PROGRAM_PROPERTY = "ubiblk.program";

  @Spec private CommandSpec spec;

  private Main() {}

  /** Runs the program that was named and ends the process with its exit code. */
  public static void main(String[] arguments) {
    Optional<String> program = Optional.ofNullable(System.getProperty(PROGRAM_PROPERTY));
    System.exit(run(program, new VhostBackendRunner(), arguments));
  }

  /** Runs a command line and gives the exit code. */
  static int run(Optional<String> program, BackendRunner vhostBackend, String... arguments) {
    try {
      return commandLine(program, vhostBackend).execute(arguments);
    } catch (Throwable e) {
      return failed(e);
    }
  }

  /** The command line of {@code program}, or of all of them when none is named. */
  static CommandLine commandLine(Optional<String> program, BackendRunner vhostBackend) {
    CommandLine vhost = new CommandLine(new VhostBackendCommand(vhostBackend));
    CommandLine line;
    if (program.isEmpty()) {
      line = new CommandLine(new Main()).addSubcommand(vhost);
    } else if (program.get().equals(VhostBackendCommand.NAME)) {
      line = vhost;
    } else {
      throw new IllegalArgumentException("there is no program " + program.get());
    }
    return line.setExecutionExceptionHandler((e, commandLine, parsed) -> failed(e));
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "name a program");
  }

  /** Logs why the program ends, and says what to exit with. */
  private static int failed(Throwable e) {
    var log = LoggerFactory.getLogger(VhostBackendCommand.NAME);
    if (e instanceof ConfigException || e instanceof IOException) {
      log.error(Logging.oneLine(e.getMessage()));
      log.debug("where it came from", e);
      return ExitCode.FAILED;
    }
    log.error("internal error", e);
    return ExitCode.INTERNAL;
  }

  /** The vhost-user back end of this build. */
  private static final class VhostBackendRunner implements BackendRunner {
    @Override
    public void prepare() throws IOException {
      VhostBackend.prepare();
    }

    @Override
    public void run(DeviceConfig config) throws IOException {
      VhostBackend.run(config);
    }
  }
}
