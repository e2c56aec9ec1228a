// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.SocketException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** A client that sends any bytes and reads answer lines. */
public final class RpcClient implements AutoCloseable {
  private final SocketChannel channel;
  private final ByteBuffer received = ByteBuffer.allocate(64 * 1024).flip();

  /** Connects to the socket at {@code path}. */
  public RpcClient(Path path) throws IOException {
    channel = SocketChannel.open(UnixDomainSocketAddress.of(path));
  }

  /** Sends text as it is. */
  public void send(String text) throws IOException {
    send(text.getBytes(StandardCharsets.UTF_8));
  }

  /** Sends bytes as they are. */
  public void send(byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  /** Sends one request and returns its answer. */
  public String ask(String request) throws IOException {
    send(request + "\n");
    return readLine();
  }

  /** Ends what this client sends; answers still arrive. */
  public void endOutput() throws IOException {
    channel.shutdownOutput();
  }

  /** The next line without its newline; null when the server has closed the connection. */
  public String readLine() throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    while (true) {
      while (received.hasRemaining()) {
        byte next = received.get();
        if (next == '\n') {
          return line.toString(StandardCharsets.UTF_8);
        }
        line.write(next);
      }
      int count = read(received.clear());
      received.flip();
      if (count < 0) {
        return null;
      }
    }
  }

  /** A server that closes while unread bytes of ours are on their way resets the connection. */
  private int read(ByteBuffer buffer) throws IOException {
    try {
      return channel.read(buffer);
    } catch (SocketException e) {
      return -1;
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
