/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Preloaded into a back end, plants a key where none may be: copies the file that KEY_PLANTER_FILE
 * names into allocated memory, and keeps it there. So that whoever searches the process for keys
 * can be seen to find one.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PLANTED_BYTES = 4096, NONE = -1 };

__attribute__((constructor)) static void plant(void)
{
    const char *path = getenv("KEY_PLANTER_FILE");
    int fd = path == NULL ? NONE : open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        char *planted = malloc(PLANTED_BYTES);
        if (planted != NULL && read(fd, planted, PLANTED_BYTES) <= 0) {
            free(planted);
        }
        close(fd);
    }
}
