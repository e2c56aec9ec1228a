// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.config.Key.Base64;
import io.ubiblk.config.Key.Choice;
import io.ubiblk.config.Key.Compound;
import io.ubiblk.config.Key.Flag;
import io.ubiblk.config.Key.Text;
import io.ubiblk.config.Key.Whole;
import java.util.List;
import java.util.Optional;

/**
 * Every key of every file, with its default and limits. The parser reads them by these constants,
 * warns about others, and docs/config.md has a table for each schema.
 */
final class Keys {
  private static final int U32 = 32;
  private static final int U64 = 64;
  private static final int U128 = 128;
  private static final long KIB = 1024;
  private static final long MIB = 1024 * KIB;
  private static final long GIB = 1024 * MIB;

  private Keys() {}

  /** Bytes of UTF-8 in a device's name: the size of the field it is copied to. */
  static final int DEVICE_ID_BYTES_MAX = 20;

  /** Worker threads of an S3 client: values outside are brought to the nearer end. */
  static final int CONNECTIONS_MAX = 128;

  /** CPU numbers that an affinity mask of the C library holds. */
  static final Whole CPU = Whole.between("cpus", U64, 0, 0, 1023);

  // Device
  static final Text PATH = Text.required("path");
  static final Text IMAGE_PATH = Text.optional("image_path");
  static final Compound STRIPE_SOURCE = new Compound("stripe_source", "mapping", "absent", "");
  static final Text METADATA_PATH = Text.optional("metadata_path");
  static final Text RPC_SOCKET_PATH = Text.optional("rpc_socket_path");
  static final Text SOCKET = Text.optional("socket");
  static final Compound CPUS =
      new Compound("cpus", "list of integers", "absent", "each " + CPU.rangeText());
  static final Whole NUM_QUEUES = Whole.between("num_queues", U64, 1, 1, 63);
  static final Whole QUEUE_SIZE = Whole.powerOfTwo("queue_size", U64, 64, 2, 32768);
  static final Whole SEG_SIZE_MAX = Whole.between("seg_size_max", U32, 65536, 512, GIB);
  static final Whole SEG_COUNT_MAX = Whole.between("seg_count_max", U32, 4, 1, 1024);
  static final Whole POLL_QUEUE_TIMEOUT_US =
      Whole.between("poll_queue_timeout_us", U128, 1000, 0, 10_000_000);
  static final Flag COPY_ON_READ = new Flag("copy_on_read", false);
  static final Flag TRACK_WRITTEN = new Flag("track_written", false);
  static final Flag WRITE_THROUGH = new Flag("write_through", false);
  static final Flag AUTOFETCH = new Flag("autofetch", false);
  static final Compound ENCRYPTION_KEY =
      new Compound("encryption_key", "list of base64", "absent", "exactly 2 of 32 bytes each");
  static final Text DEVICE_ID =
      new Text("device_id", "ubiblk", "at most " + DEVICE_ID_BYTES_MAX + " bytes", true);
  static final Choice<IoEngine> IO_ENGINE =
      new Choice<>("io_engine", IoEngine.class, Optional.of(IoEngine.IO_URING));
  static final Choice<DirectIo> DIRECT_IO =
      new Choice<>("direct_io", DirectIo.class, Optional.of(DirectIo.AUTO));
  static final Whole LOGICAL_BLOCK_SIZE =
      new Whole("logical_block_size", U32, 512, "512 or 4096", size -> size == 512 || size == 4096);
  static final Choice<XtsEngine> XTS_ENGINE =
      new Choice<>("xts_engine", XtsEngine.class, Optional.of(XtsEngine.AUTO));
  static final Whole BOUNCE_BYTES = Whole.between("bounce_bytes", U64, 4 * MIB, MIB, GIB);
  static final Whole FETCH_CONCURRENCY = Whole.between("fetch_concurrency", U32, 32, 1, 256);
  static final Whole FETCH_BYTES = Whole.between("fetch_bytes", U64, 64 * MIB, MIB, 16 * GIB);
  static final Whole FETCH_TIMEOUT_MS =
      Whole.between("fetch_timeout_ms", U64, 0, 0, 7L * 24 * 3600 * 1000);
  static final Whole STOP_TIMEOUT_MS =
      Whole.between("stop_timeout_ms", U64, 10_000, 0, 10L * 60 * 1000);

