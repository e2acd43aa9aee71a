/* A TCP proxy in front of the real server, in a process of its own, whose connections break as they do in networks. */
#ifndef PROXY_H
#define PROXY_H

#include "server.h"

enum proxy_trouble {
    PROXY_CUT = 'c',   /* both ends are reset */
    PROXY_STALL = 's', /* nothing passes any more, and nobody is told: half-open */
    PROXY_SPLIT = 'p'  /* from now on at most 7 bytes at a time */
};

#define PROXY_LINKS_MAX 32

struct proxy_link {
    int client;
    int server;
    int is_stalled;
};

static pid_t proxy_pid;
static int proxy_port;
static int proxy_control;
static struct proxy_link proxy_links[PROXY_LINKS_MAX];
static size_t proxy_piece = 65536;

static void proxy_close(struct proxy_link *link, int is_reset)
{
    struct linger linger = {is_reset, 0};
    setsockopt(link->client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    setsockopt(link->server, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(link->client);
    close(link->server);
    link->client = -1;
}

static void proxy_forward(struct proxy_link *link, int from, int to)
{
    char bytes[65536];
    ssize_t count = read(from, bytes, proxy_piece);
    for (ssize_t sent = 0; count > 0 && sent < count;) {
        ssize_t done = send(to, bytes + sent, (size_t)(count - sent), MSG_NOSIGNAL);
        if (done <= 0)
            count = -1;
        else
            sent += done;
    }
    if (count <= 0)
        proxy_close(link, 0);
}

static void proxy_obey(char command)
{
    if (command == PROXY_SPLIT)
        proxy_piece = 7;
    for (int i = 0; i < PROXY_LINKS_MAX; i++) {
        if (proxy_links[i].client < 0)
            continue;
        if (command == PROXY_CUT && !proxy_links[i].is_stalled)
            proxy_close(&proxy_links[i], 1);
        else if (command == PROXY_STALL)
            proxy_links[i].is_stalled = 1;
    }
}

static int proxy_connect(void)
{
    struct sockaddr_in address = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)server_port);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void proxy_accept(int listener)
{
    int client = accept(listener, NULL, NULL);
    int server = proxy_connect();
    int one = 1;
    for (int i = 0; server >= 0 && i < PROXY_LINKS_MAX; i++)
        if (proxy_links[i].client < 0) {
            setsockopt(client, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
            proxy_links[i] = (struct proxy_link){client, server, 0};
            return;
        }
    close(client);
    if (server >= 0)
        close(server);
}

static void proxy_run(int listener, int control)
{
    for (int i = 0; i < PROXY_LINKS_MAX; i++)
        proxy_links[i].client = -1;
    for (;;) {
        struct pollfd fds[2 + 2 * PROXY_LINKS_MAX] = {{listener, POLLIN, 0}, {control, POLLIN, 0}};
        for (int i = 0; i < PROXY_LINKS_MAX; i++) {
            int is_open = proxy_links[i].client >= 0 && !proxy_links[i].is_stalled;
            fds[2 + 2 * i] = (struct pollfd){is_open ? proxy_links[i].client : -1, POLLIN, 0};
            fds[3 + 2 * i] = (struct pollfd){is_open ? proxy_links[i].server : -1, POLLIN, 0};
        }
        poll(fds, 2 + 2 * PROXY_LINKS_MAX, -1);
        for (int i = 0; i < PROXY_LINKS_MAX; i++) {
            struct proxy_link *link = &proxy_links[i];
            if (fds[2 + 2 * i].revents != 0)
                proxy_forward(link, link->client, link->server);
            if (fds[3 + 2 * i].revents != 0 && link->client >= 0)
                proxy_forward(link, link->server, link->client);
        }
        if (fds[1].revents != 0) {
            char command;
            if (read(control, &command, 1) != 1)
                _exit(0);
            proxy_obey(command);
        }
        if (fds[0].revents != 0)
            proxy_accept(listener);
    }
}

static inline void proxy_start(void)
{
    int control[2];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {0};
    socklen_t size = sizeof(address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 16) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0 && pipe(control) == 0);
    proxy_port = ntohs(address.sin_port);
    proxy_pid = fork();
    CHECK(proxy_pid >= 0);
    if (proxy_pid == 0) {
        close(control[1]);
        proxy_run(listener, control[0]);
    }
    close(listener);
    close(control[0]);
    proxy_control = control[1];
}

static inline void proxy_make(enum proxy_trouble trouble)
{
    char command = (char)trouble;
    CHECK(write(proxy_control, &command, 1) == 1);
}

/* It ends when its control does. */
static inline void proxy_stop(void)
{
    close(proxy_control);
    CHECK(waitpid(proxy_pid, NULL, 0) == proxy_pid);
}

#endif
