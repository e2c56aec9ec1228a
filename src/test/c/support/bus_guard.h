/* SPDX-License-Identifier: AGPL-3.0-only */
/* A test program's SIGBUS handler for a guard of guest memory, as the product has one in jni/. */
#ifndef UBIBLK_SUPPORT_BUS_GUARD_H
#define UBIBLK_SUPPORT_BUS_GUARD_H

#include "virtq/guest_guard.h"

/* Installs the handler at the first call and returns the process's guard, which is never freed. */
struct guest_guard *bus_guard_install(void);

#endif
