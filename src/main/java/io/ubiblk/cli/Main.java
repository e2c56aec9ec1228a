// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.backend.VhostBackend;
import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import java.io.IOException;
import java.util.Arrays;
import java.util.function.Consumer;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.Spec;

/** Entry point of the jar. The first argument names the program. */
@Command(
    name = "ubiblk",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    description = "Block devices for virtual machines. The first argument names the program.",
    synopsisSubcommandLabel = "PROGRAM")
public final class Main implements Runnable {
  @Spec private CommandSpec spec;

  private Main() {}

  /** Runs the program that was named and ends the process with its exit code. */
  public static void main(String[] arguments) {
    System.exit(run(new VhostBackendRunner(), arguments));
  }

  /** Runs a command line and gives the exit code. */
  static int run(BackendRunner vhostBackend, String... arguments) {
    try {
      return execute(vhostBackend, line -> {}, arguments);
    } catch (Throwable e) {
      return failed(e);
    }
  }

  /** The same, with a command line that {@code setUp} may change before it runs. */
  static int execute(BackendRunner vhostBackend, Consumer<CommandLine> setUp, String... arguments) {
    CommandLine program = new CommandLine(new VhostBackendCommand(vhostBackend));
    boolean named = arguments.length > 0 && arguments[0].equals(program.getCommandName());
    // Run by itself, a program calls itself by its own name: that of its launcher, not the jar's.
    CommandLine line = named ? program : new CommandLine(new Main()).addSubcommand(program);
    line.setExecutionExceptionHandler(new ExecutionFailed());
    setUp.accept(line);
    return line.execute(named ? Arrays.copyOfRange(arguments, 1, arguments.length) : arguments);
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

  /** A class, not a lambda: one of picocli's old interfaces is in no class-data archive. */
  private static final class ExecutionFailed implements IExecutionExceptionHandler {
    @Override
    public int handleExecutionException(Exception e, CommandLine line, ParseResult parsed) {
      return failed(e);
    }
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
