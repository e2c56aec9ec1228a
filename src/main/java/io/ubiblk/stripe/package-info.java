// SPDX-License-Identifier: AGPL-3.0-only
/**
 * Filling a disk that starts out empty: what is fetched when ({@link io.ubiblk.stripe.LazyDisk}),
 * where from ({@link io.ubiblk.stripe.StripeSource}), and in which order things become durable.
 * Sources of other kinds implement its interfaces; it knows neither queues nor native code.
 */
package io.ubiblk.stripe;
