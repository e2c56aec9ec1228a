// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Optional;

/** One request line, read. What a line may look like is in docs/rpc.md. */
sealed interface RpcRequest {

  /** Asks for the program's version. */
  record Version() implements RpcRequest {}

  /** Asks how far the disk has been copied. */
  record Status() implements RpcRequest {}

  /** Asks for the requests in progress. */
  record Queues() implements RpcRequest {}

  /** Asks for counters and latencies. */
  record Stats() implements RpcRequest {}

  /** A well-formed request for something that does not exist. */
  record Unknown(String command) implements RpcRequest {}

  /** Not a request. */
  record Invalid(String detail) implements RpcRequest {}

  /** Reads one trimmed, non-empty line. Members other than {@code command} are ignored. */
  static RpcRequest parse(String line) {
    try (JsonParser parser = Json.FACTORY.createParser(line)) {
      return read(parser);
    } catch (JsonProcessingException e) {
      return new Invalid(e.getOriginalMessage());
    } catch (IOException e) {
      throw new UncheckedIOException("reading from memory", e);
    }
  }

  private static RpcRequest read(JsonParser parser) throws IOException {
    if (parser.nextToken() != JsonToken.START_OBJECT) {
      return new Invalid("a request is a JSON object");
    }
    Optional<String> command = Optional.empty();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      boolean named = parser.currentName().equals("command");
      JsonToken value = parser.nextToken();
      if (!named) {
        parser.skipChildren();
      } else if (command.isPresent()) {
        return new Invalid("command is given twice");
      } else if (value != JsonToken.VALUE_STRING) {
        return new Invalid("command is not a string");
      } else {
        command = Optional.of(parser.getText());
      }
    }
    if (parser.nextToken() != null) {
      return new Invalid("text after the request");
    }
    return command.map(RpcRequest::named).orElseGet(() -> new Invalid("command is missing"));
  }

  private static RpcRequest named(String command) {
    return switch (command) {
      case "version" -> new Version();
      case "status" -> new Status();
      case "queues" -> new Queues();
      case "stats" -> new Stats();
      default -> new Unknown(command);
    };
  }

  /** Keeps the factory out of the interface's constants. */
  final class Json {
    private static final JsonFactory FACTORY = new JsonFactory();

    private Json() {}
  }
}
