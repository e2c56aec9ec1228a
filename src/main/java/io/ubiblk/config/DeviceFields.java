// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Reads the keys of a device's configuration. */
final class DeviceFields {
  private final ConfigFile file;
  private final Fields fields;

  private DeviceFields(ConfigFile file, Fields fields) {
    this.file = file;
    this.fields = fields;
  }

  /** The whole file, secrets still wrapped; {@link DeviceRules} are not looked at. */
  static Written<DeviceConfig> read(ConfigFile file, YamlNode.Mapping root) throws ConfigException {
    var fields = new Fields(file, "", root, Keys.DEVICE, Fields.Mode.DIRECT);
    return new DeviceFields(file, fields).device();
  }

  private Written<DeviceConfig> device() throws ConfigException {
    String path = fields.text(Keys.PATH);
    Optional<String> imagePath = fields.optionalText(Keys.IMAGE_PATH);
    Optional<Written<StripeSourceConfig>> stripeSource = stripeSource();
    Optional<String> metadataPath = fields.optionalText(Keys.METADATA_PATH);
    Optional<String> rpcSocketPath = fields.optionalText(Keys.RPC_SOCKET_PATH);
    Optional<String> socket = fields.optionalText(Keys.SOCKET);
    Optional<List<Integer>> cpus = cpus();
    int numQueues = (int) fields.whole(Keys.NUM_QUEUES);
    int queueSize = (int) fields.whole(Keys.QUEUE_SIZE);
    int segSizeMax = (int) fields.whole(Keys.SEG_SIZE_MAX);
    int segCountMax = (int) fields.whole(Keys.SEG_COUNT_MAX);
    long pollQueueTimeoutUs = fields.whole(Keys.POLL_QUEUE_TIMEOUT_US);
    boolean copyOnRead = fields.flag(Keys.COPY_ON_READ);
    boolean trackWritten = fields.flag(Keys.TRACK_WRITTEN);
    boolean writeThrough = fields.flag(Keys.WRITE_THROUGH);
    boolean autofetch = fields.flag(Keys.AUTOFETCH);
    Optional<Written<XtsKeys>> encryptionKey = encryptionKey();
    String deviceId = deviceId();
    IoEngine ioEngine = fields.choice(Keys.IO_ENGINE);
    DirectIo directIo = fields.choice(Keys.DIRECT_IO);
    int logicalBlockSize = (int) fields.whole(Keys.LOGICAL_BLOCK_SIZE);
    XtsEngine xtsEngine = fields.choice(Keys.XTS_ENGINE);
    long bounceBytes = fields.whole(Keys.BOUNCE_BYTES);
    int fetchConcurrency = (int) fields.whole(Keys.FETCH_CONCURRENCY);
    long fetchBytes = fields.whole(Keys.FETCH_BYTES);
    long fetchTimeoutMs = fields.whole(Keys.FETCH_TIMEOUT_MS);
    long stopTimeoutMs = fields.whole(Keys.STOP_TIMEOUT_MS);
    return kek -> {
      Optional<XtsKeys> openedKey = Written.openIfPresent(encryptionKey, kek);
      Optional<StripeSourceConfig> openedSource = Written.openIfPresent(stripeSource, kek);
      return new DeviceConfig(
          path,
          imagePath,
          openedSource,
          metadataPath,
          rpcSocketPath,
          socket,
          cpus,
          numQueues,
          queueSize,
          segSizeMax,
          segCountMax,
          pollQueueTimeoutUs,
          copyOnRead,
          trackWritten,
          writeThrough,
          autofetch,
          openedKey,
          deviceId,
          ioEngine,
          directIo,
          logicalBlockSize,
          xtsEngine,
          bounceBytes,
          fetchConcurrency,
          fetchBytes,
          fetchTimeoutMs,
          stopTimeoutMs);
    };
  }

  private Optional<Written<StripeSourceConfig>> stripeSource() throws ConfigException {
    Optional<YamlNode> node = fields.optional(Keys.STRIPE_SOURCE);
    if (node.isEmpty()) {
      return Optional.empty();
    }
    YamlNode.Mapping mapping = fields.mapping(Keys.STRIPE_SOURCE, node.get());
    return Optional.of(SourceFields.stripeSource(file, Keys.STRIPE_SOURCE.name(), mapping));
  }

  private Optional<List<Integer>> cpus() throws ConfigException {
    Optional<YamlNode> node = fields.optional(Keys.CPUS);
    if (node.isEmpty()) {
      return Optional.empty();
    }
    List<YamlNode> items = fields.sequence(Keys.CPUS, node.get()).items();
    List<Integer> cpus = new ArrayList<>();
    for (int i = 0; i < items.size(); i++) {
      cpus.add((int) fields.whole(Keys.CPU, "cpus[" + i + "]", items.get(i)));
    }
    return Optional.of(cpus);
  }

  private Optional<Written<XtsKeys>> encryptionKey() throws ConfigException {
    Optional<YamlNode> node = fields.optional(Keys.ENCRYPTION_KEY);
    if (node.isEmpty()) {
      return Optional.empty();
    }
    List<YamlNode> items = fields.sequence(Keys.ENCRYPTION_KEY, node.get()).items();
    if (items.size() != 2) {
      throw fields.error(
          Keys.ENCRYPTION_KEY.name(), "must be a list of exactly 2 keys, has " + items.size());
    }
    WrappedSecret dataKey = keyHalf(SecretName.ENCRYPTION_KEY_0, items.get(0));
    WrappedSecret tweakKey = keyHalf(SecretName.ENCRYPTION_KEY_1, items.get(1));
    return Optional.of(
        kek -> {
          Secret openedData = dataKey.open(kek);
          Secret openedTweak = tweakKey.open(kek);
          requireKeyLength(dataKey, openedData);
          requireKeyLength(tweakKey, openedTweak);
          XtsKeys keys = XtsKeys.take(openedData, openedTweak);
          if (keys.halvesEqual()) {
            file.warn(
                Keys.ENCRYPTION_KEY.name(),
                "both keys are the same, which weakens AES-XTS; make new disks with two");
          }
          return keys;
        });
  }

  private WrappedSecret keyHalf(SecretName name, YamlNode node) throws ConfigException {
    return fields.secret(name.text(), name, node);
  }

  private static void requireKeyLength(WrappedSecret wrapped, Secret opened)
      throws ConfigException {
    if (opened.length() != XtsKeys.KEY_BYTES) {
      throw wrapped.error("must be %d bytes, is %d".formatted(XtsKeys.KEY_BYTES, opened.length()));
    }
  }

  private String deviceId() throws ConfigException {
    String deviceId = fields.textOr(Keys.DEVICE_ID, Keys.DEVICE_ID.defaultText());
    int bytes = deviceId.getBytes(StandardCharsets.UTF_8).length;
    if (bytes > Keys.DEVICE_ID_BYTES_MAX) {
      throw fields.error(
          Keys.DEVICE_ID.name(),
          "must be at most %d bytes of UTF-8, is %d".formatted(Keys.DEVICE_ID_BYTES_MAX, bytes));
    }
    return deviceId;
  }
}
