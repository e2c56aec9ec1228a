// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.TestScale;
import io.ubiblk.stripe.AutofetchState;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class RpcServerTest {
  private static final String VERSION_ANSWER = "{\"version\":\"1.2.3\"}";

  @TempDir private Path directory;
  private final FakeDisk disk = new FakeDisk();
  private RpcServer server;

  @AfterEach
  void stopServer() throws IOException {
    if (server != null) {
      server.close();
    }
  }

  private Path path() {
    return directory.resolve("rpc.sock");
  }

  private RpcClient connect(RpcLimits limits) throws IOException {
    if (server == null) {
      server = RpcServer.start(path(), limits, "1.2.3", disk, disk);
    }
    return new RpcClient(path());
  }

  private RpcClient connect() throws IOException {
    return connect(RpcLimits.DEFAULT);
  }

  @Test
  void trims_lines_and_skips_empty_ones() throws IOException {
    try (RpcClient client = connect()) {
      client.send(
          "\n  \r\n\u0085\u00a0\n\t {\"command\":\"version\"}\u2003\r\n{\"command\":\"x\"}\n");
      assertThat(client.readLine()).isEqualTo(VERSION_ANSWER);
      assertThat(client.readLine()).isEqualTo("{\"error\":\"unknown command: x\"}");
    }
  }

  @Test
  void answers_a_command_that_is_no_unicode_text() throws IOException {
    try (RpcClient client = connect()) {
      client.send("{\"command\":\"a\\ud800b\"}\n{\"command\":\"version\"}\n");
      assertThat(client.readLine()).startsWith("{\"error\":\"unknown command: a");
      assertThat(client.readLine()).isEqualTo(VERSION_ANSWER);
    }
  }

  @Test
  void processes_an_unterminated_last_line() throws IOException {
    try (RpcClient client = connect()) {
      client.send("{\"command\":\"status\"}\n{\"command\":\"version\"}");
      client.endOutput();
      assertThat(client.readLine()).isEqualTo("{\"status\":null}");
      assertThat(client.readLine()).isEqualTo(VERSION_ANSWER);
      assertThat(client.readLine()).isNull();
    }
  }

  @Test
  void closes_on_bytes_that_are_not_utf_8() throws IOException {
    try (RpcClient client = connect()) {
      // In one piece: the server may close before a later one could be sent.
      String request = "{\"command\":\"version\"}\n";
      client.send((request + "\"\u00c0\u0080\"\n" + request).getBytes(StandardCharsets.ISO_8859_1));
      assertThat(client.readLine()).isEqualTo(VERSION_ANSWER);
      assertThat(client.readLine()).isNull();
    }
  }

  @Test
  void answers_requests_that_arrive_byte_by_byte() throws IOException {
    try (RpcClient client = connect()) {
      for (byte next : "{\"command\":\"version\"}\n".getBytes(StandardCharsets.UTF_8)) {
        client.send(new byte[] {next});
      }
      assertThat(client.readLine()).isEqualTo(VERSION_ANSWER);
    }
  }

  @Test
  void takes_a_line_of_the_longest_allowed_length_and_no_longer_one() throws IOException {
    String request = "{\"command\":\"version\"}";
    int limit = RpcLimits.DEFAULT.lineBytes();
    try (RpcClient client = connect()) {
      client.send(request + " ".repeat(limit - request.length()) + "\n");
      assertThat(client.readLine()).isEqualTo(VERSION_ANSWER);
      client.send(request + " ".repeat(limit - request.length() + 1) + "\n");
      assertThat(client.readLine())
          .isEqualTo("{\"error\":\"invalid request: the line is longer than 65536 bytes\"}");
      assertThat(client.readLine()).isNull();
    }
  }

  /** Reads end anywhere in a line, and have the end of one, whole ones and the beginning of one. */
  @Test
  void answers_every_line_of_a_stream_whatever_their_lengths() throws IOException {
    String request = "{\"command\":\"version\"}";
    Random random = new Random(1);
    StringBuilder stream = new StringBuilder();
    int count = 100; // their answers fit into the socket while nobody reads them
    for (int i = 0; i < count; i++) {
      int longest = (i % 20 == 0 ? RpcLimits.DEFAULT.lineBytes() : 2000) - request.length();
      stream.append("\n".repeat(random.nextInt(3))).append(request);
      stream.append(" ".repeat(i % 40 == 0 ? longest : random.nextInt(longest))).append('\n');
    }
    try (RpcClient client = connect()) {
      client.send(stream.toString());
      for (int i = 0; i < count; i++) {
        assertThat(client.readLine()).isEqualTo(VERSION_ANSWER);
      }
    }
  }

  @Test
  void a_line_of_a_gibibyte_costs_no_memory_and_ends_its_client_only() throws IOException {
    long lineBytes = TestScale.count(64 << 20, 1 << 30);
    System.out.printf("line of %d bytes%n", lineBytes);
    byte[] block = new byte[1 << 20];
    try (RpcClient other = connect();
        RpcClient client = connect()) {
      long sent = 0;
      IOException refused = null;
      while (refused == null && sent < lineBytes) {
        try {
          client.send(block);
          sent += block.length;
        } catch (IOException e) {
          refused = e;
        }
      }
      assertThat(refused).as("the server stops reading").isNotNull();
      assertThat(client.readLine()).contains("the line is longer than");
      assertThat(other.ask("{\"command\":\"version\"}")).isEqualTo(VERSION_ANSWER);
    }
  }

  @Test
  void tells_clients_beyond_the_limit_and_serves_the_others() throws IOException {
    int attempts = TestScale.count(500, 10_000);
    System.out.printf("%d clients%n", attempts);
    List<RpcClient> served = new ArrayList<>();
    try {
      for (int i = 0; i < RpcLimits.DEFAULT.clientCount(); i++) {
        served.add(connect());
        assertThat(served.get(i).ask("{\"command\":\"version\"}")).isEqualTo(VERSION_ANSWER);
      }
      for (int i = 0; i < attempts; i++) {
        try (RpcClient refused = connect()) {
          assertThat(refused.readLine())
              .isEqualTo("{\"error\":\"too many clients: 16 are connected\"}");
          assertThat(refused.readLine()).isNull();
        }
      }
      for (RpcClient client : served) {
        assertThat(client.ask("{\"command\":\"version\"}")).isEqualTo(VERSION_ANSWER);
      }
      served.remove(0).close();
      assertThat(askUntilServed()).isEqualTo(VERSION_ANSWER);
    } finally {
      for (RpcClient client : served) {
        client.close();
      }
    }
  }

  /** The place of a client that left is free as soon as the server has noticed. */
  private String askUntilServed() throws IOException {
    while (true) {
      try (RpcClient client = connect()) {
        String answer = client.ask("{\"command\":\"version\"}");
        if (answer != null && !answer.contains("too many clients")) {
          return answer;
        }
      } catch (IOException e) {
        // Closed while it was asking: not yet, then.
      }
    }
  }

  @Test
  void closes_a_client_that_dribbles_a_line_and_one_that_is_silent() throws IOException {
    RpcLimits limits = new RpcLimits(1024, 16, Duration.ofMillis(300));
    try (RpcClient silent = connect(limits);
        RpcClient slow = connect(limits)) {
      assertThat(slow.ask("{\"command\":\"version\"}")).isEqualTo(VERSION_ANSWER);
      assertThatThrownBy(
              () -> {
                while (true) {
                  slow.send(" ");
                  pause();
                }
              })
          .isInstanceOf(IOException.class);
      assertThat(silent.readLine()).isNull();
    }
  }

  private static void pause() {
    LockSupport.parkNanos(Duration.ofMillis(2).toNanos());
  }

  @Test
  void closes_a_client_that_does_not_take_its_answers() throws IOException {
    disk.queues =
        List.of(
            Collections.nCopies(
                DiskReports.ACTIVE_REQUESTS_MAX,
                new ActiveRequest(ActiveRequest.Kind.READ, Long.MAX_VALUE, 4_294_967_295L)));
    RpcLimits limits = new RpcLimits(1024, 16, Duration.ofMillis(300));
    try (RpcClient client = connect(limits);
        RpcClient other = connect(limits)) {
      assertThatThrownBy(
              () -> {
                while (true) {
                  client.send("{\"command\":\"queues\"}\n");
                }
              })
          .isInstanceOf(IOException.class);
      assertThat(other.readLine()).isNull();
    }
  }

  @Test
  void answers_pipelined_requests_in_order_to_a_client_that_reads_late() throws Exception {
    int count = 2000;
    disk.queues =
        List.of(Collections.nCopies(64, new ActiveRequest(ActiveRequest.Kind.READ, 1, 8)));
    try (RpcClient client = connect()) {
      Thread sender =
          new Thread(
              () -> {
                try {
                  client.send(
                      "{\"command\":\"queues\"}\n{\"command\":\"version\"}\n".repeat(count));
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              });
      sender.start();
      for (int i = 0; i < count; i++) {
        assertThat(client.readLine()).startsWith("{\"queues\":[[[\"read\",1,8]");
        assertThat(client.readLine()).isEqualTo(VERSION_ANSWER);
      }
      sender.join();
    }
  }

  @Test
  void says_what_is_wrong_with_a_request() throws IOException {
    try (RpcClient client = connect()) {
      for (String request :
          List.of(
              "hello?",
              "{}",
              "[]",
              "[\"version\"]",
              "7",
              "null",
              "{\"command\":7}",
              "{\"command\":null}",
              "{\"command\":{\"command\":\"version\"}}",
              "{\"command\":\"version\"",
              "{\"command\":\"version\"} {}",
              "{\"command\":\"version\",\"command\":\"version\"}",
              "[".repeat(30_000))) {
        assertThat(client.ask(request)).startsWith("{\"error\":\"invalid request: ");
      }
      assertThat(client.ask("{\"command\":\"reboot\\n\"}"))
          .isEqualTo("{\"error\":\"unknown command: reboot\\n\"}");
    }
  }

  @Test
  void ignores_unknown_members() throws IOException {
    try (RpcClient client = connect()) {
      assertThat(client.ask("{\"id\":{\"a\":[1,{}]},\"command\":\"version\",\"x\":1,\"x\":2}"))
          .isEqualTo(VERSION_ANSWER);
    }
  }

  @Test
  void makes_the_socket_with_mode_0660_and_removes_it_on_close() throws IOException {
    connect().close();
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path())))
        .isEqualTo("rw-rw----");
    try (var files = Files.list(directory)) {
      assertThat(files).containsExactly(path());
    }
    server.close();
    assertThat(path()).doesNotExist();
  }

  @Test
  void replaces_a_socket_that_nobody_listens_on() throws IOException {
    try (var left = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      left.bind(UnixDomainSocketAddress.of(path()));
    }
    try (RpcClient client = connect()) {
      assertThat(client.ask("{\"command\":\"version\"}")).isEqualTo(VERSION_ANSWER);
    }
  }

  @Test
  void refuses_a_socket_that_somebody_listens_on() throws IOException {
    connect().close();
    assertThatThrownBy(() -> RpcServer.start(path(), RpcLimits.DEFAULT, "1.2.3", disk, disk))
        .hasMessage("another process listens on " + path());
    try (RpcClient client = connect()) {
      assertThat(client.ask("{\"command\":\"version\"}")).isEqualTo(VERSION_ANSWER);
    }
  }

  @Test
  void refuses_to_replace_anything_but_a_socket() throws IOException {
    Files.writeString(path(), "precious");
    assertThatThrownBy(() -> RpcServer.start(path(), RpcLimits.DEFAULT, "1.2.3", disk, disk))
        .hasMessage(path() + " exists and is not a socket");
    assertThat(path()).hasContent("precious");
    Files.delete(path());
    Files.createSymbolicLink(path(), directory.resolve("elsewhere"));
    assertThatThrownBy(() -> RpcServer.start(path(), RpcLimits.DEFAULT, "1.2.3", disk, disk))
        .hasMessageContaining("is not a socket");
  }

  @Test
  void leaves_what_somebody_else_put_at_its_path() throws IOException {
    connect().close();
    Files.delete(path());
    Files.writeString(path(), "not ours");
    server.close();
    assertThat(path()).hasContent("not ours");
  }

  @Test
  void names_the_limit_of_a_path_that_is_too_long() {
    Path longPath = directory.resolve("x".repeat(120));
    assertThatThrownBy(() -> RpcServer.start(longPath, RpcLimits.DEFAULT, "1.2.3", disk, disk))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("the limit is 107");
    assertThat(directory).isEmptyDirectory();
  }

  @Test
  void names_the_directory_that_is_missing() {
    Path path = directory.resolve("none/rpc.sock");
    assertThatThrownBy(() -> RpcServer.start(path, RpcLimits.DEFAULT, "1.2.3", disk, disk))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "rpc_socket_path: cannot make the socket %s: its directory does not exist"
                .formatted(path));
  }

  @Test
  void names_the_path_whose_directory_is_none() throws IOException {
    Path path = Files.createFile(directory.resolve("file")).resolve("rpc.sock");
    assertThatThrownBy(() -> RpcServer.start(path, RpcLimits.DEFAULT, "1.2.3", disk, disk))
        .isInstanceOf(IOException.class)
        .hasMessage("rpc_socket_path: cannot make the socket %s: Not a directory".formatted(path));
  }

  @Test
  void shows_requests_in_progress_per_queue() throws IOException {
    disk.queues =
        List.of(
            List.of(
                new ActiveRequest(ActiveRequest.Kind.READ, 2048, 8),
                new ActiveRequest(ActiveRequest.Kind.FLUSH, 0, 0)),
            List.of());
    try (RpcClient client = connect()) {
      assertThat(client.ask("{\"command\":\"queues\"}"))
          .isEqualTo("{\"queues\":[[[\"read\",2048,8],[\"flush\"]],[]]}");
    }
  }

  @Test
  void shows_latencies_in_microseconds() throws IOException {
    disk.stats = FakeDisk.busy();
    try (RpcClient client = connect()) {
      assertThat(client.ask("{\"command\":\"stats\"}"))
          .contains(
              "\"read\":{\"max_us\":1234.567,\"p50_us\":4.608,"
                  + "\"p999_us\":1000.000,\"p99_us\":9.000}");
    }
  }

  @Test
  void a_disk_that_cannot_answer_ends_its_client_only() throws IOException {
    try (RpcClient client = connect();
        RpcClient other = connect()) {
      disk.stats = null;
      assertThat(client.ask("{\"command\":\"stats\"}")).isNull();
      disk.status = Optional.of(FakeDisk.failing());
      assertThat(other.ask("{\"command\":\"status\"}"))
          .isEqualTo(
              "{\"status\":{\"fetch\":{\"autofetch\":\"running\",\"bytes_done\":4096,"
                  + "\"bytes_per_second\":100,\"bytes_total\":8192,\"eta_seconds\":41,"
                  + "\"last_error\":{\"age_ms\":1500,\"text\":\"stripe 4: Input/output error\"},"
                  + "\"retrying\":7,\"source\":\"raw image /i\","
                  + "\"timing\":{\"base_sync_us\":130,\"base_syncs\":13,\"base_write_us\":120,"
                  + "\"base_writes\":12,\"metadata_sync_us\":150,\"metadata_syncs\":15,"
                  + "\"metadata_write_us\":140,\"metadata_writes\":14,\"source_read_us\":110,"
                  + "\"source_reads\":11},\"waiting\":6},"
                  + "\"metadata_error\":\"metadata: No space left on device\","
                  + "\"stripes\":{\"fetched\":3,\"no_source\":3,\"source\":5,\"total\":8,"
                  + "\"written\":2}}}");
    }
  }

  @Test
  void what_is_not_known_of_a_disk_is_null() throws IOException {
    disk.status = Optional.of(FakeDisk.progress(1, 2, 4));
    try (RpcClient client = connect()) {
      assertThat(client.ask("{\"command\":\"status\"}"))
          .contains("\"eta_seconds\":null", "\"last_error\":null", "\"source\":null")
          .contains("\"metadata_error\":null");
    }
  }

  @Test
  void retries_and_steers_the_background() throws IOException {
    disk.retry = OptionalInt.of(3);
    disk.autofetch = Optional.of(AutofetchState.OFF);
    try (RpcClient client = connect()) {
      assertThat(client.ask("{\"command\":\"retry\"}")).isEqualTo("{\"retry\":3}");
      assertThat(client.ask("{\"action\":\"pause\",\"command\":\"autofetch\"}"))
          .isEqualTo("{\"autofetch\":\"paused\"}");
      assertThat(client.ask("{\"command\":\"autofetch\",\"action\":\"resume\"}"))
          .isEqualTo("{\"autofetch\":\"running\"}");
    }
  }

  @Test
  void says_that_a_disk_without_metadata_fetches_nothing() throws IOException {
    String answer = "{\"error\":\"this disk has no metadata_path, so nothing is fetched\"}";
    try (RpcClient client = connect()) {
      assertThat(client.ask("{\"command\":\"retry\"}")).isEqualTo(answer);
      assertThat(client.ask("{\"command\":\"autofetch\",\"action\":\"pause\"}")).isEqualTo(answer);
    }
  }

  @Test
  void says_what_the_actions_are_and_ignores_them_elsewhere() throws IOException {
    disk.autofetch = Optional.of(AutofetchState.RUNNING);
    try (RpcClient client = connect()) {
      for (String action : List.of("", ",\"action\":\"stop\"", ",\"action\":[\"pause\"]")) {
        assertThat(client.ask("{\"command\":\"autofetch\"" + action + "}"))
            .contains("invalid request: action of autofetch is neither");
      }
      assertThat(client.ask("{\"command\":\"version\",\"action\":{\"a\":1}}"))
          .isEqualTo(VERSION_ANSWER);
    }
  }
}
