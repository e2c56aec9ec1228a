// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;

/** Turns a request line into an answer line. Members are written in alphabetical order. */
final class RpcResponder {
  private static final JsonFactory FACTORY = new JsonFactory();
  private static final String NOTHING_TO_FETCH =
      "this disk has no metadata_path, so nothing is fetched";

  private final String version;
  private final DiskReports reports;
  private final DiskControls controls;

  RpcResponder(String version, DiskReports reports, DiskControls controls) {
    this.version = version;
    this.reports = reports;
    this.controls = controls;
  }

  /** The answer to one trimmed, non-empty line, newline included. */
  byte[] answer(String line) {
    RpcRequest request = RpcRequest.parse(line);
    if (request instanceof RpcRequest.Version) {
      return object(json -> json.writeStringField("version", version));
    } else if (request instanceof RpcRequest.Status) {
      return object(json -> StatusWriter.write(json, reports.status()));
    } else if (request instanceof RpcRequest.Queues) {
      return object(json -> writeQueues(json, reports.queues()));
    } else if (request instanceof RpcRequest.Stats) {
      return object(json -> writeStats(json, reports.stats()));
    } else if (request instanceof RpcRequest.Retry) {
      return retry();
    } else if (request instanceof RpcRequest.Autofetch autofetch) {
      return autofetch(autofetch.resume());
    } else if (request instanceof RpcRequest.Unknown unknown) {
      return error("unknown command: " + unknown.command());
    } else if (request instanceof RpcRequest.Invalid invalid) {
      return error("invalid request: " + invalid.detail());
    }
    throw new AssertionError(request);
  }

  private static byte[] error(String text) {
    return object(json -> json.writeStringField("error", text));
  }

  /** The answer to a line that exceeds the limit. */
  static byte[] lineTooLong(int lineBytesMax) {
    return error("invalid request: the line is longer than " + lineBytesMax + " bytes");
  }

  /** The answer to a client for which there is no place. */
  static byte[] tooManyClients(int clientCountMax) {
    return error("too many clients: " + clientCountMax + " are connected");
  }

  private byte[] retry() {
    OptionalInt count = controls.retry();
    return count.isPresent()
        ? object(json -> json.writeNumberField("retry", count.getAsInt()))
        : error(NOTHING_TO_FETCH);
  }

  private byte[] autofetch(boolean resume) {
    return controls
        .autofetch(resume)
        .map(state -> object(json -> json.writeStringField("autofetch", StatusWriter.name(state))))
        .orElseGet(() -> error(NOTHING_TO_FETCH));
  }

  private static void writeQueues(JsonGenerator json, List<List<ActiveRequest>> queues)
      throws IOException {
    json.writeArrayFieldStart("queues");
    for (List<ActiveRequest> queue : queues) {
      json.writeStartArray();
      for (ActiveRequest request : queue) {
        json.writeStartArray();
        json.writeString(request.kind().name().toLowerCase(Locale.ROOT));
        if (request.kind() != ActiveRequest.Kind.FLUSH) {
          json.writeNumber(request.sector());
          json.writeNumber(request.sectorCount());
        }
        json.writeEndArray();
      }
      json.writeEndArray();
    }
    json.writeEndArray();
  }

  private static void writeStats(JsonGenerator json, StatsReport stats) throws IOException {
    json.writeObjectFieldStart("stats");
    json.writeBooleanField("direct_io", stats.directIo());
    json.writeStringField("disk_error", stats.diskError().orElse(null));
    json.writeBooleanField("front_end_connected", stats.frontEndConnected());
    json.writeStringField("io_engine", stats.ioEngine());
    json.writeArrayFieldStart("queues");
    for (QueueReport queue : stats.queues()) {
      writeQueue(json, queue);
    }
    json.writeEndArray();
    json.writeNumberField("uptime_ms", stats.uptimeMs());
    json.writeStringField("xts_engine", stats.xtsEngine().orElse(null));
    json.writeStringField("xts_engine_reason", stats.xtsEngineReason().orElse(null));
    json.writeEndObject();
  }

  private static void writeQueue(JsonGenerator json, QueueReport queue) throws IOException {
    json.writeStartObject();
    json.writeNumberField("bytes_read", queue.read().bytes());
    json.writeNumberField("bytes_written", queue.write().bytes());
    json.writeNumberField("flush_errors", queue.flush().errors());
    json.writeNumberField("flush_ops", queue.flush().ops());
    json.writeObjectFieldStart("latency");
    writeLatency(json, "flush", queue.flush().latency());
    writeLatency(json, "other", queue.other().latency());
    writeLatency(json, "read", queue.read().latency());
    writeLatency(json, "write", queue.write().latency());
    json.writeEndObject();
    json.writeNumberField("other_errors", queue.other().errors());
    json.writeNumberField("other_ops", queue.other().ops());
    json.writeNumberField("read_errors", queue.read().errors());
    json.writeNumberField("read_ops", queue.read().ops());
    json.writeNumberField("write_errors", queue.write().errors());
    json.writeNumberField("write_ops", queue.write().ops());
    json.writeEndObject();
  }

  private static void writeLatency(
      JsonGenerator json, String operation, Optional<LatencyReport> latency) throws IOException {
    if (latency.isEmpty()) {
      json.writeNullField(operation);
      return;
    }
    json.writeObjectFieldStart(operation);
    json.writeNumberField("max_us", microseconds(latency.get().maxNs()));
    json.writeNumberField("p50_us", microseconds(latency.get().p50Ns()));
    json.writeNumberField("p999_us", microseconds(latency.get().p999Ns()));
    json.writeNumberField("p99_us", microseconds(latency.get().p99Ns()));
    json.writeEndObject();
  }

  /** Microseconds with as many decimals as nanoseconds have. */
  private static BigDecimal microseconds(long ns) {
    return BigDecimal.valueOf(ns, 3);
  }

  private static byte[] object(Members members) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
    try (JsonGenerator json = FACTORY.createGenerator(bytes)) {
      json.writeStartObject();
      members.write(json);
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException("writing to memory", e);
    }
    bytes.write('\n');
    return bytes.toByteArray();
  }

  private interface Members {
    void write(JsonGenerator json) throws IOException;
  }
}
