// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

/** One broken rule at one place. */
public record Finding(String path, int line, String message) implements Comparable<Finding> {
  @Override
  public int compareTo(Finding other) {
    int byPath = path.compareTo(other.path);
    return byPath != 0 ? byPath : Integer.compare(line, other.line);
  }

  @Override
  public String toString() {
    return path + ":" + line + ": " + message;
  }
}
