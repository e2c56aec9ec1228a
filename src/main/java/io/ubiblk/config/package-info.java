// SPDX-License-Identifier: AGPL-3.0-only
/**
 * Configuration files: YAML read by our own scalar rules, keys with defaults and limits, wrapped
 * secrets opened, rules between keys checked. What comes out is complete: no object here is half
 * resolved.
 *
 * <p>Reading goes in two stages. The first turns text into typed values and wrapped secrets and
 * ends in a {@link io.ubiblk.config.Written}; opening that under the key-encrypting key gives the
 * finished record. docs/config.md is the user's side of this package, and a test compares the two.
 *
 * <p>{@link io.ubiblk.config.Rewrap} and {@link io.ubiblk.config.SecretCheck} are about the secrets
 * of such a file as they stand in it; docs/keys.md is their user's side.
 */
package io.ubiblk.config;
