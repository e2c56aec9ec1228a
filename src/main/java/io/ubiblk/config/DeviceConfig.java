// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.XtsKeys;
import java.util.List;
import java.util.Optional;

/**
 * A device as its configuration file describes it, secrets opened and every rule checked.
 * Components are the keys of docs/config.md; paths are kept as text, because the native side opens
 * them and the JVM's idea of file name encoding must not come between.
 *
 * @param path the base disk: a file or block device
 * @param imagePath the older spelling of a raw stripe source; {@link #source()} covers both
 * @param stripeSource where content comes from that the base disk does not have yet
 * @param metadataPath the file that knows which stripes the base disk has
 * @param rpcSocketPath where the RPC server listens
 * @param socket where front-ends connect; the vhost back-end needs it
 * @param cpus one CPU per queue thread
 * @param numQueues virtqueues offered
 * @param queueSize entries of each virtqueue
 * @param segSizeMax bytes of one data segment, as told to the driver
 * @param segCountMax data segments of one request, as told to the driver
 * @param pollQueueTimeoutUs how long a queue thread polls before it sleeps
 * @param copyOnRead whether a read fetches the stripe it touches
 * @param trackWritten whether the metadata file records which stripes the guest wrote
 * @param writeThrough whether every completed write is on stable storage
 * @param autofetch whether stripes are fetched in the background
 * @param encryptionKey the AES-XTS keys; absent for a plain disk
 * @param deviceId what the guest sees as serial number; at most 20 bytes of UTF-8
 * @param ioEngine how blocks are read and written
 * @param directIo whether the page cache is bypassed
 * @param logicalBlockSize the block size shown to the guest
 * @param xtsEngine who computes AES-XTS
 * @param bounceBytes bounce buffers of the device, all queues together
 * @param fetchConcurrency stripes fetched at once
 * @param fetchBytes memory for stripes being fetched
 * @param fetchTimeoutMs how long a guest request waits for a stripe; 0 for ever
 * @param stopTimeoutMs how long a stop waits for requests that wait for a stripe
 */
public record DeviceConfig(
    String path,
    Optional<String> imagePath,
    Optional<StripeSourceConfig> stripeSource,
    Optional<String> metadataPath,
    Optional<String> rpcSocketPath,
    Optional<String> socket,
    Optional<List<Integer>> cpus,
    int numQueues,
    int queueSize,
    int segSizeMax,
    int segCountMax,
    long pollQueueTimeoutUs,
    boolean copyOnRead,
    boolean trackWritten,
    boolean writeThrough,
    boolean autofetch,
    Optional<XtsKeys> encryptionKey,
    String deviceId,
    IoEngine ioEngine,
    DirectIo directIo,
    int logicalBlockSize,
    XtsEngine xtsEngine,
    long bounceBytes,
    int fetchConcurrency,
    long fetchBytes,
    long fetchTimeoutMs,
    long stopTimeoutMs)
    implements AutoCloseable {

  /** Copies the list of CPUs. */
  public DeviceConfig {
    cpus = cpus.map(List::copyOf);
  }

  /** The stripe source, whichever of the two spellings configured it. */
  public Optional<StripeSourceConfig> source() {
    return stripeSource.or(() -> imagePath.map(StripeSourceConfig.Raw::new));
  }

  /** Zeroes the secrets that were not handed on. */
  @Override
  public void close() {
    encryptionKey.ifPresent(XtsKeys::close);
    stripeSource.ifPresent(StripeSourceConfig::close);
  }
}
