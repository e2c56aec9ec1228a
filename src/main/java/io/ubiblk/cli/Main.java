// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.backend.MetadataDump;
import io.ubiblk.backend.MetadataInit;
import io.ubiblk.backend.UblkBackend;
import io.ubiblk.backend.VhostBackend;
import io.ubiblk.backend.XtsTool;
import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.List;
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
  /** Every program, by the name of its launcher. */
  private static final List<String> NAMES =
      List.of(
          VhostBackendCommand.NAME,
          UblkBackendCommand.NAME,
          InitMetadataCommand.NAME,
          DumpMetadataCommand.NAME,
          KeysCommand.NAME,
          XtsCommand.NAME);

  @Spec private CommandSpec spec;

  private Main() {}

  /** Runs the program that was named and ends the process with its exit code. */
  public static void main(String[] arguments) {
    Thread.setDefaultUncaughtExceptionHandler(Main::threadDied);
    System.exit(run(new BuiltPrograms(), arguments));
  }

  /**
   * Ends the process at once. A thread that is gone leaves guests waiting for ever; a process that
   * is gone loses nothing that was completed, and is started again.
   */
  private static void threadDied(Thread thread, Throwable cause) {
    LoggerFactory.getLogger("ubiblk").error("thread {} died", thread.getName(), cause);
    Runtime.getRuntime().halt(ExitCode.INTERNAL);
  }

  /** Runs a command line and gives the exit code. */
  static int run(Programs programs, String... arguments) {
    try {
      return execute(programs, line -> {}, arguments);
    } catch (Throwable e) {
      return failed(e, isNamed(arguments) ? arguments[0] : "ubiblk");
    }
  }

  /** The same, with a command line that {@code setUp} may change before it runs. */
  static int execute(Programs programs, Consumer<CommandLine> setUp, String... arguments) {
    // Run by itself, a program calls itself by its own name: that of its launcher, not the jar's.
    boolean named = isNamed(arguments);
    CommandLine line = named ? program(arguments[0], programs) : new CommandLine(new Main());
    if (!named) {
      NAMES.forEach(name -> line.addSubcommand(program(name, programs)));
    }
    line.setExecutionExceptionHandler(new ExecutionFailed());
    setUp.accept(line);
    return line.execute(named ? Arrays.copyOfRange(arguments, 1, arguments.length) : arguments);
  }

  private static boolean isNamed(String... arguments) {
    return arguments.length > 0 && NAMES.contains(arguments[0]);
  }

  private static CommandLine program(String name, Programs programs) {
    return switch (name) {
      case VhostBackendCommand.NAME -> new CommandLine(new VhostBackendCommand(programs));
      case UblkBackendCommand.NAME -> new CommandLine(new UblkBackendCommand(programs));
      case InitMetadataCommand.NAME -> new CommandLine(new InitMetadataCommand(programs));
      case DumpMetadataCommand.NAME -> new CommandLine(new DumpMetadataCommand(programs));
      case KeysCommand.NAME -> KeysCommand.line(programs);
      case XtsCommand.NAME -> XtsCommand.line(programs);
      default -> throw new IllegalArgumentException("there is no program " + name);
    };
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "name a program");
  }

  /** Logs why the program ends, and says what to exit with. */
  private static int failed(Throwable e, String program) {
    var log = LoggerFactory.getLogger(program);
    if (e instanceof ConfigException || e instanceof IOException) {
      log.error(Logging.sentence(e));
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
      return failed(e, line.getCommandSpec().root().name());
    }
  }

  /** The programs of this build. */
  private static final class BuiltPrograms implements Programs {
    @Override
    public SecretStreams secretStreams() throws IOException {
      try {
        // The one that waits, early after boot, until the kernel's random source can be trusted.
        SecureRandom random = SecureRandom.getInstanceStrong();
        return new SecretStreams(
            random,
            new FileInputStream(FileDescriptor.in),
            new FileOutputStream(FileDescriptor.out));
      } catch (NoSuchAlgorithmException e) {
        throw new IOException("this JVM has no strong random source", e);
      }
    }

    @Override
    public void prepare() throws IOException {
      VhostBackend.prepare();
    }

    @Override
    public void serveVhost(DeviceConfig config) throws IOException {
      VhostBackend.run(config);
    }

    @Override
    public void serveUblk(DeviceConfig config, UblkBackend.Options options) throws IOException {
      UblkBackend.run(config, options);
    }

    @Override
    public void listUblk(PrintWriter out) throws IOException {
      UblkBackend.list(out);
    }

    @Override
    public void stopUblk(int id) throws IOException {
      UblkBackend.stop(id);
    }

    @Override
    public void deleteUblk(int id) throws IOException {
      UblkBackend.delete(id);
    }

    @Override
    public void initMetadata(DeviceConfig config, MetadataInit.Options options) throws IOException {
      MetadataInit.run(config, options);
    }

    @Override
    public void dumpMetadata(DeviceConfig config, boolean json, Appendable out) throws IOException {
      MetadataDump.run(config, json, out);
    }

    @Override
    public void recode(DeviceConfig config, XtsTool.Recoding recoding) throws IOException {
      XtsTool.recode(config, recoding, System.err);
    }

    @Override
    public void reencrypt(DeviceConfig from, DeviceConfig to, XtsTool.Reencryption reencryption)
        throws IOException {
      XtsTool.reencrypt(from, to, reencryption, System.err);
    }
  }
}
