/*
 * TLS 1.3 by OpenSSL. OpenSSL's own socket BIO writes with write(), which raises SIGPIPE; ours does not.
 */
#include "transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct dm_tls_state {
    BIO_METHOD *method;
    SSL_CTX *context;
    SSL *ssl;
};

/* ---- the socket as a BIO ---- */

static int bio_result(BIO *bio, enum dm_io outcome, size_t done, int retry)
{
    BIO_clear_retry_flags(bio);
    switch (outcome) {
    case DM_IO_DONE: return (int)done;
    case DM_IO_ENDED: return 0;
    case DM_IO_AGAIN: BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY); return -1;
    case DM_IO_FAILED: return -1;
    }
    return -1;
}

static int bio_read(BIO *bio, char *bytes, int size)
{
    size_t done = 0;
    const int *fd = BIO_get_data(bio);
    enum dm_io outcome = dm_socket_read(*fd, bytes, (size_t)size, &done);
    return bio_result(bio, outcome, done, BIO_FLAGS_READ);
}

static int bio_write(BIO *bio, const char *bytes, int size)
{
    size_t done = 0;
    const int *fd = BIO_get_data(bio);
    enum dm_io outcome = dm_socket_write(*fd, bytes, (size_t)size, &done);
    return bio_result(bio, outcome, done, BIO_FLAGS_WRITE);
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    /* OpenSSL insists on being able to flush; there is nothing to flush. */
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* ---- setting up ---- */

void dm_tls_free(struct dm_tls_state *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    free(tls);
}

/* What OpenSSL has to say, which it keeps per thread; leaves nothing behind. */
static dormouse_status fail(struct dm_failure *failure, const char *what, const char *detail)
{
    char text[256] = "";
    unsigned long code = ERR_peek_last_error();
    if (code != 0)
        ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return dm_fail(failure, DORMOUSE_CANNOT_CONNECT, "TLS: %s%s%s%s%s", what,
                   detail[0] == 0 ? "" : ": ", detail, text[0] == 0 ? "" : ": ", text);
}

static dormouse_status set_verification(struct dm_tls_state *tls, const struct dm_options *options,
                                        const char *name, struct dm_failure *failure)
{
    if (options->tls != DM_TLS_VERIFY) {
        SSL_set_verify(tls->ssl, SSL_VERIFY_NONE, NULL);
        return DORMOUSE_OK;
    }
    SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, NULL);
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls->ssl);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* A number is an address, which is looked for in another part of the certificate. */
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1)
        return DORMOUSE_OK;
    ERR_clear_error();
    if (SSL_set1_host(tls->ssl, name) != 1)
        return fail(failure, "cannot verify the name", name);
    return DORMOUSE_OK;
}

/* Nobody is asked for one: there may be no terminal, and a program that waits for other things must not wait for it. */
static int no_passphrase(char *buffer, int size, int is_writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)data;
    return -1;
}

static dormouse_status load_files(struct dm_tls_state *tls, const struct dm_options *options,
                                  struct dm_failure *failure)
{
    if (options->ca_file != NULL) {
        if (SSL_CTX_load_verify_locations(tls->context, options->ca_file, NULL) != 1)
            return fail(failure, "cannot read ca_file", options->ca_file);
    } else if (options->tls == DM_TLS_VERIFY
               && SSL_CTX_set_default_verify_paths(tls->context) != 1) {
        return fail(failure, "cannot read the system's certificates", "set ca_file");
    }
    if (options->cert_file == NULL)
        return DORMOUSE_OK;
    const char *key = options->key_file == NULL ? options->cert_file : options->key_file;
    SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(tls->context, options->cert_file) != 1)
        return fail(failure, "cannot read cert_file", options->cert_file);
    if (SSL_CTX_use_PrivateKey_file(tls->context, key, SSL_FILETYPE_PEM) != 1)
        return fail(failure, "cannot read key_file (PEM, without a passphrase)", key);
    return DORMOUSE_OK;
}

static bool attach(struct dm_transport *transport, struct dm_tls_state *tls)
{
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "dormouse");
    if (tls->method == NULL || BIO_meth_set_read(tls->method, bio_read) != 1
        || BIO_meth_set_write(tls->method, bio_write) != 1
        || BIO_meth_set_ctrl(tls->method, bio_control) != 1)
        return false;
    tls->ssl = SSL_new(tls->context);
    BIO *bio = BIO_new(tls->method);
    if (tls->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, &transport->fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_connect_state(tls->ssl);
    return true;
}

