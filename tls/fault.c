/*
 * fault — what the library's error means: one of our statuses, and words
 *
 * Why it is so:   the library queues an error of every layer that a failure has passed; the first
 *                 of its TLS layer is the cause, and its number says what kind it is
 * Invariants:     words are in static storage; the queue is empty afterwards
 * Threads:        any; the queue is the thread's
 */
#include "tls/internal.h"

#include <openssl/err.h>
#include <openssl/nid.h>

struct meaning {
    int reason; /* SSL_R_… */
    enum fmx_status status;
    const char *words;
};

static const struct meaning meanings[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, FMX_TLS_VERSION, "no TLS version that both sides allow"},
    {SSL_R_NO_SUPPORTED_VERSIONS_ENABLED, FMX_TLS_VERSION, "no TLS version is allowed"},
    {SSL_R_INAPPROPRIATE_FALLBACK, FMX_TLS_VERSION,
     "the client has come back with an older version than needed"},
    {SSL_R_TLS13_DOWNGRADE, FMX_TLS_VERSION, "somebody between has lowered the version"},
    {SSL_R_WRONG_SSL_VERSION, FMX_TLS_VERSION, "the version is not the one agreed on"},
    {SSL_R_SECOND_SERVERHELLO_VERSION_MISMATCH, FMX_TLS_VERSION,
     "the version is not the one agreed on"},
    {SSL_R_NO_SHARED_CIPHER, FMX_TLS_SUITE, "no cipher suite that both sides allow"},
    {SSL_R_NO_CIPHERS_AVAILABLE, FMX_TLS_SUITE, "no cipher suite goes with the versions"},
    {SSL_R_NO_CIPHERS_PASSED, FMX_TLS_SUITE, "the client has offered no cipher suite"},
    {SSL_R_WRONG_CIPHER_RETURNED, FMX_TLS_SUITE, "the server chose a suite that was not offered"},
    {SSL_R_UNKNOWN_CIPHER_RETURNED, FMX_TLS_SUITE, "the server chose an unknown suite"},
    {SSL_R_NO_SHARED_GROUP, FMX_TLS_SUITE, "no group for the key exchange that both sides allow"},
    {SSL_R_WRONG_CURVE, FMX_TLS_SUITE, "the group for the key exchange was not offered"},
    {SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS, FMX_TLS_SUITE,
     "no signature algorithm that both sides allow goes with the certificate"},
    {SSL_R_NO_CERTIFICATE_SET, FMX_TLS_SUITE,
     "the server has no certificate, and no PSK was offered"},
    {SSL_R_HANDSHAKE_FAILURE_ON_CLIENT_HELLO, FMX_TLS_SUITE,
     "the server takes none of what was offered"},
    {SSL_R_CERTIFICATE_VERIFY_FAILED, FMX_TLS_CERT, "the certificate was refused"},
    {SSL_R_CANNOT_PARSE_LEAF_CERT, FMX_TLS_CERT, "the certificate does not parse"},
    {SSL_R_CERT_LENGTH_MISMATCH, FMX_TLS_CERT, "the chain does not parse"},
    {SSL_R_UNKNOWN_CERTIFICATE_TYPE, FMX_TLS_CERT, "the certificate's key is of an unknown kind"},
    {SSL_R_WRONG_CERTIFICATE_TYPE, FMX_TLS_CERT,
     "the certificate's key does not go with the suite"},
    {SSL_R_PEER_ERROR_UNSUPPORTED_CERTIFICATE_TYPE, FMX_TLS_CERT,
     "the certificate's key is of an unknown kind"},
    {SSL_R_KEY_USAGE_BIT_INCORRECT, FMX_TLS_CERT, "the certificate's key usage forbids this"},
    {SSL_R_ECC_CERT_NOT_FOR_SIGNING, FMX_TLS_CERT, "the certificate's key usage forbids signing"},
    {SSL_R_BAD_ECC_CERT, FMX_TLS_CERT, "the certificate's curve was not offered"},
    {SSL_R_BAD_SIGNATURE, FMX_TLS_CERT, "the peer has not the key of its certificate"},
    {SSL_R_WRONG_SIGNATURE_TYPE, FMX_TLS_CERT, "the signature is of a kind that was not offered"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, FMX_TLS_NO_CERT,
     "the client has shown no certificate"},
    {SSL_R_NO_CERTIFICATES_RETURNED, FMX_TLS_NO_CERT, "the server has shown no certificate"},
    {SSL_R_PSK_IDENTITY_NOT_FOUND, FMX_TLS_PSK, "there is no PSK"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, FMX_TLS_TOO_LONG, "a message of the handshake is too long"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, FMX_TLS_RECORD, "a record does not decrypt"},
    {SSL_R_TOO_MANY_EMPTY_FRAGMENTS, FMX_TLS_RECORD, "too many empty records in a row"},
    {SSL_R_TOO_MANY_WARNING_ALERTS, FMX_TLS_RECORD, "too many warnings in a row"},
    {SSL_R_TOO_MANY_KEY_UPDATES, FMX_TLS_RECORD, "too many key updates in a row"},
    {SSL_R_ENCRYPTED_LENGTH_TOO_LONG, FMX_TLS_RECORD, "a record is too large"},
    {SSL_R_DATA_LENGTH_TOO_LONG, FMX_TLS_RECORD, "a record, or a PSK identity, is too large"},
    {SSL_R_WRONG_VERSION_NUMBER, FMX_TLS_RECORD, "a record has a wrong version"},
    {SSL_R_UNEXPECTED_RECORD, FMX_TLS_RECORD, "a record is not allowed here"},
    {SSL_R_INVALID_OUTER_RECORD_TYPE, FMX_TLS_RECORD, "a record is of a wrong kind"},
    {SSL_R_APPLICATION_DATA_INSTEAD_OF_HANDSHAKE, FMX_TLS_RECORD,
     "data before the handshake is done"},
    {SSL_R_EXCESS_HANDSHAKE_DATA, FMX_TLS_RECORD, "a message of the handshake too many"},
    {SSL_R_BAD_ALERT, FMX_TLS_RECORD, "an alert does not parse"},
    {SSL_R_UNKNOWN_ALERT_TYPE, FMX_TLS_RECORD, "an alert does not parse"},
    {SSL_R_BAD_CHANGE_CIPHER_SPEC, FMX_TLS_RECORD, "a change of cipher does not parse"},
    {SSL_R_BAD_HANDSHAKE_RECORD, FMX_TLS_RECORD, "a record of the handshake is empty"},
    {SSL_R_NO_RENEGOTIATION, FMX_TLS_RECORD, "the peer wants another handshake"},
    {SSL_R_HTTP_REQUEST, FMX_TLS_RECORD, "the peer speaks HTTP"},
    {SSL_R_HTTPS_PROXY_REQUEST, FMX_TLS_RECORD, "the peer speaks HTTP"},
};