  static final Schema DEVICE =
      Schema.of(
          "Device",
          PATH,
          IMAGE_PATH,
          STRIPE_SOURCE,
          METADATA_PATH,
          RPC_SOCKET_PATH,
          SOCKET,
          CPUS,
          NUM_QUEUES,
          QUEUE_SIZE,
          SEG_SIZE_MAX,
          SEG_COUNT_MAX,
          POLL_QUEUE_TIMEOUT_US,
          COPY_ON_READ,
          TRACK_WRITTEN,
          WRITE_THROUGH,
          AUTOFETCH,
          ENCRYPTION_KEY,
          DEVICE_ID,
          IO_ENGINE,
          DIRECT_IO,
          LOGICAL_BLOCK_SIZE,
          XTS_ENGINE,
          BOUNCE_BYTES,
          FETCH_CONCURRENCY,
          FETCH_BYTES,
          FETCH_TIMEOUT_MS,
          STOP_TIMEOUT_MS);

  // Key-encrypting key
  static final Choice<KekMethod> METHOD = new Choice<>("method", KekMethod.class, Optional.empty());
  static final Base64 KEY = new Base64("key", "absent");
  static final Base64 INIT_VECTOR = new Base64("init_vector", "absent");
  static final Base64 AUTH_DATA = new Base64("auth_data", "absent");
  static final Schema KEK = Schema.ofSecrets("KEK file", METHOD, KEY, INIT_VECTOR, AUTH_DATA);

  // Stripe sources
  static final Choice<SourceKind> SOURCE =
      new Choice<>("source", SourceKind.class, Optional.empty());
  static final Schema RAW = Schema.of("Raw image", PATH);

  static final Text ADDRESS = Text.required("address");
  static final Text PSK_IDENTITY = Text.optional("psk_identity");
  static final Base64 PSK_SECRET = new Base64("psk_secret", "absent");
  static final Schema REMOTE = Schema.of("Remote", ADDRESS, PSK_IDENTITY, PSK_SECRET);

  static final Choice<ArchiveKind> TYPE = new Choice<>("type", ArchiveKind.class, Optional.empty());
  static final Compound ARCHIVE_KEK = new Compound("archive_kek", "mapping", "method none", "");
  static final Schema FILESYSTEM = Schema.of("Archive in a directory", TYPE, PATH, ARCHIVE_KEK);

  static final Text BUCKET = Text.required("bucket");
  static final Text PREFIX = new Text("prefix", "absent", "no component .., no leading .", true);
  static final Text ENDPOINT = Text.optional("endpoint");
  static final Text REGION = Text.optional("region");
  static final Text PROFILE = Text.optional("profile");
  static final Compound CREDENTIALS = new Compound("credentials", "mapping", "absent", "");
  static final Whole CONNECTIONS =
      new Whole("connections", U64, 16, "brought into 1 to " + CONNECTIONS_MAX, value -> true);
  static final Schema S3 =
      Schema.of(
          "Archive in S3",
          TYPE,
          BUCKET,
          PREFIX,
          ENDPOINT,
          REGION,
          PROFILE,
          CREDENTIALS,
          CONNECTIONS,
          ARCHIVE_KEK);

  static final Base64 ACCESS_KEY_ID = new Base64("access_key_id", "required");
  static final Base64 SECRET_ACCESS_KEY = new Base64("secret_access_key", "required");
  static final Schema S3_CREDENTIALS =
      Schema.ofSecrets("S3 credentials", ACCESS_KEY_ID, SECRET_ACCESS_KEY);

  /** All of them, in the order of docs/config.md. */
  static final List<Schema> SCHEMAS =
      List.of(DEVICE, RAW, REMOTE, FILESYSTEM, S3, S3_CREDENTIALS, KEK);

  /** Values of {@code method}. */
  enum KekMethod implements Key.Worded {
    NONE("none"),
    AES256_GCM("aes256-gcm");

    private final String text;

    KekMethod(String text) {
      this.text = text;
    }

    @Override
    public String text() {
      return text;
    }
  }

  /** Values of {@code source}. */
  enum SourceKind implements Key.Worded {
    RAW("raw"),
    REMOTE("remote"),
    ARCHIVE("archive");

    private final String text;

    SourceKind(String text) {
      this.text = text;
    }

    @Override
    public String text() {
      return text;
    }
  }

  /** Values of {@code type}. */
  enum ArchiveKind implements Key.Worded {
    FILESYSTEM("filesystem"),
    S3("s3");

    private final String text;

    ArchiveKind(String text) {
      this.text = text;
    }

    @Override
    public String text() {
      return text;
    }
  }
}
