// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * One client: bytes in, lines, answers out. Runs on the RPC thread and never blocks.
 *
 * <p>No further line is looked at while an answer has not left completely, so a client that sends
 * without reading costs one answer and one line at most. Each turn reads once, so a client that
 * never stops sending cannot keep the others waiting.
 */
final class RpcConnection {
  private static final int INPUT_BYTES_INITIAL = 1024;

  /** The channel copies what it writes into a temporary buffer of this size at most. */
  private static final int WRITE_BYTES_MAX = 64 * 1024;

  private final SocketChannel channel;
  private final RpcResponder responder;
  private final int lineBytesMax;

  /** Filled up to its position; what was answered is moved out before the next read. */
  private ByteBuffer input;

  /** Where in {@link #input} the next line begins. */
  private int taken;

  /** Up to where it has no newline. */
  private int scanned;

  private ByteBuffer output = ByteBuffer.allocate(0);
  private boolean inputEnded;
  private boolean finished;
  private long lastRequestNs;

  RpcConnection(SocketChannel channel, RpcResponder responder, int lineBytesMax, long nowNs) {
    this.channel = channel;
    this.responder = responder;
    this.lineBytesMax = lineBytesMax;
    this.input = ByteBuffer.allocate(Math.min(INPUT_BYTES_INITIAL, lineBytesMax + 1));
    this.lastRequestNs = nowNs;
  }

  /** When this client last completed a request whose answer it took, or connected. */
  long lastRequestNs() {
    return lastRequestNs;
  }

  /** Does what can be done at once. Returns what to wait for; 0 when the client is done with. */
  int advance(long nowNs) throws IOException {
    if (answerLines(nowNs) && !inputEnded) {
      makeRoom();
      inputEnded = channel.read(input) < 0;
      answerLines(nowNs);
    }
    if (output.hasRemaining()) {
      return SelectionKey.OP_WRITE;
    }
    return finished || inputEnded ? 0 : SelectionKey.OP_READ;
  }

  /** Answers the lines that are here. Returns whether all of them are answered and sent. */
  private boolean answerLines(long nowNs) throws IOException {
    while (flush() && !finished) {
      byte[] line = nextLine();
      if (line != null) {
        lastRequestNs = nowNs;
        answer(line);
      } else if (scanned - taken > lineBytesMax) {
        output = ByteBuffer.wrap(RpcResponder.lineTooLong(lineBytesMax));
        finished = true;
      } else {
        return true;
      }
    }
    return false;
  }

  private void answer(byte[] line) {
    String text;
    try {
      text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(line)).toString();
    } catch (CharacterCodingException e) {
      finished = true;
      return;
    }
    String request = trim(text);
    if (!request.isEmpty()) {
      output = ByteBuffer.wrap(responder.answer(request));
    }
  }

  /** The next line, without its newline; what is left at the end of the input is one too. */
  private byte[] nextLine() {
    while (scanned < input.position()) {
      if (input.get(scanned++) == '\n') {
        return take(scanned - 1);
      }
    }
    int left = scanned - taken;
    return inputEnded && left > 0 && left <= lineBytesMax ? take(scanned) : null;
  }

  private byte[] take(int end) {
    byte[] line = Arrays.copyOfRange(input.array(), taken, end);
    taken = scanned;
    return line;
  }

  /** Once per read, not per line: a buffer full of short lines would be moved for each of them. */
  private void makeRoom() {
    if (taken > 0) {
      input.flip().position(taken);
      input.compact();
      scanned -= taken;
      taken = 0;
    }
    if (!input.hasRemaining()) {
      int capacity = Math.min(input.capacity() * 2, lineBytesMax + 1);
      input = ByteBuffer.allocate(capacity).put(input.flip());
    }
  }

  private boolean flush() throws IOException {
    while (output.hasRemaining()) {
      int end = output.limit();
      output.limit(Math.min(end, output.position() + WRITE_BYTES_MAX));
      try {
        if (channel.write(output) == 0) {
          return false;
        }
      } finally {
        output.limit(end);
      }
    }
    return true;
  }

  /** Without the white space of Unicode at both ends; String.strip leaves U+0085 and U+00A0. */
  private static String trim(String text) {
    int start = 0;
    int end = text.length();
    while (start < end && isWhiteSpace(text.charAt(start))) {
      start++;
    }
    while (start < end && isWhiteSpace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(start, end);
  }

  private static boolean isWhiteSpace(char c) {
    return Character.isSpaceChar(c) || (c >= '\t' && c <= '\r') || c == '\u0085';
  }
}