/* The words of every alert there is (RFC 8446, 6; RFC 5246, 7.2), by its number. */
static const struct {
    int alert;
    const char *words;
} alerts[] = {
#define ALERT(number, name)                                                                        \
    {                                                                                              \
        number, "the peer sent alert " #name                                                       \
    }
    ALERT(0, close_notify),
    ALERT(10, unexpected_message),
    ALERT(20, bad_record_mac),
    ALERT(21, decryption_failed),
    ALERT(22, record_overflow),
    ALERT(30, decompression_failure),
    ALERT(40, handshake_failure),
    ALERT(41, no_certificate),
    ALERT(42, bad_certificate),
    ALERT(43, unsupported_certificate),
    ALERT(44, certificate_revoked),
    ALERT(45, certificate_expired),
    ALERT(46, certificate_unknown),
    ALERT(47, illegal_parameter),
    ALERT(48, unknown_ca),
    ALERT(49, access_denied),
    ALERT(50, decode_error),
    ALERT(51, decrypt_error),
    ALERT(60, export_restriction),
    ALERT(70, protocol_version),
    ALERT(71, insufficient_security),
    ALERT(80, internal_error),
    ALERT(86, inappropriate_fallback),
    ALERT(90, user_canceled),
    ALERT(100, no_renegotiation),
    ALERT(109, missing_extension),
    ALERT(110, unsupported_extension),
    ALERT(111, certificate_unobtainable),
    ALERT(112, unrecognized_name),
    ALERT(113, bad_certificate_status_response),
    ALERT(114, bad_certificate_hash_value),
    ALERT(115, unknown_psk_identity),
    ALERT(116, certificate_required),
    ALERT(120, no_application_protocol),
#undef ALERT
};

