// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** A back end as a process of its own, started as an operator starts it. */
final class BackendProcess implements AutoCloseable {
  /** Generous: machines that run tests are busy. */
  static final Duration TIMEOUT = Duration.ofSeconds(60);

  private static final Path JAVA = Path.of(System.getProperty("java.home"), "bin", "java");

  private final Process process;
  private final Path output;

  private BackendProcess(Process process, Path output) {
    this.process = process;
    this.output = output;
  }

  /** The launcher's command line. */
  static List<String> launcher(String... arguments) {
    Path launchers = Path.of(System.getProperty("ubiblk.launchers", "bin"));
    List<String> command = new ArrayList<>(List.of(launchers.resolve("vhost-backend").toString()));
    command.addAll(List.of(arguments));
    return command;
  }

  /** The jar without any JVM options but these. */
  static List<String> jar(List<String> jvmOptions, String... arguments) {
    List<String> command = new ArrayList<>(List.of(JAVA.toString()));
    command.addAll(jvmOptions);
    command.add("-jar");
    command.add(System.getProperty("ubiblk.jar", "target/ubiblk.jar"));
    command.addAll(List.of(arguments));
    return command;
  }

  /**
   * Starts {@code command}, its output going to a file in {@code directory}. Signals have their
   * default action, whatever this process ignores.
   */
  static BackendProcess start(Path directory, List<String> command, Map<String, String> environment)
      throws IOException {
    Path output = Files.createTempFile(directory, "output", ".log");
    List<String> line = new ArrayList<>(List.of("env", "--default-signal=HUP,INT,QUIT,TERM"));
    line.addAll(command);
    ProcessBuilder builder =
        new ProcessBuilder(line)
            .redirectErrorStream(true)
            .redirectInput(Path.of("/dev/null").toFile())
            .redirectOutput(output.toFile());
    builder.environment().remove("JAVA_TOOL_OPTIONS");
    builder.environment().remove("NOTIFY_SOCKET");
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().putAll(environment);
    return new BackendProcess(builder.start(), output);
  }

  /** Starts {@code command} in this environment. */
  static BackendProcess start(Path directory, List<String> command) throws IOException {
    return start(directory, command, Map.of());
  }

  long pid() {
    return process.pid();
  }

  /** What it has written to stdout and stderr. */
  String output() throws IOException {
    return Files.readString(output);
  }

  /** Waits until {@code condition} holds; fails with the output when the process ends before. */
  void await(String what, BooleanSupplier condition) throws IOException {
    long deadlineNs = System.nanoTime() + TIMEOUT.toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(process.isAlive()).as("alive while waiting for %s: %s", what, output()).isTrue();
      assertThat(System.nanoTime() < deadlineNs).as("%s: %s", what, output()).isTrue();
      LockSupport.parkNanos(Duration.ofMillis(5).toNanos());
    }
  }

  /** Waits for the socket of front ends. */
  BackendProcess awaitSocket(Path socket) throws IOException {
    await("the socket", () -> Files.exists(socket));
    return this;
  }

  /** Waits for a thread of that name. */
  void awaitThread(String name) throws IOException {
    await("the thread " + name, () -> threads().containsValue(name));
  }

  /** Names of its threads by id, as the kernel sees them. */
  Map<Long, String> threads() {
    Map<Long, String> threads = new TreeMap<>();
    try (var tasks = Files.newDirectoryStream(proc("task"))) {
      for (Path task : tasks) {
        threads.put(
            Long.valueOf(task.getFileName().toString()),
            Files.readString(task.resolve("comm")).strip());
      }
    } catch (IOException e) {
      // A thread or the process ended meanwhile.
    }
    return threads;
  }

  /** Clock ticks that its threads have run, by name. */
  Map<String, Long> cpuTicks() throws IOException {
    Map<String, Long> ticks = new TreeMap<>();
    for (Map.Entry<Long, String> thread : threads().entrySet()) {
      String stat = Files.readString(proc("task/" + thread.getKey() + "/stat"));
      String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
      ticks.merge(
          thread.getValue(), Long.parseLong(fields[11]) + Long.parseLong(fields[12]), Long::sum);
    }
    return ticks;
  }

  /** Memory that it occupies. */
  long residentKib() throws IOException {
    return Files.readAllLines(proc("status")).stream()
        .filter(line -> line.startsWith("VmRSS:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
        .findFirst()
        .orElseThrow();
  }

  /** A file about the process. */
  Path proc(String name) {
    return Path.of("/proc", Long.toString(pid()), name);
  }

  /** Sends a signal by its name. */
  void signal(String name) throws IOException, InterruptedException {
    int status = new ProcessBuilder("kill", "-" + name, Long.toString(pid())).start().waitFor();
    assertThat(status).isZero();
  }

  /** Its exit status, once it has ended. */
  int exitStatus() throws IOException, InterruptedException {
    assertThat(process.waitFor(TIMEOUT.toSeconds(), TimeUnit.SECONDS))
        .as("ends in time: %s", output())
        .isTrue();
    return process.exitValue();
  }

  boolean isAlive() {
    return process.isAlive();
  }

  @Override
  public void close() throws IOException {
    process.destroyForcibly();
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
