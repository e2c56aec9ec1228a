// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SchemaTest {
  @ParameterizedTest
  @CsvSource({
    "num_queue, num_queues",
    "numqueues, num_queues",
    "queue_sizes, queue_size",
    "pth, path",
    "writethrough, write_through",
    "encryption_keys, encryption_key",
    "sockets, socket",
    "rpc_socket, rpc_socket_path",
    "metadata, metadata_path",
    "io_engin, io_engine",
  })
  void names_the_nearest_key(String typed, String meant) {
    assertThat(Keys.DEVICE.nearest(typed)).isEqualTo(meant);
  }

  @Test
  void every_key_is_nearest_to_itself() {
    for (Schema schema : Keys.SCHEMAS) {
      for (Key key : schema.keys()) {
        assertThat(schema.nearest(key.name())).isEqualTo(key.name());
      }
    }
  }

  @Test
  void no_schema_has_a_key_twice() {
    for (Schema schema : Keys.SCHEMAS) {
      Set<String> names = new HashSet<>();
      schema.keys().forEach(key -> assertThat(names.add(key.name())).as(key.name()).isTrue());
    }
  }
}
