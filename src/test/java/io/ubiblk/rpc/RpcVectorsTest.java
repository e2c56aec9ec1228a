// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.ubiblk.stripe.StripeProgress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Replays the recorded session: its requests to the server, its answers into our reports. */
class RpcVectorsTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path directory;

  /** A line of the client, a remark in parentheses, and the server's line. */
  private record Exchange(String request, String remark, String answer) {}

  private static List<Exchange> session() throws IOException {
    List<String> lines = Files.readAllLines(Path.of("src/test/resources/vectors/rpc/session.txt"));
    List<Exchange> session = new ArrayList<>();
    for (int i = 0; i + 1 < lines.size(); i += 2) {
      String[] client = remark(lines.get(i), "C: ");
      String[] server = remark(lines.get(i + 1), "S: ");
      session.add(new Exchange(client[0], client[1] + server[1], server[0]));
    }
    return session;
  }

  private static String[] remark(String line, String side) {
    assertThat(line).startsWith(side);
    String text = line.substring(side.length());
    int start = text.indexOf('(');
    return start < 0
        ? new String[] {text.strip(), ""}
        : new String[] {text.substring(0, start).strip(), text.substring(start)};
  }

  @Test
  void the_server_gives_the_recorded_answers() throws IOException {
    FakeDisk disk = new FakeDisk();
    Path path = directory.resolve("rpc.sock");
    try (RpcServer server = RpcServer.start(path, RpcLimits.DEFAULT, "0.1.0", disk, disk);
        RpcClient client = new RpcClient(path)) {
      assertThat(server).isNotNull();
      assertThat(session()).hasSize(7);
      for (Exchange exchange : session()) {
        disk.status = statusOf(exchange.answer());
        disk.queues = queuesOf(exchange.answer());
        if (exchange.answer().isEmpty()) {
          client.send(exchange.request() + "\n");
        } else {
          check(exchange, client.ask(exchange.request()));
        }
      }
    }
  }

  private static void check(Exchange exchange, String answer) throws IOException {
    JsonNode expected = JSON.readTree(exchange.answer());
    JsonNode actual = JSON.readTree(answer);
    if (expected.has("version")) {
      assertThat(actual).isEqualTo(JSON.createObjectNode().put("version", "0.1.0"));
    } else if (expected.path("error").asText().startsWith("invalid request: ")) {
      assertThat(actual.path("error").asText())
          .startsWith("invalid request: ")
          .hasSizeGreaterThan(20);
      assertThat(actual.size()).isEqualTo(1);
    } else if (expected.path("status").isObject()) {
      JsonNode stripes = actual.path("status").path("stripes");
      assertThat(stripes.path("no_source").asLong()).isEqualTo(2);
      ((ObjectNode) stripes).remove(List.of("no_source", "written"));
      ((ObjectNode) actual.path("status")).remove(List.of("fetch", "metadata_error"));
      assertThat(actual).isEqualTo(expected);
    } else {
      assertThat(answer).isEqualTo(exchange.answer());
    }
  }

  private static Optional<StripeProgress> statusOf(String answer) throws IOException {
    JsonNode stripes = JSON.readTree(answer).path("status").path("stripes");
    return stripes.isMissingNode()
        ? Optional.empty()
        : Optional.of(
            FakeDisk.progress(
                stripes.get("fetched").asInt(),
                stripes.get("source").asInt(),
                stripes.get("total").asInt()));
  }

  private static List<List<ActiveRequest>> queuesOf(String answer) throws IOException {
    List<List<ActiveRequest>> queues = new ArrayList<>();
    for (JsonNode queue : JSON.readTree(answer).path("queues")) {
      List<ActiveRequest> requests = new ArrayList<>();
      for (JsonNode request : queue) {
        requests.add(
            new ActiveRequest(
                ActiveRequest.Kind.valueOf(request.get(0).asText().toUpperCase(Locale.ROOT)),
                request.path(1).asLong(),
                request.path(2).asLong()));
      }
      queues.add(requests);
    }
    return queues;
  }
}
