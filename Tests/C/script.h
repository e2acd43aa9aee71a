/* A server that does not follow the protocol: what a test writes into the other end of a connection. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "client.h"

#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener = -1;
static int port;

static inline void listen_somewhere(void)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof(address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 8) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    port = ntohs(address.sin_port);
}

/* The server's end, and what the script has to send. */
struct script {
    dormouse *client;
    int fd;
    struct dm_buffer bytes;
};

static inline void add_frame(struct script *script, uint8_t type, uint16_t code, uint32_t stream,
                      const void *bytes, size_t size)
{
    uint8_t header[DM_FRAME_HEADER_BYTES];
    struct dm_frame frame = {(uint32_t)size, type, 0, code, stream};
    dm_frame_write(header, &frame);
    CHECK(dm_buffer_append(&script->bytes, header, sizeof(header)));
    CHECK(dm_buffer_append(&script->bytes, bytes, size));
}

/* Until nothing has come for a while. */
static inline void settle(dormouse *client)
{
    do {
        dormouse_process(client);
        struct pollfd one = {dormouse_fd(client), POLLIN, 0};
        if (one.fd < 0 || poll(&one, 1, 20) <= 0)
            break;
    } while (dormouse_get_state(client) != DORMOUSE_FAILED);
    dormouse_process(client);
}

static inline void send_bytes(struct script *script)
{
    size_t size = dm_buffer_size(&script->bytes);
    for (size_t sent = 0; sent < size;) {
        size_t end = sent;
        /* The library takes bytes while we write, or a large script would block. */
        ssize_t count = send(script->fd, script->bytes.bytes + sent, size - sent,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count > 0)
            end += (size_t)count;
        else
            dormouse_process(script->client);
        if (script->client->stage == DM_STAGE_NONE)
            break;
        sent = end;
    }
    dm_buffer_clear(&script->bytes);
    settle(script->client);
}

static inline void add_welcome(struct script *script)
{
    Dormouse__V1__Welcome welcome = DORMOUSE__V1__WELCOME__INIT;
    struct dm_buffer payload = {0};
    welcome.server = dm_binary("hostile/1");
    welcome.incarnation = dm_binary("0123456789abcdef");
    welcome.frame_bytes_max = 1 << 20;
    welcome.heartbeat_ms = 20000;
    CHECK(dm_message_append(&payload, &welcome.base));
    add_frame(script, DM_RESPONSE, 0, 1, payload.bytes, dm_buffer_size(&payload));
    dm_buffer_free(&payload);
}

static inline struct script begin(const char *options)
{
    struct script script = {dormouse_new(), -1, {0}};
    char uri[200];
    snprintf(uri, sizeof(uri), "dormouse://127.0.0.1:%d?reconnect=no%s", port, options);
    CHECK_STATUS(script.client, dormouse_set_uri(script.client, uri), DORMOUSE_OK);
    CHECK_STATUS(script.client, dormouse_connect(script.client, 0), DORMOUSE_TIMEOUT);
    script.fd = accept(listener, NULL, NULL);
    int on = 1;
    CHECK(script.fd >= 0);
    CHECK(setsockopt(script.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    /* Until the preface and the hello are out. */
    while (script.client->stage != DM_STAGE_TALKING)
        dormouse_process(script.client);
    return script;
}

static inline struct script begin_open(const char *options)
{
    struct script script = begin(options);
    add_welcome(&script);
    send_bytes(&script);
    CHECK(dormouse_get_state(script.client) == DORMOUSE_OPEN);
    return script;
}

static inline void finish(struct script *script, dormouse_status expected)
{
    send_bytes(script);
    CHECK(dormouse_get_state(script->client) == DORMOUSE_FAILED);
    CHECK_STATUS(script->client, dormouse_process(script->client), expected);
    CHECK(dormouse_error(script->client)[0] != 0 && dormouse_fd(script->client) == -1);
    dormouse_free(script->client);
    close(script->fd);
    dm_buffer_free(&script->bytes);
}

static inline void add_delivery(struct script *script, uint32_t stream, uint64_t after, uint64_t upto,
                         size_t count, uint64_t first)
{
    struct dm_buffer payload = {0};
    Dormouse__V1__Delivery delivery = DORMOUSE__V1__DELIVERY__INIT;
    Dormouse__V1__Event event = DORMOUSE__V1__EVENT__INIT;
    Dormouse__V1__Event events[256];
    Dormouse__V1__Event *pointers[256];
    delivery.after = after;
    delivery.upto = upto;
    delivery.head = upto;
    delivery.n_events = count;
    delivery.events = pointers;
    for (size_t i = 0; i < count; i++) {
        events[i] = event;
        events[i].position = first + i;
        events[i].key = dm_binary("a.b");
        pointers[i] = &events[i];
    }
    CHECK(dm_message_append(&payload, &delivery.base));
    add_frame(script, DM_DATA, 0, stream, payload.bytes, dm_buffer_size(&payload));
    dm_buffer_free(&payload);
}

#endif
