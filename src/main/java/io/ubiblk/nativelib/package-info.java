// SPDX-License-Identifier: AGPL-3.0-only
/**
 * The native library as Java objects: the only package that declares native methods. Every pointer
 * is inside a {@link io.ubiblk.nativelib.NativeHandle}; natives are static, take primitives, arrays
 * and direct buffers, and check nothing that Java has checked. docs/native.md has the rules.
 */
package io.ubiblk.nativelib;
