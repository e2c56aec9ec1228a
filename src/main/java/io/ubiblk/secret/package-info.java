// SPDX-License-Identifier: AGPL-3.0-only
/**
 * Bytes that must not be seen: how they are held, how they are opened under a key-encrypting key,
 * and the pair of AES-XTS keys. Knows neither files nor YAML.
 */
package io.ubiblk.secret;
