/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of ServiceManager: one datagram to the socket that NOTIFY_SOCKET names. */
#include "io_ubiblk_nativelib_ServiceManager.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "jni/jni_env.h"

/* A name that begins with @ is an abstract one: the first byte becomes zero. */
static int fill_address(const char *name, struct sockaddr_un *address, socklen_t *address_len)
{
    size_t length = strlen(name);
    if (length >= sizeof(address->sun_path)) {
        return -ENAMETOOLONG;
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, name, length);
    *address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (name[0] == '@') {
        address->sun_path[0] = '\0';
    } else {
        (*address_len)++;
    }
    return 0;
}

static int send_state(const char *name, const char *state)
{
    struct sockaddr_un address;
    socklen_t address_len;
    int result = fill_address(name, &address, &address_len);
    if (result < 0) {
        return result;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                          address_len);
    result = sent < 0 ? -errno : 0;
    close(fd);
    return result;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_ServiceManager_send(JNIEnv *env, jclass class,
                                                                    jbyteArray socket_name,
                                                                    jbyteArray state)
{
    (void)class;
    char name_text[JNI_TEXT_BYTES];
    char state_text[JNI_TEXT_BYTES];
    if (jni_copy_text(env, socket_name, name_text) < 0 ||
        jni_copy_text(env, state, state_text) < 0) {
        return;
    }
    int result = send_state(name_text, state_text);
    if (result < 0) {
        jni_throw_errno(env, name_text, result);
    }
}
