// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.config.Key.Base64;
import io.ubiblk.config.Key.Choice;
import io.ubiblk.config.Key.Flag;
import io.ubiblk.config.Key.Text;
import io.ubiblk.config.Key.Whole;
import io.ubiblk.config.Key.Worded;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.StrictBase64;
import java.math.BigInteger;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The keys of one mapping, read by their expected types. Making one refuses duplicates of known
 * keys and warns about unknown ones.
 *
 * <p>There are two modes, as in the files that exist. {@link Mode#DIRECT}: where a string is
 * expected, any scalar is taken as its text. {@link Mode#BUFFERED}, below a discriminator: a scalar
 * has the type it looks like, so {@code bucket: 123} is a number and no string.
 */
final class Fields {
  /** How a scalar becomes a string. */
  enum Mode {
    DIRECT,
    BUFFERED
  }

  private static final int SHOWN_MAX = 60;

  /** An unknown key that looks otherwise may be a secret that slipped out of its place. */
  private static final Pattern KEY_NAME = Pattern.compile("<<|[A-Za-z_][A-Za-z0-9_.-]{0,31}");

  private final ConfigFile file;
  private final String path;
  private final Mode mode;
  private final boolean secret;
  private final Map<String, YamlNode> values = new HashMap<>();

  Fields(ConfigFile file, String path, YamlNode.Mapping mapping, Schema schema, Mode mode)
      throws ConfigException {
    this.file = file;
    this.path = path;
    this.mode = mode;
    this.secret = schema.secret();
    Set<String> warned = new HashSet<>();
    for (YamlNode.Entry entry : mapping.entries()) {
      String name = entry.key().text();
      if (schema.find(name).isEmpty()) {
        if (warned.add(name)) {
          warnUnknown(entry.key(), schema);
        }
      } else if (values.putIfAbsent(name, entry.value()) != null) {
        throw error(name, "is there twice (line " + entry.key().line() + ")");
      } else if (entry.value() instanceof YamlNode.Scalar scalar) {
        file.used(scalar, join(name));
      }
    }
  }

  /** The discriminator of a mapping whose other keys depend on it. */
  static <E extends Enum<E> & Worded> E discriminator(
      ConfigFile file, String path, YamlNode.Mapping mapping, Choice<E> key)
      throws ConfigException {
    var only = new YamlNode.Mapping(mapping.line(), entriesOf(mapping, key));
    return new Fields(file, path, only, Schema.of("", key), Mode.BUFFERED).choice(key);
  }

  private static List<YamlNode.Entry> entriesOf(YamlNode.Mapping mapping, Key key) {
    return mapping.entries().stream()
        .filter(entry -> entry.key().text().equals(key.name()))
        .toList();
  }

  /** The text of a key that must be there. */
  String text(Text key) throws ConfigException {
    return text(key, required(key));
  }

  /** The text of a key, or its default. */
  String textOr(Text key, String defaultValue) throws ConfigException {
    YamlNode node = values.get(key.name());
    return node == null ? defaultValue : text(key, node);
  }

  /** The text of a key that may be absent or null. */
  Optional<String> optionalText(Text key) throws ConfigException {
    Optional<YamlNode> node = optional(key);
    return node.isPresent() ? Optional.of(text(key, node.get())) : Optional.empty();
  }

  boolean flag(Flag key) throws ConfigException {
    YamlNode node = values.get(key.name());
    if (node == null) {
      return key.defaultValue();
    }
    return scalar(node)
        .flatMap(ScalarRules::booleanOf)
        .orElseThrow(() -> mustBe(key.name(), "true or false", node));
  }

  /**
   * An integer. One that is out of its range is remembered for {@link ConfigFile#checkRanges} and
   * replaced by the default.
   */
  long whole(Whole key) throws ConfigException {
    YamlNode node = values.get(key.name());
    return node == null ? key.defaultValue() : whole(key, key.name(), node);
  }

  /** An item of a list of integers, under the name of its place. */
  long whole(Whole key, String name, YamlNode node) throws ConfigException {
    BigInteger value =
        scalar(node)
            .flatMap(ScalarRules::integerOf)
            .filter(integer -> integer.signum() >= 0)
            .orElseThrow(() -> mustBe(name, "an unsigned integer without quotes", node));
    if (!key.fits(value)) {
      throw error(name, "must be " + key.rangeText() + ", is " + shown(node));
    } else if (!key.allows(value)) {
      file.outOfRange(join(name), "must be " + key.rangeText() + ", is " + shown(node));
      return key.defaultValue();
    }
    return Whole.asLong(value);
  }

  <E extends Enum<E> & Worded> E choice(Choice<E> key) throws ConfigException {
    YamlNode node = values.get(key.name());
    if (node == null) {
      return key.fallback().orElseThrow(() -> missing(key));
    }
    String text = string(key.name(), node, "one of " + key.rangeText());
    for (E constant : key.constants().getEnumConstants()) {
      if (constant.text().equals(text)) {
        return constant;
      }
    }
    throw mustBe(key.name(), "one of " + key.rangeText(), node);
  }

  /** The decoded value of a base64 key, still wrapped; absent or null gives nothing. */
  Optional<WrappedSecret> optionalSecret(Base64 key, SecretName sealedName) throws ConfigException {
    Optional<YamlNode> node = optional(key);
    return node.isPresent()
        ? Optional.of(secret(key.name(), sealedName, node.get()))
        : Optional.empty();
  }

  /** The decoded value of a base64 key that must be there. */
  WrappedSecret secret(Base64 key, SecretName sealedName) throws ConfigException {
    return secret(key.name(), sealedName, required(key));
  }

  /** One base64 value, under the name of its place; no message shows any of it. */
  WrappedSecret secret(String name, SecretName sealedName, YamlNode node) throws ConfigException {
    if (!(node instanceof YamlNode.Scalar scalar) || !isString(scalar)) {
      String hint = node instanceof YamlNode.Scalar ? "; put it in quotes" : "";
      throw error(name, "must be base64, is " + node.kind() + hint + line(node));
    }
    try {
      Secret value = file.wrapped(StrictBase64.decode(scalar.text()));
      return file.found(new WrappedSecret(file, join(name), sealedName, scalar, value));
    } catch (IllegalArgumentException e) {
      throw error(name, e.getMessage() + line(node));
    }
  }

  /** The value of a key that may be absent or null. */
  Optional<YamlNode> optional(Key key) {
    return Optional.ofNullable(values.get(key.name()))
        .filter(node -> !(node instanceof YamlNode.Scalar scalar && ScalarRules.isNull(scalar)));
  }

  /** The value of a key that may be absent, but not null. */
  Optional<YamlNode> present(Key key) {
    return Optional.ofNullable(values.get(key.name()));
  }

  YamlNode.Mapping mapping(Key key, YamlNode node) throws ConfigException {
    if (node instanceof YamlNode.Mapping mapping) {
      return mapping;
    }
    throw error(key.name(), "must be a mapping, is " + node.kind() + line(node));
  }

  YamlNode.Sequence sequence(Key key, YamlNode node) throws ConfigException {
    if (node instanceof YamlNode.Sequence sequence) {
      return sequence;
    }
    throw error(key.name(), "must be a list, is " + node.kind() + line(node));
  }

  /** The whole path of a key of this mapping. */
  String join(String name) {
    return path.isEmpty() ? name : path + "." + name;
  }

  ConfigException error(String name, String sentence) {
    return file.error(join(name), sentence);
  }

  private YamlNode required(Key key) throws ConfigException {
    YamlNode node = values.get(key.name());
    if (node == null) {
      throw missing(key);
    }
    return node;
  }

  private ConfigException missing(Key key) {
    return error(key.name(), "is required, but not there");
  }

  private String text(Text key, YamlNode node) throws ConfigException {
    String text = string(key.name(), node, "a string");
    if (text.indexOf('\0') >= 0) {
      throw error(key.name(), "has a NUL character" + line(node));
    } else if (text.isEmpty() && !key.mayBeEmpty()) {
      file.outOfRange(join(key.name()), "must not be empty");
    }
    return text;
  }

  private String string(String name, YamlNode node, String expected) throws ConfigException {
    YamlNode.Scalar scalar =
        scalar(node).filter(this::isString).orElseThrow(() -> mustBe(name, expected, node));
    return scalar.text();
  }

  private boolean isString(YamlNode.Scalar scalar) {
    return mode == Mode.DIRECT || ScalarRules.typeOf(scalar) == ScalarRules.Type.STRING;
  }

  private static Optional<YamlNode.Scalar> scalar(YamlNode node) {
    return node instanceof YamlNode.Scalar scalar ? Optional.of(scalar) : Optional.empty();
  }

  private ConfigException mustBe(String name, String expected, YamlNode node) {
    boolean looksTyped = node instanceof YamlNode.Scalar scalar && !isString(scalar);
    String hint = looksTyped && expected.equals("a string") ? "; put it in quotes" : "";
    return error(name, "must be " + expected + ", is " + shown(node) + hint + line(node));
  }

  private static String line(YamlNode node) {
    return " (line " + node.line() + ")";
  }

  /** A value, short and on one line; where it may be a secret only its kind. */
  private String shown(YamlNode node) {
    if (secret || !(node instanceof YamlNode.Scalar scalar)) {
      return node.kind();
    }
    String text = scalar.text().replaceAll("[^\\p{Print}\\p{L}]", "?");
    String shortened = text.length() > SHOWN_MAX ? text.substring(0, SHOWN_MAX) + "…" : text;
    if (!scalar.plain()) {
      return '"' + shortened + "\" in quotes";
    }
    return shortened.isEmpty() ? "empty" : shortened;
  }

  private void warnUnknown(YamlNode.Scalar key, Schema schema) {
    String name = key.text();
    if (!KEY_NAME.matcher(name).matches()) {
      file.warn(
          path.isEmpty() ? "line " + key.line() : path,
          "unknown key in line " + key.line() + " is ignored; it does not look like a key's name");
    } else if (name.equals("<<")) {
      file.warn(join(name), "merge keys are not expanded; write the keys out");
    } else {
      file.warn(
          join(name), "unknown key is ignored; the nearest known one is " + schema.nearest(name));
    }
  }
}
