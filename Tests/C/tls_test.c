/* TLS: the real server behind a proxy that ends TLS, with certificates made by run.sh. */
#include "dormouse.h"
#include "server.h"

#include <openssl/ssl.h>

static char folder[400];
static int proxy_port;
static pid_t proxy_pid;

static const char *file(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void copy_both_ways(SSL *ssl, int client, int server)
{
    static char bytes[65536];
    for (;;) {
        struct pollfd both[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (SSL_pending(ssl) == 0 && poll(both, 2, -1) < 0)
            return;
        if (SSL_pending(ssl) > 0 || (both[0].revents & (POLLIN | POLLHUP))) {
            int count = SSL_read(ssl, bytes, sizeof(bytes));
            if (count <= 0 || send(server, bytes, (size_t)count, MSG_NOSIGNAL) != count)
                return;
        }
        if (both[1].revents & (POLLIN | POLLHUP)) {
            ssize_t count = recv(server, bytes, sizeof(bytes), 0);
            if (count <= 0 || SSL_write(ssl, bytes, (int)count) != count)
                return;
        }
    }
}

static int local_socket(int port, int is_server)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    struct sockaddr_in address = {0};
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (is_server)
        CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 8) == 0);
    else
        CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* Each connection in a process of its own, so that the copying may block. */
static void run_proxy(int listener)
{
    signal(SIGCHLD, SIG_IGN);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    CHECK(SSL_CTX_use_certificate_chain_file(context, file("server.pem")) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(context, file("server.key"), SSL_FILETYPE_PEM) == 1);
    CHECK(SSL_CTX_load_verify_locations(context, file("ca.pem"), NULL) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        CHECK(client >= 0);
        if (fork() == 0) {
            SSL *ssl = SSL_new(context);
            SSL_set_fd(ssl, client);
            if (SSL_accept(ssl) == 1)
                copy_both_ways(ssl, client, local_socket(server_port, 0));
            _exit(0);
        }
        close(client);
    }
}

static void end_proxy(void)
{
    if (proxy_pid > 0)
        kill(proxy_pid, SIGKILL);
}

static dormouse *client_of(const char *host, const char *options)
{
    char uri[256];
    snprintf(uri, sizeof(uri), "dormouses://%s:%d/main?reconnect=no%s", host, proxy_port, options);
    dormouse *client = dormouse_new();
    CHECK_STATUS(client, dormouse_set_uri(client, uri), DORMOUSE_OK);
    return client;
}

static void a_server_is_verified_by_its_name(void)
{
    dormouse *client = client_of("localhost", "");
    CHECK_STATUS(client, dormouse_set(client, "ca_file", file("ca.pem")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_OK);
    dormouse_free(client);

    client = client_of("127.0.0.1", "");
    CHECK_STATUS(client, dormouse_set(client, "ca_file", file("ca.pem")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_CANNOT_CONNECT);
    CHECK(strstr(dormouse_error(client), "address mismatch") != NULL);
    dormouse_free(client);

    client = client_of("127.0.0.1", "&tls_name=localhost");
    CHECK_STATUS(client, dormouse_set(client, "ca_file", file("ca.pem")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_OK);
    dormouse_free(client);
}

static void an_unknown_authority_is_refused(void)
{
    dormouse *client = client_of("localhost", "");
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_CANNOT_CONNECT);
    CHECK(strstr(dormouse_error(client), "certificate") != NULL);
    dormouse_free(client);
    client = client_of("localhost", "&tls=require");
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_OK);
    dormouse_free(client);
    client = client_of("localhost", "&ca_file=/nowhere");
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_CANNOT_CONNECT);
    CHECK(strstr(dormouse_error(client), "ca_file") != NULL);
    dormouse_free(client);
}

static void a_server_without_tls_is_told(void)
{
    char uri[128];
    snprintf(uri, sizeof(uri), "dormouses://127.0.0.1:%d?reconnect=no", server_port);
    dormouse *client = dormouse_new();
    CHECK_STATUS(client, dormouse_set_uri(client, uri), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_CANNOT_CONNECT);
    CHECK(strstr(dormouse_error(client), "TLS") != NULL);
    dormouse_free(client);
}

/* What stands in the standard input, or is typed at the terminal, is the program's. */
static void a_key_with_a_passphrase_is_refused_and_nobody_is_asked(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "secret\n", 7) == 7 && dup2(ends[0], 0) == 0);
    close(ends[1]);
    dormouse *client = client_of("localhost", "");
    CHECK_STATUS(client, dormouse_set(client, "ca_file", file("ca.pem")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_set(client, "cert_file", file("client.pem")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_set(client, "key_file", file("locked.key")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_CANNOT_CONNECT);
    CHECK(strstr(dormouse_error(client), "passphrase") != NULL);
    dormouse_free(client);
    char byte;
    CHECK(read(0, &byte, 1) == 1 && byte == 's');
}

static void many_events_pass_with_a_certificate_of_ours(void)
{
    enum { EVENTS = 100000 };
    static char payload[100];
    dormouse *client = client_of("localhost", "&producer=tls");
    CHECK_STATUS(client, dormouse_set(client, "ca_file", file("ca.pem")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_set(client, "cert_file", file("client.pem")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_set(client, "key_file", file("client.key")), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_connect(client, 5000), DORMOUSE_OK);
    dormouse_subscribe_options options = {0};
    dormouse_subscription *subscription;
    options.struct_size = sizeof(options);
    CHECK_STATUS(client, dormouse_subscribe(client, &options, 5000, &subscription), DORMOUSE_OK);
    dormouse_event event = {0};
    event.key = dormouse_text("tls.x");
    event.payload.data = payload;
    event.payload.size = sizeof(payload);
    for (int i = 0; i < EVENTS; i++)
        CHECK_STATUS(client, dormouse_publish_async(client, &event, 1, 5000, NULL, NULL), DORMOUSE_OK);
    CHECK_STATUS(client, dormouse_flush(client, 10000), DORMOUSE_OK);
    for (int i = 0; i < EVENTS; i++) {
        const dormouse_event *got;
        CHECK_STATUS(client, dormouse_next(subscription, &got, 5000), DORMOUSE_OK);
        CHECK(got->payload.size == sizeof(payload));
    }
    CHECK_STATUS(client, dormouse_close(client, 5000), DORMOUSE_OK);
    dormouse_free(client);
}

int main(void)
{
    CHECK(getenv("DORMOUSE_TEST_DIR") != NULL);
    snprintf(folder, sizeof(folder), "%s", getenv("DORMOUSE_TEST_DIR"));
    server_start();
    proxy_port = free_port();
    int listener = local_socket(proxy_port, 1);
    proxy_pid = fork();
    CHECK(proxy_pid >= 0);
    if (proxy_pid == 0) {
        server_pid = 0;
        run_proxy(listener);
    }
    close(listener);
    atexit(end_proxy);
    TEST(a_server_is_verified_by_its_name);
    TEST(an_unknown_authority_is_refused);
    TEST(a_server_without_tls_is_told);
    TEST(a_key_with_a_passphrase_is_refused_and_nobody_is_asked);
    TEST(many_events_pass_with_a_certificate_of_ours);
    server_end(SIGTERM);
    return 0;
}
