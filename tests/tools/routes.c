/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into a test program, this stands between libcurl and the C library's getaddrinfo and
 * connect, so that a test can use any name and any address without leaving the machine:
 *
 *   NET_HOSTS    "NAME=ADDRESS,..."; ADDRESS "hang" never answers, "none" is no such name
 *   NET_ROUTES   "ADDRESS:PORT=PORT,..."; a connection to the former goes to 127.0.0.1 and the
 *                latter
 *
 * What is not listed goes the ordinary way, but never off the loopback: such a connection fails.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret);
/* glibc declares connect with a union of its own, so it gets another name here. */
int route_connect(int fd, const struct sockaddr *address, socklen_t length) __asm__("connect");

/* The value that a list "KEY=VALUE,..." in a variable has for a key. */
static bool look_up(const char *variable, const char *key, char *ret, size_t size)
{
    const char *list = getenv(variable);
    size_t key_length = strlen(key);

    while (list && *list != '\0') {
        size_t length = strcspn(list, ",");

        if (length > key_length && list[key_length] == '=' && strncmp(list, key, key_length) == 0) {
            (void)snprintf(ret, size, "%.*s", (int)(length - key_length - 1),
                           list + key_length + 1);
            return true;
        }
        list += length;
        list += *list == ',';
    }
    return false;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    char address[INET6_ADDRSTRLEN + 8];
    struct addrinfo numeric = hints ? *hints : (struct addrinfo){ 0 };

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!node || !look_up("NET_HOSTS", node, address, sizeof(address)))
        return real(node, service, hints, ret);
    if (strcmp(address, "none") == 0)
        return EAI_NONAME;
    while (strcmp(address, "hang") == 0)
        (void)poll(NULL, 0, -1);
    numeric.ai_flags |= AI_NUMERICHOST;
    return real(address, service, &numeric, ret);
}

int route_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int, const struct sockaddr *, socklen_t);
    struct sockaddr_in loopback = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char text[INET6_ADDRSTRLEN] = "", key[sizeof(text) + 8], port[8];
    const struct sockaddr_in *ipv4 = (const void *)address;

    *(void **)&real = dlsym(RTLD_NEXT, "connect");
    if (address->sa_family != AF_INET)
        return real(fd, address, length);
    (void)inet_ntop(AF_INET, &ipv4->sin_addr, text, sizeof(text));
    (void)snprintf(key, sizeof(key), "%s:%u", text, (unsigned int)ntohs(ipv4->sin_port));
    if (look_up("NET_ROUTES", key, port, sizeof(port))) {
        loopback.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
        return real(fd, (const struct sockaddr *)&loopback, sizeof(loopback));
    }
    if (ntohl(ipv4->sin_addr.s_addr) >> 24 != 127) {
        errno = ENETUNREACH;
        return -1;
    }
    return real(fd, address, length);
}
