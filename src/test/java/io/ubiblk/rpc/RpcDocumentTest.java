// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.ubiblk.stripe.AutofetchState;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** docs/rpc.md names exactly the members that the server sends. */
class RpcDocumentTest {
  private static final Path DOCUMENT = Path.of("docs/rpc.md");
  private static final Pattern MEMBER = Pattern.compile("(?m)^\\| `([a-z0-9_.\\[\\]]+)` \\|");
  private static final Pattern COMMAND =
      Pattern.compile("(?m)^## `(\\{\"command\":\"[a-z]+\".*\\})`$");

  @TempDir private Path directory;

  @Test
  void every_documented_member_is_sent_and_every_member_sent_is_documented() throws IOException {
    FakeDisk disk = new FakeDisk();
    disk.stats = FakeDisk.busy();
    disk.status = Optional.of(FakeDisk.failing());
    disk.retry = OptionalInt.of(1);
    disk.autofetch = Optional.of(AutofetchState.RUNNING);
    disk.queues = List.of(List.of(new ActiveRequest(ActiveRequest.Kind.READ, 2048, 8)));
    Set<String> sent = new TreeSet<>();
    Path path = directory.resolve("rpc.sock");
    try (RpcServer server = RpcServer.start(path, RpcLimits.DEFAULT, "0.1.0", disk, disk);
        RpcClient client = new RpcClient(path)) {
      assertThat(server).isNotNull();
      for (String request : all(COMMAND)) {
        String answer = client.ask(request);
        assertThat(answer).doesNotContain("\"error\"");
        members("", new ObjectMapper().readTree(answer), sent);
      }
      members("", new ObjectMapper().readTree(client.ask("{}")), sent);
    }
    Set<String> documented = all(MEMBER);
    assertThat(documented).contains("stats.queues[].latency.read.p999_us", "error", "queues[][]");
    // What only holds other members may be left to them.
    sent.remove("stats");
    sent.remove("stats.queues[]");
    sent.remove("status.stripes");
    sent.remove("status.fetch");
    assertThat(documented).isEqualTo(sent);
  }

  @Test
  void the_document_shows_the_default_limits() throws IOException {
    String text = Files.readString(DOCUMENT);
    RpcLimits limits = RpcLimits.DEFAULT;
    assertThat(text)
        .contains("| length of a request line | " + limits.lineBytes() + " bytes |")
        .contains("| clients at the same time | " + limits.clientCount() + " |")
        .contains("| time without a completed request | " + limits.idleTime().toMinutes() + " min")
        .contains("| requests listed per queue by `queues` | " + DiskReports.ACTIVE_REQUESTS_MAX)
        .contains("The path may have " + RpcSocket.PATH_BYTES_MAX + " bytes");
  }

  private static Set<String> all(Pattern pattern) throws IOException {
    Set<String> found = new TreeSet<>();
    Matcher matcher = pattern.matcher(Files.readString(DOCUMENT));
    while (matcher.find()) {
      found.add(matcher.group(1));
    }
    return found;
  }

  private static void members(String prefix, JsonNode node, Set<String> found) {
    if (node.isObject()) {
      node.properties()
          .forEach(
              member -> {
                String name = prefix.isEmpty() ? member.getKey() : prefix + "." + member.getKey();
                found.add(name);
                members(name, member.getValue(), found);
              });
    } else if (node.isArray()) {
      for (JsonNode element : node) {
        if (element.isContainerNode()) {
          found.add(prefix + "[]");
          members(prefix + "[]", element, found);
        }
      }
    }
  }
}
