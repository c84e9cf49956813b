/*
 * fuzz_tls — a server's and a client's stream under records that a peer may make up or damage
 *
 * The first byte chooses the way, the second the contexts:
 *     0  the rest is records, for a server's stream in its handshake
 *     1  an honest handshake and some words, in which the rest makes faults: four bytes each, the
 *        number of records until it, what, where, and with which bits
 *     2  an honest handshake; then the rest is records, for the server's stream
 *     3  the same for the client's
 * Way 0 is the same each time but for the server's random numbers; in the others both sides have
 * them, so that an input that breaks something may need several runs.
 */
#include "tls/record.h"
#include "tls/tls.h"

#include "tests/support/fuzz.h"
#include "tests/support/tls_pipe.h"
#include "tests/support/tls_pki.h"
#include "tests/support/tls_setup.h"

#define KINDS 3u

static struct fmx_tls_context *servers[KINDS]; /* certificates, PSK too, certificates of clients */
static struct fmx_tls_context *clients[4];     /* TLS 1.0 … 1.3 */
static struct fmx_tls_context *psk_client;
static struct fmx_tls_cert *cert;

static void set_up(void)
{
    struct fmx_tls_server server = tls_both_options();
    struct fmx_tls_client client = tls_client_options();

    server.min = FMX_TLS_10;
    server.old_suites = true;
    servers[0] = tls_server_of(&server, tls_tickets_new());
    server.psk = true;
    servers[1] = tls_server_of(&server, NULL);
    server.psk = false;
    server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    server.client_ca = tls_pki_path("ca.crt");
    server.client_cert_is_login = true;
    servers[2] = tls_server_of(&server, NULL);
    for (unsigned i = 0; i < 4; i++) {
        client.min = client.max = (enum fmx_tls_version)(FMX_TLS_10 + i);
        clients[i] = tls_client_of(&client);
    }
    client.max = FMX_TLS_12;
    client.min = FMX_TLS_10;
    client.psk = FMX_TLS_PSK_SDK;
    psk_client = tls_client_of(&client);
    cert = tls_cert_of("client");
}

static struct tls_pipe *pipe_of(uint8_t choice)
{
    const unsigned kind = (choice >> 2) % KINDS;
    const struct fmx_tls_dial dial = {.server_name = "localhost",
                                      .cert = cert,
                                      .psk_identity = fmx_slice_of(TLS_SDK_IDENTITY),
                                      .psk_key = fmx_slice_of(TLS_SDK_KEY)};

    return tls_pipe_new(kind == 1 && (choice & 3) < 2 ? psk_client : clients[choice & 3],
                        servers[kind], &dial);
}

static void expect_sane(const struct tls_side *side)
{
    FMX_ASSERT(side->status == FMX_OK || side->status == FMX_MORE || side->status == FMX_END ||
               fmx_status_class(side->status) == FMX_CLASS_TLS);
    FMX_ASSERT(side->status >= 0 || strlen(fmx_tls_stream_fault(side->stream)) > 0);
    if (side->is_open) {
        struct fmx_tls_facts facts;
        fmx_tls_stream_facts(side->stream, &facts);
        FMX_ASSERT(facts.suite != NULL && facts.version >= FMX_TLS_10);
        FMX_ASSERT(facts.cert_name.bytes <= 64 && facts.cert_organization.bytes <= 64);
    }
}

