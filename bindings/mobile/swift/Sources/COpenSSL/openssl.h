// OpenSSL for Swift: its headers, and functions in place of the macros, which Swift does not see. And epoll(7) and prctl(2), which Glibc lacks in Swift.
#ifndef MAILBEARER_OPENSSL_H
#define MAILBEARER_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

static inline int mailbearer_require_tls_1_2(SSL_CTX *context) {
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

static inline void mailbearer_name_thread(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

// RFC 9525: a common name is no host name, and a wildcard stands for a whole label.
static const unsigned int mailbearer_host_flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

// The server's certificate must be of this host, which is a name or an IP address. A name is also sent, as SNI.
static inline int mailbearer_set_host(SSL *ssl, const char *host) {
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(parameters, mailbearer_host_flags);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1) {
        return 1;
    }
    // Not an address: that is no error.
    ERR_clear_error();
    return X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

// Whether a handshake that went well has verified a certificate of this host: also where the system's configuration of OpenSSL
// allows ciphers without one.
static inline int mailbearer_is_verified(const SSL *ssl, const char *host) {
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK) {
        return 0;
    }
    int is_fine = X509_check_ip_asc(certificate, host, 0) == 1 ||
                  X509_check_host(certificate, host, 0, mailbearer_host_flags, NULL) == 1;
    ERR_clear_error();
    return is_fine;
}

static inline long mailbearer_pending(BIO *bio) {
    return BIO_pending(bio);
}

static inline void mailbearer_free(void *memory) {
    OPENSSL_free(memory);
}

#endif
