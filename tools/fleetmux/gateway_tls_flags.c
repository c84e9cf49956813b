/*
 * gateway_tls_flags — the rows of the settings of TLS
 *
 * Why it is so:   the same settings stand in three places: as options, as keys of the file, and
 *                 behind a listener's address. One table serves all three: options and keys have
 *                 "tls-" in front, a listener's keys have not.
 * Threads:        pure
 * Not here:       what handshakes may take of the process, which no listener can change:
 *                 gateway_flags.c; listeners: gateway_listen.c
 */
#include "tools/fleetmux/gateway_listen.h"

#include "tools/fleetmux/choices.h"
#include "tools/fleetmux/number.h"

#include <string.h>

static const struct flag_choice client_auths[] = {{"none", FMX_TLS_CLIENT_AUTH_NONE},
                                                  {"request", FMX_TLS_CLIENT_AUTH_REQUEST},
                                                  {"require", FMX_TLS_CLIENT_AUTH_REQUIRE},
                                                  {NULL, 0}};

#define AT(member) FLAG_AT(struct gateway_tls, member)
#define MS         .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_MS, .stored_ns = NUMBER_NS_PER_MS
#define S          .kind = FLAG_TIME, .plain_ns = NUMBER_NS_PER_S, .stored_ns = NUMBER_NS_PER_S

