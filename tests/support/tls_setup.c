/*
 * tls_setup — contexts for tests of streams
 *
 * Threads:        one, but for the registry
 */
#include "tests/support/tls_setup.h"

#include "tests/support/tls_pki.h"

#include <fleetmux/private/assert.h>

static char error[512];

unsigned tls_registry_asked_by;

static size_t registry_key(void *user, unsigned thread, fmx_slice identity,
                           uint8_t out_key[FMX_TLS_PSK_BYTES_MAX])
{
    (void)user;
    tls_registry_asked_by = thread;
    if (!fmx_slice_equal(identity, fmx_slice_of(TLS_SDK_IDENTITY))) {
        return 0;
    }
    memcpy(out_key, TLS_SDK_KEY, strlen(TLS_SDK_KEY));
    return strlen(TLS_SDK_KEY);
}

const struct fmx_tls_psk_source tls_registry = {registry_key, NULL};

struct fmx_tls_server tls_ecdsa_options(void)
{
    struct fmx_tls_server options;

    fmx_tls_server_init(&options);
    options.cert = tls_pki_path("server.crt");
    options.key = tls_pki_path("server.key");
    return options;
}

struct fmx_tls_server tls_rsa_options(void)
{
    struct fmx_tls_server options;

    fmx_tls_server_init(&options);
    options.cert = tls_pki_path("server_rsa.crt");
    options.key = tls_pki_path("server_rsa.key");
    return options;
}

struct fmx_tls_server tls_both_options(void)
{
    struct fmx_tls_server options = tls_ecdsa_options();

    options.cert_rsa = tls_pki_path("server_rsa.crt");
    options.key_rsa = tls_pki_path("server_rsa.key");
    return options;
}

struct fmx_tls_server tls_psk_options(void)
{
    struct fmx_tls_server options;

    fmx_tls_server_init(&options);
    options.psk = true;
    return options;
}

struct fmx_tls_client tls_client_options(void)
{
    struct fmx_tls_client options;

    fmx_tls_client_init(&options);
    options.ca = tls_pki_path("ca.crt");
    return options;
}

static void expect_ok(enum fmx_status status)
{
    if (status != FMX_OK) {
        fprintf(stderr, "%s\n", error);
    }
    FMX_ASSERT(status == FMX_OK);
}

struct fmx_tls_context *tls_server_of(const struct fmx_tls_server *options,
                                      struct fmx_tls_tickets *tickets)
{
    struct fmx_tls_context *context = NULL;

    expect_ok(fmx_tls_server_open(options, tickets, fmx_slice_of("scope"), &tls_registry, &context,
                                  error, sizeof error));
    return context;
}

struct fmx_tls_context *tls_client_of(const struct fmx_tls_client *options)
{
    struct fmx_tls_context *context = NULL;

    expect_ok(fmx_tls_client_open(options, &context, error, sizeof error));
    return context;
}

struct fmx_tls_tickets *tls_tickets_new(void)
{
    struct fmx_tls_tickets *tickets = NULL;

    expect_ok(fmx_tls_tickets_open(NULL, 3600, &tickets, error, sizeof error));
    return tickets;
}

struct fmx_tls_cert *tls_cert_of(const char *stem)
{
    char cert[64];
    char key[64];
    struct fmx_tls_cert *opened = NULL;

    (void)snprintf(cert, sizeof cert, "%s.crt", stem);
    (void)snprintf(key, sizeof key, "%s.key", stem);
    expect_ok(
        fmx_tls_cert_read(tls_pki_path(cert), tls_pki_path(key), &opened, error, sizeof error));
    return opened;
}
