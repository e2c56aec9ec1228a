// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Serves the RPC on a unix socket until closed.
 *
 * <p>One thread, {@code rpc}, owns the socket and all clients and never blocks on one of them, so
 * what clients can cost is bounded by {@link RpcLimits} whatever they do.
 */
public final class RpcServer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(RpcServer.class);

  /** Clients accepted per turn, so that a flood of them cannot keep the others waiting. */
  private static final int ACCEPT_BATCH = 64;

  private static final long ACCEPT_PAUSE_NS = TimeUnit.SECONDS.toNanos(1);
  private static final long STOP_MS_MAX = 5_000;

  private final RpcSocket socket;
  private final Selector selector;
  private final RpcLimits limits;
  private final RpcResponder responder;
  private final Thread thread;
  private volatile boolean stopping;

  /** Owned by the RPC thread: set while accepting failed, until it is tried again. */
  private long acceptAgainNs;

  private RpcServer(RpcSocket socket, Selector selector, RpcLimits limits, RpcResponder responder) {
    this.socket = socket;
    this.selector = selector;
    this.limits = limits;
    this.responder = responder;
    this.thread = new Thread(this::serve, "rpc");
    this.thread.setDaemon(true);
  }

  /**
   * Listens at {@code path}: a socket that an earlier process left there is replaced, anything else
   * refused. The socket's mode is 0660.
   *
   * @param version what {@code version} answers
   */
  public static RpcServer start(
      Path path, RpcLimits limits, String version, DiskReports reports, DiskControls controls)
      throws IOException {
    RpcSocket socket = RpcSocket.listen(path);
    Selector selector = null;
    try {
      selector = Selector.open();
      socket.channel().configureBlocking(false);
      socket.channel().register(selector, SelectionKey.OP_ACCEPT);
    } catch (IOException e) {
      if (selector != null) {
        selector.close();
      }
      socket.close();
      throw e;
    }
    RpcResponder responder = new RpcResponder(version, reports, controls);
    RpcServer server = new RpcServer(socket, selector, limits, responder);
    server.thread.start();
    LOG.info("RPC listens on {}", path);
    return server;
  }

  /** Closes every client and removes the socket. A second call does nothing. */
  @Override
  public void close() throws IOException {
    if (!selector.isOpen()) {
      return;
    }
    stopping = true;
    selector.wakeup();
    try {
      thread.join(STOP_MS_MAX);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    for (SelectionKey key : selector.keys()) {
      key.channel().close();
    }
    selector.close();
    socket.close();
  }

  private void serve() {
    while (!stopping) {
      try {
        selector.select(TimeUnit.NANOSECONDS.toMillis(timeoutNs(System.nanoTime())) + 1);
        for (SelectionKey key : selector.selectedKeys()) {
          serve(key, System.nanoTime());
        }
        selector.selectedKeys().clear();
        closeIdle(System.nanoTime());
      } catch (IOException e) {
        LOG.error("RPC ends: {}", e.getMessage());
        return;
      }
    }
  }

  private void serve(SelectionKey key, long nowNs) {
    if (!key.isValid()) {
      return;
    }
    if (key.isAcceptable()) {
      accept(key, nowNs);
    } else {
      advance(key, nowNs);
    }
  }

  private void accept(SelectionKey key, long nowNs) {
    try {
      ServerSocketChannel server = (ServerSocketChannel) key.channel();
      for (int accepted = 0; accepted < ACCEPT_BATCH; accepted++) {
        SocketChannel client = server.accept();
        if (client == null) {
          return;
        }
        welcome(client, nowNs);
      }
    } catch (IOException e) {
      // Out of descriptors, most likely: asking again at once would only burn CPU.
      LOG.warn("RPC cannot accept a client: {}", e.getMessage());
      key.interestOps(0);
      acceptAgainNs = nowNs + ACCEPT_PAUSE_NS;
    }
  }

  private void welcome(SocketChannel client, long nowNs) {
    try {
      client.configureBlocking(false);
      if (clientCount() >= limits.clientCount()) {
        client.write(ByteBuffer.wrap(RpcResponder.tooManyClients(limits.clientCount())));
        client.close();
        return;
      }
      SelectionKey key = client.register(selector, SelectionKey.OP_READ);
      key.attach(new RpcConnection(client, responder, limits.lineBytes(), nowNs));
    } catch (IOException e) {
      close(client);
    }
  }

  private long clientCount() {
    return selector.keys().stream()
        .filter(key -> key.isValid() && key.attachment() instanceof RpcConnection)
        .count();
  }

  private static void advance(SelectionKey key, long nowNs) {
    try {
      int interest = ((RpcConnection) key.attachment()).advance(nowNs);
      if (interest != 0) {
        key.interestOps(interest);
        return;
      }
    } catch (IOException e) {
      LOG.debug("RPC client left: {}", e.getMessage());
    } catch (RuntimeException e) {
      LOG.error("RPC request failed", e);
    }
    close((SocketChannel) key.channel());
    key.cancel();
  }

  private void closeIdle(long nowNs) {
    for (SelectionKey key : selector.keys()) {
      if (key.isValid() && key.attachment() instanceof RpcConnection connection) {
        if (nowNs - connection.lastRequestNs() >= limits.idleTime().toNanos()) {
          close((SocketChannel) key.channel());
        }
      } else if (key.isValid() && key.interestOps() == 0 && nowNs - acceptAgainNs >= 0) {
        key.interestOps(SelectionKey.OP_ACCEPT);
      }
    }
  }

  /** Time until the next thing is due that no channel announces. */
  private long timeoutNs(long nowNs) {
    long timeout = limits.idleTime().toNanos();
    for (SelectionKey key : selector.keys()) {
      if (key.isValid() && key.attachment() instanceof RpcConnection connection) {
        long left = connection.lastRequestNs() + limits.idleTime().toNanos() - nowNs;
        timeout = Math.min(timeout, left);
      } else if (key.isValid() && key.interestOps() == 0) {
        timeout = Math.min(timeout, acceptAgainNs - nowNs);
      }
    }
    return Math.max(timeout, 0);
  }

  private static void close(SocketChannel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      LOG.debug("closing an RPC client: {}", e.getMessage());
    }
  }
}
