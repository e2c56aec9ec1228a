// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.backend.MetadataInit;
import io.ubiblk.backend.UblkBackend;
import io.ubiblk.backend.XtsTool;
import io.ubiblk.config.DeviceConfig;
import java.io.PrintWriter;

/** What the commands need of the package below: the work of each program. */
interface Programs {
  /**
   * Gets the process ready to hold secrets: loads the native library and switches core dumps off.
   * Called before any file with a key in it is opened.
   */
  void prepare() throws Exception;

  /**
   * Serves the device to vhost-user front ends until the process is told to stop. Here and below,
   * keys are handed over from {@code config}, which the caller closes.
   */
  void serveVhost(DeviceConfig config) throws Exception;

  /** Serves the device as a block device of this host until the process or it is stopped. */
  void serveUblk(DeviceConfig config, UblkBackend.Options options) throws Exception;

  /** Prints the ublk devices of this host. */
  void listUblk(PrintWriter out) throws Exception;

  /** Ends a ublk device. */
  void stopUblk(int id) throws Exception;

  /** Removes a ublk device that nobody serves. */
  void deleteUblk(int id) throws Exception;

  /** Makes the device's metadata file. */
  void initMetadata(DeviceConfig config, MetadataInit.Options options) throws Exception;

  /** Prints the device's metadata, as lines or as JSON. */
  void dumpMetadata(DeviceConfig config, boolean json, Appendable out) throws Exception;

  /** Enciphers or deciphers a file with the device's keys. */
  void recode(DeviceConfig config, XtsTool.Recoding recoding) throws Exception;

  /** Gives a device's disk the keys of another configuration, which the caller closes as well. */
  void reencrypt(DeviceConfig from, DeviceConfig to, XtsTool.Reencryption reencryption)
      throws Exception;

  /** What {@code keys} works with. */
  SecretStreams secretStreams() throws Exception;
}
