/* SPDX-License-Identifier: AGPL-3.0-only */
/* The eventfd of StopSignals, for what waits in C for something else as well. */
#ifndef UBIBLK_JNI_JNI_SIGNALS_H
#define UBIBLK_JNI_JNI_SIGNALS_H

/* Readable once a signal has come, for good; lives as long as the process. -1 before the signals
 * are caught. Any thread. */
int jni_stop_signal_fd(void);

#endif
