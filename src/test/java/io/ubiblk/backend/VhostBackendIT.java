// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.rpc.RpcClient;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The program as a process: what it leaves, what it says, how it ends. */
@Timeout(180)
class VhostBackendIT {
  private static final long DISK_BYTES = 16 << 20;
  private static final Path KEK_VECTORS = Path.of("src/test/resources/vectors/kek");

  @TempDir private Path directory;
  private Path disk;
  private Path socket;
  private Path rpc;

  @BeforeEach
  void makeDisk() throws IOException {
    disk = directory.resolve("disk.raw");
    socket = directory.resolve("vhost.sock");
    rpc = directory.resolve("rpc.sock");
    try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
      file.setLength(DISK_BYTES);
    }
  }

  private String config(String... more) throws IOException {
    List<String> lines =
        new ArrayList<>(List.of("path: " + disk, "socket: " + socket, "rpc_socket_path: " + rpc));
    lines.addAll(List.of(more));
    return Files.write(Files.createTempFile(directory, "config", ".yaml"), lines).toString();
  }

  private BackendProcess launch(String... arguments) throws IOException {
    return BackendProcess.start(directory, BackendProcess.launcher(arguments));
  }

  private BackendProcess serve(String... more) throws IOException {
    return launch("--config", config(more)).awaitSocket(socket);
  }

  private String ask(String command) throws IOException {
    try (RpcClient client = new RpcClient(rpc)) {
      return client.ask("{\"command\":\"" + command + "\"}");
    }
  }

  private void assertNoSockets() {
    assertThat(socket).doesNotExist();
    assertThat(rpc).doesNotExist();
  }

  private static String mode(Path path) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }

  @ParameterizedTest
  @ValueSource(strings = {"TERM", "INT", "HUP"})
  void a_signal_ends_it_in_order(String signal) throws Exception {
    try (BackendProcess process = serve("num_queues: 2")) {
      assertThat(mode(socket)).isEqualTo("rw-rw----");
      assertThat(mode(rpc)).isEqualTo("rw-rw----");
      process.signal(signal);
      assertThat(process.exitStatus()).as(process.output()).isZero();
      assertThat(process.output()).contains("SIG" + signal + ": stopping " + disk);
      assertNoSockets();
    }
  }

  @Test
  void a_signal_ends_it_while_a_front_end_is_connected() throws Exception {
    try (BackendProcess process = serve();
        SocketChannel frontEnd = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      assertThat(frontEnd.isConnected()).isTrue();
      process.await("the front end", () -> statsContain("\"front_end_connected\":true"));
      process.signal("TERM");
      assertThat(process.exitStatus()).as(process.output()).isZero();
      assertNoSockets();
    }
  }

  private boolean statsContain(String text) {
    try {
      return ask("stats").contains(text);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void the_jar_serves_without_the_launcher_s_options() throws Exception {
    String[] keys = {
      "encryption_key:",
      "  - \"" + "AAAA".repeat(10) + "AAA=\"",
      "  - \"" + "AQEB".repeat(10) + "AQE=\""
    };
    List<String> command =
        BackendProcess.jar(List.of("-Xcheck:jni"), "vhost-backend", "--config", config(keys));
    try (BackendProcess process = BackendProcess.start(directory, command)) {
      process.awaitSocket(socket);
      assertThat(ask("stats")).contains("xts_engine_reason");
      process.signal("TERM");
      assertThat(process.exitStatus()).as(process.output()).isZero();
      assertThat(process.output()).doesNotContain("in native method");
      assertNoSockets();
    }
  }

  @Test
  void the_rpc_counts_what_a_front_end_does() throws Exception {
    try (BackendProcess process = serve()) {
      String client =
          Path.of(System.getProperty("ubiblk.tools", "target/native/tools"))
              .resolve("quickstart_client")
              .toString();
      Path output = directory.resolve("client.log");
      int status =
          new ProcessBuilder(client, socket.toString(), Long.toString(DISK_BYTES))
              .redirectErrorStream(true)
              .redirectOutput(output.toFile())
              .start()
              .waitFor();
      assertThat(status).as(Files.readString(output)).isZero();
      JsonNode stats = new ObjectMapper().readTree(ask("stats")).path("stats");
      JsonNode queue = stats.path("queues").path(0);
      assertThat(queue.path("bytes_written").asLong()).isEqualTo(DISK_BYTES);
      assertThat(queue.path("bytes_read").asLong()).isGreaterThanOrEqualTo(DISK_BYTES);
      assertThat(queue.path("flush_ops").asLong()).isPositive();
      for (String operation : List.of("read", "write", "flush", "other")) {
        assertThat(queue.path(operation + "_errors").asLong()).isZero();
      }
      for (String operation : List.of("read", "write", "flush")) {
        JsonNode latency = queue.path("latency").path(operation);
        assertThat(latency.path("p50_us").asDouble()).isPositive();
        assertThat(
                List.of("p50_us", "p99_us", "p999_us", "max_us").stream()
                    .map(name -> latency.path(name).asDouble())
                    .toList())
            .isSorted();
      }
      assertThat(stats.path("disk_error").isNull()).isTrue();
      assertThat(ask("queues")).isEqualTo("{\"queues\":[[]]}");
      assertThat(process.isAlive()).isTrue();
    }
  }

  @Test
  void an_idle_process_is_small_and_its_threads_sleep() throws Exception {
    try (BackendProcess process = serve()) {
      Map<String, Long> before = process.cpuTicks();
      LockSupport.parkNanos(Duration.ofSeconds(3).toNanos());
      Map<String, Long> after = process.cpuTicks();
      for (String thread : List.of("queue-0", "vhost-session", "rpc", "native-log")) {
        assertThat(after.get(thread) - before.get(thread)).as(thread).isLessThanOrEqualTo(1);
      }
      assertThat(process.residentKib()).isLessThanOrEqualTo(80 * 1024);
    }
  }

  @Test
  void no_other_process_of_its_user_may_look_into_it() throws Exception {
    // The kernel gives the files of such a process to root, whoever runs it; for root itself, the
    // process needs another user.
    List<String> command = BackendProcess.jar(List.of(), "vhost-backend", "--config", config());
    if (Files.getAttribute(disk, "unix:uid").equals(0)) {
      command = asNobody(command);
    }
    try (BackendProcess process = BackendProcess.start(directory, command)) {
      process.awaitSocket(socket);
      assertThat(Files.readString(process.proc("status"))).doesNotContainPattern("Uid:\\s+0\\s");
      assertThat(Files.getAttribute(process.proc("mem"), "unix:uid")).isEqualTo(0);
    }
  }

  private List<String> asNobody(List<String> command) throws IOException {
    Path jar = directory.resolve("ubiblk.jar");
    Files.copy(Path.of(System.getProperty("ubiblk.jar", "target/ubiblk.jar")), jar);
    Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxrwxrwx"));
    for (Path file : List.of(disk, jar, Path.of(command.get(command.size() - 1)))) {
      Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-rw-rw-"));
    }
    List<String> line =
        new ArrayList<>(
            List.of(
                "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"));
    line.addAll(command);
    line.set(line.indexOf("-jar") + 1, jar.toString());
    return line;
  }

  @Test
  void nohup_is_respected() throws Exception {
    List<String> command = new ArrayList<>(List.of("env", "--ignore-signal=HUP"));
    command.addAll(BackendProcess.launcher("--config", config()));
    try (BackendProcess process = BackendProcess.start(directory, command)) {
      process.awaitSocket(socket);
      process.signal("HUP");
      assertThat(ask("version")).contains(NativeLibrary.VERSION);
      process.signal("TERM");
      assertThat(process.exitStatus()).isZero();
      assertThat(process.output()).contains("SIGTERM: stopping");
    }
  }

  @Test
  void the_rpc_tells_what_is_served() throws Exception {
    try (BackendProcess process = serve("num_queues: 3", "io_engine: sync", "direct_io: false")) {
      assertThat(ask("version")).isEqualTo("{\"version\":\"" + NativeLibrary.VERSION + "\"}");
      assertThat(ask("status")).isEqualTo("{\"status\":null}");
      assertThat(ask("queues")).isEqualTo("{\"queues\":[[],[],[]]}");
      assertThat(ask("stats"))
          .contains("\"io_engine\":\"sync\"")
          .contains("\"direct_io\":false")
          .contains("\"front_end_connected\":false")
          .contains("\"disk_error\":null")
          .contains("\"xts_engine\":null");
      assertThat(process.isAlive()).isTrue();
    }
  }

  @Test
  void it_starts_again_after_a_kill() throws Exception {
    try (BackendProcess process = serve()) {
      process.signal("KILL");
      process.exitStatus();
    }
    assertThat(socket).exists();
    assertThat(rpc).exists();
    try (BackendProcess process = launch("--config", config())) {
      process.await("a new socket", this::isServed);
      process.signal("TERM");
      assertThat(process.exitStatus()).isZero();
      assertNoSockets();
    }
  }

  private boolean isServed() {
    try (SocketChannel frontEnd = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      return frontEnd.isConnected();
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void a_missing_disk_is_told_in_one_line() throws Exception {
    Files.delete(disk);
    try (BackendProcess process = launch("--config", config())) {
      assertThat(process.exitStatus()).isEqualTo(1);
      assertThat(process.output().lines()).singleElement().asString().contains(disk.toString());
      assertNoSockets();
    }
  }

  @Test
  void a_missing_configuration_is_told_in_one_line() throws Exception {
    String missing = directory.resolve("missing.yaml").toString();
    try (BackendProcess process = launch("--config", missing)) {
      assertThat(process.exitStatus()).isEqualTo(1);
      assertThat(process.output().lines()).singleElement().asString().contains(missing);
    }
  }

  @Test
  void a_wrong_command_line_ends_with_2() throws Exception {
    try (BackendProcess process = launch("--config", "x", "--unlink-kek")) {
      assertThat(process.exitStatus()).isEqualTo(2);
    }
    try (BackendProcess process = launch()) {
      assertThat(process.exitStatus()).isEqualTo(2);
    }
  }

  @Test
  void help_and_version_end_with_0() throws Exception {
    try (BackendProcess process = launch("--help")) {
      assertThat(process.exitStatus()).isZero();
      assertThat(process.output()).contains("--kek");
    }
    try (BackendProcess process = launch("--version")) {
      assertThat(process.exitStatus()).isZero();
      assertThat(process.output()).contains(NativeLibrary.VERSION);
    }
  }

  @Test
  void a_disk_in_use_is_refused_and_its_holder_named() throws Exception {
    try (BackendProcess holder = serve()) {
      String other =
          Files.writeString(
                  directory.resolve("other.yaml"),
                  "path: " + disk + "\nsocket: " + directory.resolve("other.sock") + "\n")
              .toString();
      try (BackendProcess second = launch("--config", other)) {
        assertThat(second.exitStatus()).isEqualTo(1);
        assertThat(second.output()).contains(Long.toString(holder.pid()));
        assertThat(directory.resolve("other.sock")).doesNotExist();
      }
      assertThat(ask("version")).contains(NativeLibrary.VERSION);
    }
  }

  @Test
  void a_start_that_waits_for_a_disk_can_be_stopped() throws Exception {
    try (BackendProcess holder = serve()) {
      Path otherSocket = directory.resolve("other.sock");
      String other =
          Files.writeString(
                  directory.resolve("other.yaml"), "path: " + disk + "\nsocket: " + otherSocket)
              .toString();
      try (BackendProcess second = launch("--config", other)) {
        second.awaitThread("native-log");
        second.signal("TERM");
        holder.signal("TERM");
        assertThat(holder.exitStatus()).isZero();
        assertThat(second.exitStatus()).as(second.output()).isZero();
        assertThat(otherSocket).doesNotExist();
      }
    }
  }

  @Test
  void a_start_that_waits_for_its_key_can_be_stopped() throws Exception {
    Path fifo = directory.resolve("kek.fifo");
    assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor()).isZero();
    try (BackendProcess process = launch("--config", config(), "--kek", fifo.toString())) {
      // The only thing that opens the directory's FIFO is the main thread, after its preparations.
      process.await("the preparations", () -> mapsContain(process, "ubiblk"));
      process.signal("TERM");
      assertThat(process.exitStatus()).isNotZero();
      assertNoSockets();
    }
  }

  private static boolean mapsContain(BackendProcess process, String text) {
    try {
      return Files.readString(process.proc("maps")).contains("lib" + text);
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void an_rpc_path_that_is_taken_refuses_the_start() throws Exception {
    Files.writeString(rpc, "precious");
    try (BackendProcess process = launch("--config", config())) {
      assertThat(process.exitStatus()).isEqualTo(1);
      assertThat(process.output()).contains(rpc + " exists and is not a socket");
      assertThat(socket).doesNotExist();
      assertThat(rpc).hasContent("precious");
    }
  }

  @Test
  void a_start_that_fails_late_undoes_what_came_before() throws Exception {
    socket = directory.resolve("missing/vhost.sock");
    try (BackendProcess process = launch("--config", config())) {
      assertThat(process.exitStatus()).isEqualTo(1);
      assertThat(process.output()).contains(socket.toString());
      assertNoSockets();
    }
  }

  @Test
  void settings_that_want_more_memory_than_there_is_are_told_in_one_line() throws Exception {
    List<String> command = new ArrayList<>(List.of("prlimit", "--as=12000000000"));
    command.addAll(
        BackendProcess.launcher("--config", config("num_queues: 63", "queue_size: 32768")));
    try (BackendProcess process = BackendProcess.start(directory, command)) {
      assertThat(process.exitStatus()).isEqualTo(1);
      assertThat(process.output()).contains("no memory for 32768 request slots");
      assertThat(process.output()).doesNotContain("\tat ");
      assertNoSockets();
    }
  }

  @Test
  void a_temporary_directory_that_cannot_be_used_is_explained() throws Exception {
    List<String> options = List.of("-Djava.io.tmpdir=/proc/nothing");
    try (BackendProcess process =
        BackendProcess.start(
            directory, BackendProcess.jar(options, "vhost-backend", "--config", config()))) {
      assertThat(process.exitStatus()).isEqualTo(1);
      assertThat(process.output())
          .contains("cannot load libubiblk.so from the jar by way of /proc/nothing")
          .contains("-D" + NativeLibrary.LOCATION_PROPERTY + "=FILE");
    }
    List<String> named = new ArrayList<>(options);
    named.add(
        "-D"
            + NativeLibrary.LOCATION_PROPERTY
            + "="
            + System.getProperty("ubiblk.natives", "target/classes/natives/linux_64"));
    try (BackendProcess process =
        BackendProcess.start(
            directory, BackendProcess.jar(named, "vhost-backend", "--config", config()))) {
      process.awaitSocket(socket);
    }
  }

  @Test
  void the_service_manager_hears_of_a_socket_that_listens_and_of_the_stop() throws Exception {
    Path notify = directory.resolve("notify.sock");
    String listener =
        "$| = 1; my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!;"
            + "while (defined $s->recv(my $m, 4096)) { print \"$m\\n\" }";
    Process perl =
        new ProcessBuilder(
                "perl", "-MIO::Socket::UNIX", "-MSocket", "-e", listener, notify.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (var heard = perl.inputReader(StandardCharsets.UTF_8)) {
      while (!Files.exists(notify)) {
        assertThat(perl.isAlive()).isTrue();
        Thread.onSpinWait();
      }
      try (BackendProcess process =
          BackendProcess.start(
              directory,
              BackendProcess.launcher("--config", config()),
              Map.of("NOTIFY_SOCKET", notify.toString()))) {
        assertThat(heard.readLine()).isEqualTo("READY=1");
        assertThat(isServed()).isTrue();
        process.signal("TERM");
        assertThat(heard.readLine()).isEqualTo("STOPPING=1");
        assertThat(process.exitStatus()).isZero();
      }
    } finally {
      perl.destroyForcibly().waitFor();
    }
  }

  @Test
  void secrets_stay_out_of_everything_that_can_be_read() throws Exception {
    Path kek = directory.resolve("kek.yaml");
    Files.copy(KEK_VECTORS.resolve("kek.yaml"), kek);
    List<String> wrapped = Files.readAllLines(KEK_VECTORS.resolve("config-wrapped.yaml"));
    String config = config(wrapped.subList(2, wrapped.size()).toArray(String[]::new));
    try (BackendProcess process =
        launch(
            "--config", config, "--kek", kek.toString(), "--unlink-kek", "--log-level", "trace")) {
      process.awaitSocket(socket);
      assertThat(kek).doesNotExist();
      String stats = ask("stats");
      assertThat(stats).containsPattern("\"xts_engine\":\"[a-z0-9-]+\"");
      assertThat(Files.readString(process.proc("limits")))
          .containsPattern("Max core file size +0 +0 ");
      String visible =
          Files.readString(process.proc("cmdline"), StandardCharsets.ISO_8859_1)
              + Files.readString(process.proc("environ"), StandardCharsets.ISO_8859_1)
              + stats;
      process.signal("TERM");
      assertThat(process.exitStatus()).isZero();
      visible += process.output();
      // The KEK and the opened keys, in base64 and in hexadecimal.
      assertThat(visible)
          .doesNotContain("ERERERER")
          .doesNotContain("11111111111111111111")
          .doesNotContain("AAECAwQFBgc")
          .doesNotContain("gIGCg4SFhoe")
          .doesNotContainIgnoringCase("000102030405")
          .doesNotContainIgnoringCase("808182838485")
          .doesNotContain("F/YFSsTKmVjt");
    }
  }

  @Test
  void no_queue_thread_is_known_to_the_jvm() throws Exception {
    // A dump by SIGQUIT needs a JVM that handles signals, so not the launcher's options.
    try (BackendProcess process =
        BackendProcess.start(
            directory,
            BackendProcess.jar(List.of(), "vhost-backend", "--config", config("num_queues: 2")))) {
      process.awaitSocket(socket);
      process.awaitThread("queue-1");
      process.signal("QUIT");
      process.await("the thread dump", () -> contains(process, "JNI global refs"));
      Map<Long, String> known = threadsOfDump(process.output());
      Map<Long, String> all = process.threads();
      assertThat(all.values()).contains("queue-0", "queue-1", "vhost-session", "rpc");
      assertThat(known.values()).contains("rpc", "native-log", "main", "VM Thread");
      assertThat(all.keySet()).containsAll(known.keySet());
      all.keySet().removeAll(known.keySet());
      assertThat(all.values()).contains("queue-0", "queue-1", "vhost-session");
    }
  }

  private static boolean contains(BackendProcess process, String text) {
    try {
      return process.output().contains(text);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** Kernel ids and names of the threads in a dump: hexadecimal up to JDK 20, decimal later. */
  private static Map<Long, String> threadsOfDump(String dump) {
    Map<Long, String> threads = new TreeMap<>();
    Matcher matcher =
        Pattern.compile("(?m)^\"([^\"]+)\".* nid=(0x[0-9a-f]+|[0-9]+) ").matcher(dump);
    while (matcher.find()) {
      threads.put(Long.decode(matcher.group(2)), matcher.group(1));
    }
    return threads;
  }
}
