// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import java.util.List;

/** One house rule about one file. */
@FunctionalInterface
public interface Rule {
  /** Returns where {@code file} breaks this rule; nothing when the rule is not about such files. */
  List<Finding> check(SourceFile file);
}
