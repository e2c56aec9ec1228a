// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Tells the service manager that started this process how it is doing (sd_notify's protocol). */
public final class ServiceManager {
  private static final Logger LOG = LoggerFactory.getLogger(ServiceManager.class);

  private final Optional<String> socket;

  /** Talks to {@code socket}, a path or "@" and an abstract name; to nobody when it is empty. */
  public ServiceManager(Optional<String> socket) {
    this.socket = socket;
  }

  /** The one that the environment names, if any. */
  public static ServiceManager fromEnvironment() {
    return new ServiceManager(
        Optional.ofNullable(System.getenv("NOTIFY_SOCKET")).filter(name -> !name.isEmpty()));
  }

  /** The socket listens: what depends on this service may start. */
  public void ready() {
    send("READY=1");
  }

  /** The service stops on purpose. */
  public void stopping() {
    send("STOPPING=1");
  }

  /** Nothing depends on the message, so a failure is a warning. */
  private void send(String state) {
    if (socket.isEmpty()) {
      return;
    }
    try {
      send(NativeText.encode("NOTIFY_SOCKET", socket.get()), NativeText.encode("state", state));
    } catch (IOException | IllegalArgumentException e) {
      LOG.warn("cannot tell {} to NOTIFY_SOCKET: {}", state, e.getMessage());
    }
  }

  private static native void send(byte[] socket, byte[] state) throws IOException;
}