dormouse_status dm_transport_secure(struct dm_transport *transport,
                                    const struct dm_options *options, const char *host)
{
    struct dm_failure *failure = &transport->failure;
    const char *name = options->tls_name == NULL ? host : options->tls_name;
    struct dm_tls_state *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return dm_fail_memory(failure);
    transport->tls = tls;
    tls->context = SSL_CTX_new(TLS_client_method());
    /* What we want to speak, so that another kind of server does not answer us. Returns 0 when that is well. */
    static const unsigned char protocol[] = "\x0b" "dormoused/1";
    if (tls->context == NULL
        || SSL_CTX_set_alpn_protos(tls->context, protocol, sizeof(protocol) - 1) != 0)
        return fail(failure, "cannot begin", "");
    SSL_CTX_set_min_proto_version(tls->context, TLS1_3_VERSION);
    /* The output buffer may move between two tries to write the same bytes. */
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE
                                       | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                       | SSL_MODE_RELEASE_BUFFERS);
    dormouse_status status = load_files(tls, options, failure);
    if (status != DORMOUSE_OK)
        return status;
    if (!attach(transport, tls))
        return fail(failure, "cannot begin", "");
    /* Addresses are no server names; where there is none, none is said. */
    if (strspn(name, "0123456789.") != strlen(name) && strchr(name, ':') == NULL
        && SSL_ctrl(tls->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)name) != 1)
        return fail(failure, "cannot name the server", name);
    return set_verification(tls, options, name, failure);
}

/* ---- using it ---- */

static enum dm_io result(struct dm_transport *transport, int outcome, bool is_writing)
{
    struct dm_tls_state *tls = transport->tls;
    switch (SSL_get_error(tls->ssl, outcome)) {
    case SSL_ERROR_WANT_READ:
        if (is_writing)
            transport->write_wants_read = true;
        return DM_IO_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        if (!is_writing)
            transport->read_wants_write = true;
        return DM_IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        dm_fail(&transport->failure, DORMOUSE_CONNECTION_LOST, "the server closed the connection");
        return DM_IO_ENDED;
    default:
        fail(&transport->failure, "the connection broke", "");
        transport->failure.status = DORMOUSE_CONNECTION_LOST;
        return DM_IO_FAILED;
    }
}

enum dm_io dm_tls_handshake(struct dm_transport *transport)
{
    SSL *ssl = transport->tls->ssl;
    transport->read_wants_write = false;
    ERR_clear_error();
    int outcome = SSL_do_handshake(ssl);
    if (outcome == 1)
        return DM_IO_DONE;
    enum dm_io io = result(transport, outcome, false);
    if (io == DM_IO_AGAIN)
        return io;
    long verified = SSL_get_verify_result(ssl);
    struct dm_failure cause = transport->failure;
    if (verified != X509_V_OK)
        dm_fail(&transport->failure, DORMOUSE_CANNOT_CONNECT,
                "the TLS handshake failed: the server's certificate is refused: %s; see ca_file and tls_name",
                X509_verify_cert_error_string(verified));
    else
        dm_fail(&transport->failure, DORMOUSE_CANNOT_CONNECT,
                "the TLS handshake failed; does the server speak TLS 1.3 there? %s", cause.text);
    return DM_IO_FAILED;
}

enum dm_io dm_tls_read(struct dm_transport *transport, void *bytes, size_t size, size_t *done)
{
    transport->read_wants_write = false;
    ERR_clear_error();
    int outcome = SSL_read_ex(transport->tls->ssl, bytes, size, done);
    return outcome == 1 ? DM_IO_DONE : result(transport, outcome, false);
}

enum dm_io dm_tls_write(struct dm_transport *transport, const void *bytes, size_t size,
                        size_t *done)
{
    transport->write_wants_read = false;
    ERR_clear_error();
    int outcome = SSL_write_ex(transport->tls->ssl, bytes, size, done);
    return outcome == 1 ? DM_IO_DONE : result(transport, outcome, true);
}

bool dm_tls_has_more(const struct dm_transport *transport)
{
    return transport->tls != NULL && SSL_pending(transport->tls->ssl) > 0;
}
