// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.LongPredicate;
import java.util.stream.Collectors;

/**
 * A key that a mapping may hold: what the parser needs to read it, and the words of its row in
 * docs/config.md, from one place.
 */
sealed interface Key {
  /** The key as written in YAML. */
  String name();

  /** The type column. */
  String type();

  /** The default column: a value as YAML would have it, or {@code required} or {@code absent}. */
  String defaultText();

  /** The range column. */
  String rangeText();

  /** A text; not being long enough is a mistake of value. */
  record Text(String name, String defaultText, String rangeText, boolean mayBeEmpty)
      implements Key {
    static Text required(String name) {
      return new Text(name, "required", "not empty", false);
    }

    static Text optional(String name) {
      return new Text(name, "absent", "not empty", false);
    }

    @Override
    public String type() {
      return "string";
    }
  }

  /** Base64 text; wrapped, unless the file is the KEK file itself. */
  record Base64(String name, String defaultText) implements Key {
    @Override
    public String type() {
      return "base64";
    }

    @Override
    public String rangeText() {
      return "";
    }
  }

  /** A boolean. */
  record Flag(String name, boolean defaultValue) implements Key {
    @Override
    public String type() {
      return "boolean";
    }

    @Override
    public String defaultText() {
      return Boolean.toString(defaultValue);
    }

    @Override
    public String rangeText() {
      return "";
    }
  }

  /**
   * An integer. Not fitting into {@code bits} is a mistake of type, told while parsing; not being
   * {@code allowed} is a mistake of value, told after the secrets were opened.
   */
  record Whole(String name, int bits, long defaultValue, String rangeText, LongPredicate allowed)
      implements Key {
    static Whole between(String name, int bits, long defaultValue, long min, long max) {
      return new Whole(
          name, bits, defaultValue, min + " to " + max, value -> min <= value && value <= max);
    }

    static Whole powerOfTwo(String name, int bits, long defaultValue, long min, long max) {
      return new Whole(
          name,
          bits,
          defaultValue,
          "a power of two from " + min + " to " + max,
          value -> min <= value && value <= max && Long.bitCount(value) == 1);
    }

    boolean fits(BigInteger value) {
      return value.signum() >= 0 && value.bitLength() <= bits;
    }

    boolean allows(BigInteger value) {
      return allowed.test(asLong(value));
    }

    /** The value, or the largest long, which no range reaches. */
    static long asLong(BigInteger value) {
      return value.min(BigInteger.valueOf(Long.MAX_VALUE)).longValue();
    }

    @Override
    public String type() {
      return "integer";
    }

    @Override
    public String defaultText() {
      return Long.toString(defaultValue);
    }
  }

  /** One of the constants of an enum; no default means that the key is required. */
  record Choice<E extends Enum<E> & Worded>(String name, Class<E> constants, Optional<E> fallback)
      implements Key {
    @Override
    public String type() {
      return "choice";
    }

    @Override
    public String defaultText() {
      return fallback.map(Worded::text).orElse("required");
    }

    @Override
    public String rangeText() {
      return Arrays.stream(constants.getEnumConstants())
          .map(Worded::text)
          .collect(Collectors.joining(", "));
    }
  }

  /** A list or mapping with rules of its own. */
  record Compound(String name, String type, String defaultText, String rangeText) implements Key {}

  /** An enum constant that knows how it is spelled in YAML. */
  interface Worded {
    /** The constant in a configuration file. */
    String text();
  }
}