/* The records at the front, each in a block of its own; what is none ends it, with an alert. */
static void feed(struct tls_side *side, fmx_slice rest)
{
    while (rest.bytes > 0 && side->status >= 0 && side->status != FMX_END) {
        size_t bytes = 0;
        enum fmx_status status = fmx_tls_record_next(rest, &bytes);
        FMX_ASSERT(bytes >= FMX_TLS_RECORD_HEADER_BYTES && bytes <= FMX_TLS_RECORD_BYTES_MAX);
        FMX_ASSERT((status == FMX_MORE) == (bytes > rest.bytes) || status == FMX_TLS_RECORD);
        bytes = status == FMX_OK ? bytes : rest.bytes;
        uint8_t *copy = fmx_fuzz_copy(rest.data, bytes);
        (void)tls_side_feed(side, (fmx_slice){copy, bytes}, false);
        free(copy);
        FMX_ASSERT(status == FMX_OK || side->status == FMX_TLS_RECORD);
        rest.data += bytes;
        rest.bytes -= bytes;
        expect_sane(side);
        side->out_bytes = side->status < 0 ? side->out_bytes : 0;
        side->in_bytes = 0;
    }
}

struct faults {
    fmx_slice rest; /* four bytes each */
    unsigned until; /* records before the next */
};

static void next_fault(struct faults *faults)
{
    faults->until = faults->rest.bytes < 4 ? UINT32_MAX : faults->rest.data[0] % 16;
}

/* Damages a record, as the next fault says. How often it is to be handed over. */
static unsigned damage(struct faults *faults, uint8_t *record, size_t bytes)
{
    const uint8_t *fault = faults->rest.data;
    unsigned times = 1;

    if (faults->until > 0) {
        faults->until--;
        return 1;
    }
    if (fault[1] % 8 == 0) {
        times = 0;
    } else if (fault[1] % 8 == 1) {
        times = 2;
    } else {
        size_t at = ((size_t)fault[1] << 5 | fault[2]) % bytes;
        record[at] ^= fault[3];
    }
    faults->rest.data += 4;
    faults->rest.bytes -= 4;
    next_fault(faults);
    return times;
}

static void move(struct tls_side *from, struct tls_side *to, struct faults *faults)
{
    static uint8_t said[TLS_SIDE_BYTES_MAX];
    size_t bytes = from->out_bytes;
    size_t used = 0;

    memcpy(said, from->out, bytes);
    from->out_bytes = 0;
    while (used < bytes) {
        size_t record_bytes = 0;
        fmx_slice rest = {said + used, bytes - used};
        FMX_ASSERT(fmx_tls_record_next(rest, &record_bytes) == FMX_OK);
        uint8_t *copy = fmx_fuzz_copy(rest.data, record_bytes);
        for (unsigned times = damage(faults, copy, record_bytes); times > 0; times--) {
            if (to->status >= 0 && to->status != FMX_END) {
                (void)tls_side_feed(to, (fmx_slice){copy, record_bytes}, false);
                expect_sane(to);
            }
        }
        free(copy);
        used += record_bytes;
    }
}

static void run_with_faults(struct tls_pipe *pipe, fmx_slice rest)
{
    struct faults faults = {.rest = rest};

    next_fault(&faults);
    (void)tls_side_feed(&pipe->client, (fmx_slice){0}, false);
    for (unsigned turn = 0; turn < 16; turn++) {
        struct tls_side *from = turn % 2 == 0 ? &pipe->client : &pipe->server;
        struct tls_side *to = turn % 2 == 0 ? &pipe->server : &pipe->client;
        if (from->is_open && from->status == FMX_OK && turn < 12) {
            FMX_ASSERT(tls_side_say(from, "some words") == FMX_OK);
        }
        move(from, to, &faults);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool is_set_up;

    if (!is_set_up) {
        tls_pki_standard();
        set_up();
        is_set_up = true;
    }
    if (bytes < 2) {
        return 0;
    }
    const fmx_slice rest = {data + 2, bytes - 2};
    struct tls_pipe *pipe = pipe_of(data[1]);
    switch (data[0] & 3) {
    case 0:
        feed(&pipe->server, rest);
        break;
    case 1:
        run_with_faults(pipe, rest);
        break;
    default:
        tls_pipe_run(pipe);
        feed((data[0] & 3) == 2 ? &pipe->server : &pipe->client, rest);
        break;
    }
    tls_pipe_free(pipe);
    return 0;
}
