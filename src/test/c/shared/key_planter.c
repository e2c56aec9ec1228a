/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Preloaded into a back end, plants a key where none may be, so that whoever searches the process
 * for keys can be seen to find one:
 *
 *   KEY_PLANTER_FILE=FILE        copies FILE into allocated memory, and keeps it there
 *   KEY_PLANTER_REGISTER=FILE    a thread has the first 16 bytes of FILE in a vector register, and
 *                                nowhere in memory
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLANTED_BYTES = 4096, REGISTER_BYTES = 16, NONE = -1 };

static int open_named_by(const char *variable)
{
    const char *path = getenv(variable);

    return path == NULL ? NONE : open(path, O_RDONLY | O_CLOEXEC);
}

static void plant_in_memory(int fd)
{
    char *planted = malloc(PLANTED_BYTES);

    if (planted != NULL && read(fd, planted, PLANTED_BYTES) <= 0) {
        free(planted);
    }
    close(fd);
}

#if defined(__x86_64__)

/* Waits in the kernel for ever, as pause(2), with the register as it is. */
static void *hold_in_register(void *opened)
{
    int fd = (int)(intptr_t)opened;
    uint8_t bytes[REGISTER_BYTES];

    if (read(fd, bytes, sizeof(bytes)) == sizeof(bytes)) {
        __asm__ volatile("movdqu (%0), %%xmm15\n\t"
                         "movq $0, (%0)\n\t"
                         "movq $0, 8(%0)\n\t"
                         "1: movl $34, %%eax\n\t"
                         "syscall\n\t"
                         "jmp 1b"
                         :
                         : "r"(bytes)
                         : "xmm15", "rax", "rcx", "r11", "memory");
    }
    return NULL;
}

static void plant_in_register(int fd)
{
    pthread_t thread;

    pthread_create(&thread, NULL, hold_in_register, (void *)(intptr_t)fd);
}

#else

static void plant_in_register(int fd)
{
    close(fd);
}

#endif

__attribute__((constructor)) static void plant(void)
{
    int file = open_named_by("KEY_PLANTER_FILE"),
        registered = open_named_by("KEY_PLANTER_REGISTER");

    if (file != NONE) {
        plant_in_memory(file);
    }
    if (registered != NONE) {
        plant_in_register(registered);
    }
}
