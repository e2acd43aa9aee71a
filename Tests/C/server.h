/* The real server, for the tests: started in a folder of its own, killed and started again at will. */
#ifndef SERVER_H
#define SERVER_H

#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t server_pid;
static int server_port;
static char server_folder[512];

/* A port that is free now. */
static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {0};
    socklen_t size = sizeof(address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* A test that fails must not leave a server behind. */
static void server_kill_at_exit(void)
{
    if (server_pid > 0)
        kill(server_pid, SIGTERM);
}

/* Starts it and waits until it says that it listens. */
static inline void server_start(void)
{
    const char *programs = getenv("DORMOUSE_BIN_DIR");
    char program[600];
    char data[600];
    char listen_at[64];
    int out[2];
    CHECK(programs != NULL && getenv("DORMOUSE_TEST_DIR") != NULL);
    if (server_port == 0) {
        server_port = free_port();
        snprintf(server_folder, sizeof(server_folder), "%s", getenv("DORMOUSE_TEST_DIR"));
        atexit(server_kill_at_exit);
    }
    snprintf(program, sizeof(program), "%s/dormoused", programs);
    snprintf(data, sizeof(data), "%s/data", server_folder);
    snprintf(listen_at, sizeof(listen_at), "127.0.0.1:%d", server_port);
    CHECK(pipe(out) == 0);
    server_pid = fork();
    CHECK(server_pid >= 0);
    if (server_pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        int log = open("/dev/null", O_WRONLY);
        dup2(log, 2);
        execl(program, program, "--data", data, "--listen", listen_at, "--drain-ms", "3000", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    char text[4096];
    size_t used = 0;
    while (strstr((text[used] = 0, text), "listening on") == NULL) {
        ssize_t count = read(out[0], text + used, sizeof(text) - 1 - used);
        CHECK(count > 0);
        used += (size_t)count;
    }
    /* The pipe stays open: what it prints later must not break it. */
}

static inline void server_end(int signal_number)
{
    CHECK(kill(server_pid, signal_number) == 0);
    CHECK(waitpid(server_pid, NULL, 0) == server_pid);
    server_pid = 0;
}

#endif
