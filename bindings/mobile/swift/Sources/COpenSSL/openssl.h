// OpenSSL for Swift: its headers, and functions in place of the macros, which Swift does not see.
#ifndef MAILBEARER_OPENSSL_H
#define MAILBEARER_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static inline int mailbearer_require_tls_1_2(SSL_CTX *context) {
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

// The server's certificate must be of this host, which is a name or an IP address. A name is also sent, as SNI.
static inline int mailbearer_set_host(SSL *ssl, const char *host) {
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1) {
        return 1;
    }
    // Not an address: that is no error.
    ERR_clear_error();
    return X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static inline long mailbearer_pending(BIO *bio) {
    return BIO_pending(bio);
}

static inline void mailbearer_free(void *memory) {
    OPENSSL_free(memory);
}

#endif
