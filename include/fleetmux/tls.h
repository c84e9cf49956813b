/*
 * tls.h — TLS at both ends: what a listener offers, what a client asks for, what became of it
 *
 * Files are PEM. Whoever opens a gateway or a fleet has them read then; they need not stay. All
 * strings are copied. Fill a struct with its _init function first.
 */
#ifndef FLEETMUX_TLS_H
#define FLEETMUX_TLS_H

#include <fleetmux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As they stand on the wire. */
enum fmx_tls_version {
    FMX_TLS_10 = 0x0301,
    FMX_TLS_11 = 0x0302,
    FMX_TLS_12 = 0x0303,
    FMX_TLS_13 = 0x0304,
};

/* "TLS 1.3", …; "?" for any other number. Static storage; any thread. */
FMX_API const char *fmx_tls_version_name(enum fmx_tls_version version);

/* What was agreed on a connection. Lives until the callback that gives it returns. */
struct fmx_tls_facts {
    enum fmx_tls_version version;
    const char *suite; /* the standard name, "TLS_AES_128_GCM_SHA256"; static storage */
    bool resumed;
    bool has_client_cert;
    uint8_t client_cert_sha256[32]; /* of the client's certificate, DER */
    fmx_slice server_name;          /* SNI, as the client said it; empty: none */
    fmx_slice alpn;                 /* "mqtt" or empty */
    fmx_slice psk_identity;         /* empty: a certificate, or nobody, proved who the client is */
    fmx_slice cert_name;            /* the client certificate's common name, if it is asked for */
    fmx_slice cert_organization;    /* and its organization */
};

/* ── gateway ───────────────────────────────────────────────────────────────────────────────── */

enum fmx_tls_client_auth {
    FMX_TLS_CLIENT_AUTH_NONE = 0,
    FMX_TLS_CLIENT_AUTH_REQUEST, /* verified if there is one */
    FMX_TLS_CLIENT_AUTH_REQUIRE,
};

/* Certificates for one name that a client may ask for (SNI; RFC 6066, 3). */
struct fmx_tls_server_name {
    const char *name; /* "mqtt.example.com", or "*.example.com" for one label in front */
    const char *cert; /* as in fmx_tls_server */
    const char *key;
    const char *cert_rsa;
    const char *key_rsa;
};

/*
 * What a listener offers. With `psk` or `psk_file` no certificate is needed, `max` is at most 1.2,
 * and clients that offer no PSK get the certificate if there is one.
 */
struct fmx_tls_server {
    const char *name; /* of these settings, for "mqtts://ADDRESS:PORT#NAME", 1 … 64 printable
                         characters but blank, # and '; NULL: those of listeners that name none */
    enum fmx_tls_version min; /* FMX_TLS_12 */
    enum fmx_tls_version max; /* FMX_TLS_13 */
    const char *cert;         /* chain, the server's own first; ECDSA P-256 is the fastest */
    const char *key;
    const char *cert_rsa; /* a second chain with an RSA key, for clients that cannot do the first */
    const char *key_rsa;
    const struct fmx_tls_server_name *server_names;
    size_t server_names_count; /* 0 … 1,024 */
    const char *suites; /* for 1.2 and older, in BoringSSL's words, best first; NULL: ECDHE with
                           AES-GCM or ChaCha20, and with CBC if `min` is below 1.2 */
    bool old_suites;    /* adds static RSA and CBC, which the platform's C SDKs need (false) */

    enum fmx_tls_client_auth client_auth; /* FMX_TLS_CLIENT_AUTH_NONE */
    const char *client_ca;                /* whose client certificates are good */
    uint32_t client_chain_max;            /* certificates in a client's chain, 1 … 16 (4) */
    uint32_t client_chain_bytes_max;      /* 1,024 … 102,400 (16,384) */
    bool client_cert_is_login; /* its common name and organization are device name and product key
                                  (open profile: the common name is the user name), no password is
                                  looked at, CONNECT may leave the user name empty, and sessions are
                                  not resumed (false) */

