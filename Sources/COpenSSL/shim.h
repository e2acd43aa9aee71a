#ifndef DORMOUSE_COPENSSL_SHIM_H
#define DORMOUSE_COPENSSL_SHIM_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// What Swift cannot call because OpenSSL has it as macros.

/// Only from this version on, only suites that keep their promises when a key is stolen later
/// (TLS 1.2: ECDHE with an AEAD; TLS 1.3 has no others), no compression, no renegotiation, no
/// resumption: every connection shows its certificate anew, and there is no early data. 1 on success.
static inline int dormouse_tls_harden(SSL_CTX *context, int version_min, long certificate_bytes_max) {
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET
                                     | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    // The bytes of a write may lie elsewhere at the next try; idle connections give buffers back.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                  | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_cert_list(context, certificate_bytes_max);
    return SSL_CTX_set_num_tickets(context, 0) == 1
        && SSL_CTX_set_max_early_data(context, 0) == 1
        && SSL_CTX_set_min_proto_version(context, version_min) == 1
        && SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

/// Which kind of name `dormouse_certificate_names` tells of.
enum dormouse_name_kind { DORMOUSE_NAME_URI, DORMOUSE_NAME_DNS };

/// Calls `tell` for each URI and DNS name among a certificate's alternative names.
static inline void dormouse_certificate_names(
    const X509 *certificate, void *context,
    void (*tell)(void *context, enum dormouse_name_kind kind, const unsigned char *bytes, int count)) {
    GENERAL_NAMES *names = (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI && name->type != GEN_DNS) continue;
        const ASN1_IA5STRING *text = name->d.ia5;
        tell(context, name->type == GEN_URI ? DORMOUSE_NAME_URI : DORMOUSE_NAME_DNS,
             ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
    }
    GENERAL_NAMES_free(names);
}

#endif
