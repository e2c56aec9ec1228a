// SPDX-License-Identifier: AGPL-3.0-only
/**
 * The house rules that no compiler checks: each {@link io.ubiblk.tidy.Rule} reads one source file
 * (or the whole tree) and says {@code file:line: what is wrong and what to do instead}.
 */
package io.ubiblk.tidy;