    bool psk;             /* platform: devices by their secrets, with identities as under
                             fmx_tls_psk; CONNECT may name no other device (false) */
    const char *psk_file; /* lines IDENTITY:KEY, the key in hexadecimal; NULL: none */

    bool tickets;                   /* sessions can be resumed (true) */
    const char *ticket_keys;        /* shared between processes, made if needed; NULL: keys of our
                                      own, gone with the process */
    uint32_t ticket_rotate_s;       /* 60 … 604,800 (43,200) */
    uint32_t ticket_lifetime_s;     /* 60 … 604,800 (86,400) */
    const char *key_log;            /* file for secrets of every connection, for debugging only */
    uint32_t record_bytes_max;      /* plaintext of a record that we send, 512 … 16,384 (4,096) */
    uint32_t handshake_timeout_ms;  /* from the first byte, 100 … 600,000 (10,000) */
    uint32_t handshake_bytes_max;   /* from the client, 4,096 … 262,144 (32,768) */
    uint32_t handshake_records_max; /* 8 … 4,096 (64) */
};

FMX_API void fmx_tls_server_init(struct fmx_tls_server *server);

/* What handshakes may take of a process. */
struct fmx_tls_limits {
    uint32_t workers; /* threads that do handshakes, 0 … 64; 0: shards do them, between their
                         turns' other work (0) */
    uint32_t turn_budget_us;        /* of a turn, if the shard makes them, 50 … 100,000 (500) */
    uint32_t handshakes_per_second; /* of a shard, in full ECDSA handshakes; RSA counts more,
                                       resumed less; 1 … 1,000,000 (4,000) */
    uint32_t unfinished_max;        /* handshakes of a shard, from their first whole record on,
                                1 … 1,000,000 (1,000) */
    uint32_t unfinished_per_address_max; /* of them from one address, or from one IPv6 network of 64
                                            bits; 0: no bound (256) */
    uint32_t partial_record_timeout_ms;  /* until a record that has begun is there as a whole,
                                            100 … 600,000 (10,000) */
};

FMX_API void fmx_tls_limits_init(struct fmx_tls_limits *limits);

/* ── fleet ─────────────────────────────────────────────────────────────────────────────────── */

enum fmx_tls_psk {
    FMX_TLS_PSK_NONE = 0,
    FMX_TLS_PSK_SDK,    /* the identity and key that the platform's C SDKs use */
    FMX_TLS_PSK_SECRET, /* PRODUCT KEY/DEVICE NAME, and the device's secret as the key */
    FMX_TLS_PSK_GIVEN,  /* `psk_identity` and `psk_key` */
};

/* What clients of a fleet ask for. */
struct fmx_tls_client {
    const char *ca;           /* whose servers are trusted; NULL: the system's authorities */
    bool insecure;            /* trust any server (false) */
    const char *server_name;  /* SNI, and what the server's certificate is checked for; NULL: the
                                target's host */
    enum fmx_tls_version min; /* FMX_TLS_12 */
    enum fmx_tls_version max; /* FMX_TLS_13 */
    const char *suites;       /* as in fmx_tls_server; NULL: all that BoringSSL offers */
    bool alpn;                /* offer "mqtt" (true) */
    const char *cert; /* may hold %i, %n, %c, %u, %p, %d as fleet.h says: one for each client */
    const char *key;
    enum fmx_tls_psk psk;     /* FMX_TLS_PSK_NONE; else `max` is at most 1.2 */
    const char *psk_identity; /* the same variables */
    const char *psk_key;      /* hexadecimal */
    double resume; /* share of reconnects that offer the session of before, 0 … 1 (1) */
    const char *key_log;
    uint32_t record_bytes_max; /* as in fmx_tls_server (4,096) */
};

FMX_API void fmx_tls_client_init(struct fmx_tls_client *client);

#ifdef __cplusplus
}
#endif

#endif
