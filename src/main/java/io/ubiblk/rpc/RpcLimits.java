// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import java.time.Duration;

/**
 * What a client may cost.
 *
 * @param lineBytes longest request line, its newline not counted
 * @param clientCount clients served at the same time; one more is told so and closed
 * @param idleTime a client that completes no request, or takes no answer, for so long is closed
 */
public record RpcLimits(int lineBytes, int clientCount, Duration idleTime) {

  /** The limits of docs/rpc.md. */
  public static final RpcLimits DEFAULT = new RpcLimits(64 * 1024, 16, Duration.ofMinutes(5));
}
