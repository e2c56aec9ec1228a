// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.math.BigInteger;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What an unquoted scalar means. YAML 1.1's readings ({@code on} as true, {@code 010} as 8, {@code
 * 1:30} as 90, dates) do not exist here.
 */
final class ScalarRules {
  private static final Set<String> NULLS = Set.of("", "~", "null", "Null", "NULL");
  private static final Set<String> TRUE = Set.of("true", "True", "TRUE");
  private static final Set<String> FALSE = Set.of("false", "False", "FALSE");

  private static final Pattern INTEGER =
      Pattern.compile(
          "(?<sign>[+-]?)(?:0x(?<hex>[0-9a-fA-F]+)|0o(?<octal>[0-7]+)|0b(?<binary>[01]+)"
              + "|(?<decimal>0|[1-9][0-9]*))");
  private static final Pattern LEADING_ZEROS = Pattern.compile("[+-]?0[0-9]+");
  private static final Pattern FLOAT =
      Pattern.compile("[+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?");
  private static final Pattern SPECIAL_FLOAT =
      Pattern.compile("[+-]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)");

  private ScalarRules() {}

  /**
   * The type of a scalar where nothing else is known: by its looks, or a string if it is quoted.
   */
  enum Type {
    NULL("null"),
    BOOLEAN("a boolean"),
    INTEGER("a number"),
    FLOAT("a number"),
    STRING("a string");

    private final String inWords;

    Type(String inWords) {
      this.inWords = inWords;
    }

    String inWords() {
      return inWords;
    }
  }

  static Type typeOf(YamlNode.Scalar scalar) {
    String text = scalar.text();
    if (!scalar.plain()) {
      return Type.STRING;
    } else if (NULLS.contains(text)) {
      return Type.NULL;
    } else if (TRUE.contains(text) || FALSE.contains(text)) {
      return Type.BOOLEAN;
    } else if (INTEGER.matcher(text).matches()) {
      return Type.INTEGER;
    } else if (isFloat(text)) {
      return Type.FLOAT;
    }
    return Type.STRING;
  }

  /** Whether the scalar stands for "absent" where a key is optional. */
  static boolean isNull(YamlNode.Scalar scalar) {
    return scalar.plain() && NULLS.contains(scalar.text());
  }

  /** The boolean that an unquoted scalar spells. */
  static Optional<Boolean> booleanOf(YamlNode.Scalar scalar) {
    if (!scalar.plain()) {
      return Optional.empty();
    } else if (TRUE.contains(scalar.text())) {
      return Optional.of(true);
    }
    return FALSE.contains(scalar.text()) ? Optional.of(false) : Optional.empty();
  }

  /** The integer of any size that an unquoted scalar spells, with a sign or without. */
  static Optional<BigInteger> integerOf(YamlNode.Scalar scalar) {
    Matcher matcher = INTEGER.matcher(scalar.text());
    if (!scalar.plain() || !matcher.matches()) {
      return Optional.empty();
    }
    BigInteger magnitude = magnitude(matcher);
    return Optional.of(matcher.group("sign").equals("-") ? magnitude.negate() : magnitude);
  }

  private static BigInteger magnitude(Matcher matcher) {
    if (matcher.group("hex") != null) {
      return new BigInteger(matcher.group("hex"), 16);
    } else if (matcher.group("octal") != null) {
      return new BigInteger(matcher.group("octal"), 8);
    } else if (matcher.group("binary") != null) {
      return new BigInteger(matcher.group("binary"), 2);
    }
    return new BigInteger(matcher.group("decimal"));
  }

  /** Too large for a double is no number, and neither are digits after a leading zero. */
  private static boolean isFloat(String text) {
    if (SPECIAL_FLOAT.matcher(text).matches()) {
      return true;
    }
    return FLOAT.matcher(text).matches()
        && !LEADING_ZEROS.matcher(text).matches()
        && Double.isFinite(Double.parseDouble(text));
  }
}
