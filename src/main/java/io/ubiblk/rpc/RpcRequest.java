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

  /** Asks to try now what could not be fetched. */
  record Retry() implements RpcRequest {}

  /** Asks to pause or resume fetching in the background. */
  record Autofetch(boolean resume) implements RpcRequest {}

  /** A well-formed request for something that does not exist. */
  record Unknown(String command) implements RpcRequest {}

  /** Not a request. */
  record Invalid(String detail) implements RpcRequest {}

  /**
   * Reads one trimmed, non-empty line. Members other than {@code command} and {@code action} are
   * ignored, and so is {@code action} where the command has none.
   */
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
    Optional<String> action = Optional.empty();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String name = parser.currentName();
      boolean isString = parser.nextToken() == JsonToken.VALUE_STRING;
      if (name.equals("command") && command.isPresent()) {
        return new Invalid("command is given twice");
      } else if (name.equals("command") && !isString) {
        return new Invalid("command is not a string");
      } else if (name.equals("command")) {
        command = Optional.of(parser.getText());
      } else if (name.equals("action") && isString) {
        action = Optional.of(parser.getText());
      } else {
        parser.skipChildren();
      }
    }
    if (parser.nextToken() != null) {
      return new Invalid("text after the request");
    }
    return command.isPresent() ? named(command.get(), action) : new Invalid("command is missing");
  }

  private static RpcRequest named(String command, Optional<String> action) {
    return switch (command) {
      case "version" -> new Version();
      case "status" -> new Status();
      case "queues" -> new Queues();
      case "stats" -> new Stats();
      case "retry" -> new Retry();
      case "autofetch" -> autofetch(action);
      default -> new Unknown(command);
    };
  }

  private static RpcRequest autofetch(Optional<String> action) {
    return switch (action.orElse("")) {
      case "pause" -> new Autofetch(false);
      case "resume" -> new Autofetch(true);
      default -> new Invalid("action of autofetch is neither \"pause\" nor \"resume\"");
    };
  }

  /** Keeps the factory out of the interface's constants. */
  final class Json {
    private static final JsonFactory FACTORY = new JsonFactory();

    private Json() {}
  }
}