static const char *alert_words(int alert)
{
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++) {
        if (alerts[i].alert == alert) {
            return alerts[i].words;
        }
    }
    return "the peer sent an alert of an unknown number";
}

static const struct meaning *meaning_of(int reason)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (meanings[i].reason == reason) {
            return &meanings[i];
        }
    }
    return NULL;
}

/* A key that is not ours shows in the first record that is encrypted with it. */
static bool is_wrong_psk(const struct fmx_tls_stream *stream, int reason)
{
    const SSL_CIPHER *suite = SSL_get_pending_cipher(stream->ssl);

    return stream->context->is_server && suite != NULL &&
           SSL_CIPHER_get_auth_nid(suite) == NID_auth_psk &&
           (reason == SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC ||
            reason == SSL_R_DIGEST_CHECK_FAILED || reason == SSL_R_DATA_LENGTH_TOO_LONG);
}

static enum fmx_status fault_of(const struct fmx_tls_stream *stream, uint32_t error, bool is_open,
                                const char **out_words)
{
    int reason = ERR_GET_REASON(error);
    bool is_ssl = ERR_GET_LIB(error) == ERR_LIB_SSL;
    const struct meaning *meaning = is_ssl ? meaning_of(reason) : NULL;

    if (error == 0) {
        *out_words = "no reason is known";
        return is_open ? FMX_TLS_RECORD : FMX_TLS_FAILED;
    }
    if (reason == ERR_R_MALLOC_FAILURE) {
        *out_words = "memory ran out";
        return FMX_LIMIT_MEMORY;
    }
    if (is_ssl && reason >= SSL_AD_REASON_OFFSET) {
        *out_words = alert_words(reason - SSL_AD_REASON_OFFSET);
        return FMX_TLS_ALERT;
    }
    if (!is_open && is_ssl && is_wrong_psk(stream, reason)) {
        *out_words = "the PSK identity is not known, or the key is wrong";
        return FMX_TLS_PSK;
    }
    if (meaning != NULL) {
        *out_words = meaning->words;
        return is_open ? FMX_TLS_RECORD : meaning->status;
    }
    const char *words = ERR_reason_error_string(error);
    *out_words = words == NULL ? "no reason is known" : words;
    return is_open ? FMX_TLS_RECORD : FMX_TLS_FAILED;
}

/* The cause: the first of the library's TLS errors; what lies below it says less. */
static uint32_t cause(void)
{
    uint32_t first = ERR_get_error();
    uint32_t next = first;

    while (next != 0 && ERR_GET_LIB(next) != ERR_LIB_SSL &&
           ERR_GET_REASON(next) != ERR_R_MALLOC_FAILURE) {
        next = ERR_get_error();
    }
    return next == 0 ? first : next;
}

enum fmx_status fmx_tls_fault_of(const struct fmx_tls_stream *stream, int ssl_error, bool is_open,
                                 const char **out_words)
{
    enum fmx_status status = FMX_TLS_ALERT;

    if (ssl_error == SSL_ERROR_ZERO_RETURN) {
        *out_words = alert_words(SSL_AD_CLOSE_NOTIFY);
    } else {
        status = fault_of(stream, cause(), is_open, out_words);
    }
    ERR_clear_error();
    return status;
}
