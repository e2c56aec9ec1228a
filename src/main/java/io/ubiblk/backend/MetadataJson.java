// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.Writer;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Optional;

/** Metadata as one JSON object on one line; docs/metadata.md names its members. */
final class MetadataJson {
  private static final JsonFactory FACTORY = new JsonFactory();

  private MetadataJson() {}

  /** Prints the report; {@code holder} has the metadata file locked, if anybody has. */
  static void print(MetadataDump.Report report, Optional<String> holder, Appendable out)
      throws IOException {
    long total = report.metadata().stripeCount();
    try (JsonGenerator json = FACTORY.createGenerator(new AppendingWriter(out))) {
      json.writeStartObject();
      json.writeObjectFieldStart("data_file");
      json.writeStringField("path", report.diskPath());
      json.writeNumberField("bytes", report.disk().byteLength());
      writeHolder(json, report.disk().holder());
      json.writeEndObject();
      json.writeStringField("source", MetadataText.source(report.source(), report.imageBytes()));
      json.writeObjectFieldStart("metadata_file");
      json.writeStringField("path", report.metadataPath());
      json.writeStringField("version", report.metadata().format().text());
      writeHolder(json, holder);
      json.writeEndObject();
      json.writeNumberField("stripe_bytes", report.stripeBytes());
      json.writeNumberField("stripe_count", total);
      writeStripes(json, "fetched", report.fetched(), total);
      writeStripes(json, "written", report.written(), total);
      writeStripes(json, "has_source", report.hasSource(), total);
      writeStripes(json, "to_fetch", report.toFetch(), total);
      json.writeEndObject();
    }
    out.append('\n');
  }

  private static void writeHolder(JsonGenerator json, Optional<String> holder) throws IOException {
    json.writeBooleanField("in_use", holder.isPresent());
    json.writeStringField("used_by", holder.orElse(null));
  }

  private static void writeStripes(JsonGenerator json, String name, StripeRanges ranges, long total)
      throws IOException {
    long count = ranges.count();
    json.writeObjectFieldStart(name);
    json.writeNumberField("count", count);
    json.writeNumberField("percent", percent(count, total));
    json.writeArrayFieldStart("ranges");
    ranges.forEach(
        (first, last) -> {
          json.writeStartArray();
          json.writeNumber(first);
          json.writeNumber(last);
          json.writeEndArray();
        });
    json.writeEndArray();
    json.writeEndObject();
  }

  /** Hundredths, rounded down: 100 means all. */
  private static BigDecimal percent(long count, long total) {
    return BigDecimal.valueOf(count * 100).divide(BigDecimal.valueOf(total), 2, RoundingMode.DOWN);
  }

  /** Jackson wants a writer; what it is flushed and closed by is not ours. */
  private static final class AppendingWriter extends Writer {
    private final Appendable out;

    AppendingWriter(Appendable out) {
      this.out = out;
    }

    @Override
    public void write(char[] chars, int offset, int length) throws IOException {
      out.append(new String(chars, offset, length));
    }

    @Override
    public void flush() {
      // Nothing is kept back here.
    }

    @Override
    public void close() {
      // Whoever made out closes it.
    }
  }
}
