/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address;
static socklen_t address_length;
static int64_t watchdog_ms;

/* "WATCHDOG_PID" names somebody else where a wrapper was started. */
static int64_t read_watchdog(void)
{
    const char *period = secure_getenv("WATCHDOG_USEC"), *process = secure_getenv("WATCHDOG_PID");

    if (!period || (process && strtoll(process, NULL, 10) != (long long)getpid()))
        return 0;
    return strtoll(period, NULL, 10) / 2000;
}

void notify_start(void)
{
    const char *path = secure_getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;

    if (length > 1 && length < sizeof(address.sun_path) && (path[0] == '/' || path[0] == '@')) {
        address.sun_family = AF_UNIX;
        memcpy(address.sun_path, path, length);
        /* An abstract socket. */
        if (path[0] == '@')
            address.sun_path[0] = '\0';
        address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
        watchdog_ms = read_watchdog();
    }
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void notify_send(const char *lines)
{
    int fd;

    if (address_length == 0)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&address, address_length);
    (void)close(fd);
}

int64_t notify_watchdog_ms(void)
{
    return watchdog_ms;
}
