// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import com.fasterxml.jackson.core.JsonGenerator;
import io.ubiblk.stripe.AutofetchState;
import io.ubiblk.stripe.StripeProgress;
import java.io.IOException;
import java.util.Locale;
import java.util.Optional;

/** Writes how far a disk has been copied. Members are in alphabetical order. */
final class StatusWriter {
  private StatusWriter() {}

  /** The member {@code status}. */
  static void write(JsonGenerator json, Optional<StripeProgress> status) throws IOException {
    if (status.isEmpty()) {
      json.writeNullField("status");
      return;
    }
    json.writeObjectFieldStart("status");
    writeFetch(json, status.get());
    json.writeStringField("metadata_error", status.get().metadataError().orElse(null));
    writeStripes(json, status.get().counts());
    json.writeEndObject();
  }

  private static void writeFetch(JsonGenerator json, StripeProgress progress) throws IOException {
    StripeProgress.Counts counts = progress.counts();
    json.writeObjectFieldStart("fetch");
    json.writeStringField("autofetch", name(progress.autofetch()));
    json.writeNumberField("bytes_done", counts.bytesDone());
    json.writeNumberField("bytes_per_second", counts.bytesPerSecond());
    json.writeNumberField("bytes_total", counts.bytesTotal());
    if (counts.etaSeconds().isPresent()) {
      json.writeNumberField("eta_seconds", counts.etaSeconds().getAsLong());
    } else {
      json.writeNullField("eta_seconds");
    }
    writeFailure(json, progress.lastFailure());
    json.writeNumberField("retrying", progress.retrying());
    json.writeStringField("source", progress.source().orElse(null));
    writeTiming(json, progress.timing());
    json.writeNumberField("waiting", progress.waiting());
    json.writeEndObject();
  }

  private static void writeFailure(JsonGenerator json, Optional<StripeProgress.Failure> failure)
      throws IOException {
    if (failure.isEmpty()) {
      json.writeNullField("last_error");
      return;
    }
    json.writeObjectFieldStart("last_error");
    json.writeNumberField("age_ms", failure.get().ageMs());
    json.writeStringField("text", failure.get().text());
    json.writeEndObject();
  }

  private static void writeTiming(JsonGenerator json, StripeProgress.Timing timing)
      throws IOException {
    json.writeObjectFieldStart("timing");
    writeStep(json, "base_sync", timing.baseSync());
    writeStep(json, "base_write", timing.baseWrite());
    writeStep(json, "metadata_sync", timing.metadataSync());
    writeStep(json, "metadata_write", timing.metadataWrite());
    writeStep(json, "source_read", timing.sourceRead());
    json.writeEndObject();
  }

  /** {@code base_sync_us} and {@code base_syncs}. */
  private static void writeStep(JsonGenerator json, String name, StripeProgress.Step step)
      throws IOException {
    json.writeNumberField(name + "_us", step.totalUs());
    json.writeNumberField(name + "s", step.count());
  }

  private static void writeStripes(JsonGenerator json, StripeProgress.Counts counts)
      throws IOException {
    json.writeObjectFieldStart("stripes");
    json.writeNumberField("fetched", counts.fetched());
    json.writeNumberField("no_source", counts.noSource());
    json.writeNumberField("source", counts.source());
    json.writeNumberField("total", counts.total());
    json.writeNumberField("written", counts.written());
    json.writeEndObject();
  }

  /** {@code running}. */
  static String name(AutofetchState state) {
    return state.name().toLowerCase(Locale.ROOT);
  }
}
