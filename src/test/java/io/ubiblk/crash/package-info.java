// SPDX-License-Identifier: AGPL-3.0-only
/**
 * The crash simulation: guests work on a lazily filled disk, everything that is written and synced
 * is recorded, and the files are rebuilt as a power cut could have left them at any moment. The
 * real code loads and recovers them; a model says what a guest may find. docs/testing.md explains
 * what is simulated and which mutations prove that it sees something.
 */
package io.ubiblk.crash;
