// SPDX-License-Identifier: AGPL-3.0-only
/**
 * The RPC: a unix socket on which operators and tools ask one process for its version, state and
 * statistics, one JSON object per line, and steer its fetching. Reads from {@link
 * io.ubiblk.rpc.DiskReports} and changes through {@link io.ubiblk.rpc.DiskControls} only; knows
 * neither the native library nor how a disk is served. docs/rpc.md describes every member.
 */
package io.ubiblk.rpc;