const struct flag gateway_tls_rows[GATEWAY_TLS_ROWS_COUNT] = {
    {.name = "tls-cert",
     .kind = FLAG_TEXT,
     AT(server.cert),
     .argument = "FILE",
     .group = "TLS",
     .help =
         "certificate chain of the server, PEM, its own first; ECDSA P-256 is the fastest; with "
         "it listeners take TLS too"},
    {.name = "tls-key",
     .kind = FLAG_TEXT,
     AT(server.key),
     .argument = "FILE",
     .group = "TLS",
     .help = "its key, PEM"},
    {.name = "tls-cert-rsa",
     .kind = FLAG_TEXT,
     AT(server.cert_rsa),
     .argument = "FILE",
     .group = "TLS",
     .help = "a second chain, with an RSA key, for clients that cannot do the first"},
    {.name = "tls-key-rsa",
     .kind = FLAG_TEXT,
     AT(server.key_rsa),
     .argument = "FILE",
     .group = "TLS",
     .help = "its key, PEM"},
    {.name = "tls-server-name",
     .kind = FLAG_LIST,
     AT(server_names),
     .max = FLAG_ITEMS_MAX,
     .argument = "NAME=CERT,KEY[,CERT,KEY]",
     .group = "TLS",
     .help = "other certificates for clients that ask for NAME (SNI), \"*.example.com\" for one "
             "label in front; the second pair is RSA; repeat it for more names"},
    {.name = "tls-min",
     .kind = FLAG_CHOICE,
     .choices = choices_tls_versions,
     AT(server.min),
     .argument = "VERSION",
     .group = "TLS",
     .help = "oldest version taken: 1.0, 1.1, 1.2 or 1.3; 1.0 and 1.1 are broken, for old devices "
             "only"},
    {.name = "tls-max",
     .kind = FLAG_CHOICE,
     .choices = choices_tls_versions,
     AT(server.max),
     .argument = "VERSION",
     .group = "TLS",
     .help = "newest version; with --tls-psk or --tls-psk-file at most 1.2"},
    {.name = "tls-suites",
     .kind = FLAG_TEXT,
     AT(server.suites),
     .argument = "LIST",
     .group = "TLS",
     .help =
         "suites of 1.2 and older in BoringSSL's words, best first; default: ECDHE with AES-GCM "
         "or ChaCha20, and with CBC if --tls-min is below 1.2"},
    {.name = "tls-old-suites",
     .kind = FLAG_SWITCH,
     AT(server.old_suites),
     .group = "TLS",
     .help = "take static RSA and CBC too, which the platform's C SDKs need"},

    {.name = "tls-client-auth",
     .kind = FLAG_CHOICE,
     .choices = client_auths,
     AT(server.client_auth),
     .argument = "none|request|require",
     .group = "TLS",
     .help = "ask clients for a certificate; request: verified if there is one"},
    {.name = "tls-client-ca",
     .kind = FLAG_TEXT,
     AT(server.client_ca),
     .argument = "FILE",
     .group = "TLS",
     .help = "authorities whose client certificates are good, PEM"},
    {.name = "tls-client-chain-max",
     .kind = FLAG_UINT,
     AT(server.client_chain_max),
     .min = 1,
     .max = 16,
     .argument = "COUNT",
     .group = "TLS",
     .help = "certificates in a client's chain"},
    {.name = "tls-client-chain-bytes-max",
     .kind = FLAG_UINT,
     AT(server.client_chain_bytes_max),
     .min = 1024,
     .max = 102400,
     .argument = "BYTES",
     .group = "TLS",
     .help = "and its size"},
    {.name = "tls-client-cert-is-login",
     .kind = FLAG_SWITCH,
     AT(server.client_cert_is_login),
     .group = "TLS",
     .help = "a client certificate's common name and organization are device name and product key; "
             "no password is looked at"},

    {.name = "tls-psk",
     .kind = FLAG_SWITCH,
     AT(server.psk),
     .group = "TLS",
     .help = "devices of the registry come by their secrets, without certificates"},
    {.name = "tls-psk-file",
     .kind = FLAG_TEXT,
     AT(server.psk_file),
     .argument = "FILE",
     .group = "TLS",
     .help = "pre-shared keys, lines of IDENTITY:KEY with the key in hexadecimal"},

    {.name = "tls-tickets",
     .kind = FLAG_BOOL,
     AT(server.tickets),
     .argument = "true|false",
     .group = "TLS",
     .help = "clients may resume their sessions, which is faster"},
    {.name = "tls-ticket-keys",
     .kind = FLAG_TEXT,
     AT(server.ticket_keys),
     .argument = "FILE",
     .group = "TLS",
     .help = "keys of tickets, made if needed; gateways that share it take each other's; default: "
             "keys that end with the process"},
    {.name = "tls-ticket-rotate-s",
     S,
     AT(server.ticket_rotate_s),
     .min = 60,
     .max = 604800,
     .argument = "SECONDS",
     .group = "TLS",
     .help = "a new key of tickets that often"},
    {.name = "tls-ticket-lifetime-s",
     S,
     AT(server.ticket_lifetime_s),
     .min = 60,
     .max = 604800,
     .argument = "SECONDS",
     .group = "TLS",
     .help = "a session can be resumed for so long"},

    {.name = "tls-record-bytes-max",
     .kind = FLAG_UINT,
     AT(server.record_bytes_max),
     .min = 512,
     .max = 16384,
     .argument = "BYTES",
     .group = "TLS",
     .help = "plaintext of a record that is sent"},
    {.name = "tls-handshake-timeout-ms",
     MS,
     AT(server.handshake_timeout_ms),
     .min = 100,
     .max = 600000,
     .argument = "MS",
     .group = "TLS",
     .help = "a handshake that is not done by then is given up"},
    {.name = "tls-handshake-bytes-max",
     .kind = FLAG_UINT,
     AT(server.handshake_bytes_max),
     .min = 4096,
     .max = 262144,
     .argument = "BYTES",
     .group = "TLS",
     .help = "of a client in one handshake"},
    {.name = "tls-handshake-records-max",
     .kind = FLAG_UINT,
     AT(server.handshake_records_max),
     .min = 8,
     .max = 4096,
     .argument = "COUNT",
     .group = "TLS",
     .help = "of a client in one handshake"},
    {.name = "tls-key-log",
     .kind = FLAG_TEXT,
     AT(server.key_log),
     .argument = "FILE",
     .group = "TLS",
     .help = "write the secrets of every connection there, for debugging: whoever reads it reads "
             "all that is said"},
};

void gateway_tls_init(struct gateway_tls *tls)
{
    memset(tls, 0, sizeof(*tls));
    fmx_tls_server_init(&tls->server);
}
