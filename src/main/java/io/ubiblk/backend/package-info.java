// SPDX-License-Identifier: AGPL-3.0-only
/**
 * A running back end: everything below put together in one place, started in order, served until a
 * signal says stop, and ended in the reverse order.
 */
package io.ubiblk.backend;
