/*
 * test_tls_hostile — a peer that lies, drips, floods or breaks off gets an alert and no more memory
 * than it has sent
 *
 * Linked so that every byte of the heap is counted.
 */
#include "tests/support/heap.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"
#include "tests/support/tls_forge.h"
#include "tests/support/tls_pipe.h"
#include "tests/support/tls_pki.h"
#include "tests/support/tls_setup.h"
#include "tls/internal.h"
#include "tls/record.h"

#include <fleetmux/private/assert.h>

#include <stdlib.h>

#define ALERT     21u
#define HANDSHAKE 22u
#define DATA      23u

static struct fmx_tls_context *server_context;
static struct fmx_tls_context *client_context[4]; /* TLS 1.0 … 1.3 */

static void set_up(void)
{
    struct fmx_tls_server server = tls_ecdsa_options();
    struct fmx_tls_client client = tls_client_options();

    server.min = FMX_TLS_10;
    server_context = tls_server_of(&server, NULL);
    client.suites = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA";
    client.key_log = tls_pki_path("keys");
    for (unsigned i = 0; i < 4; i++) {
        client.min = client.max = (enum fmx_tls_version)(FMX_TLS_10 + i);
        client_context[i] = tls_client_of(&client);
    }
}

static void tear_down(void)
{
    fmx_tls_context_drop(server_context);
    for (unsigned i = 0; i < 4; i++) {
        fmx_tls_context_drop(client_context[i]);
    }
}

static struct tls_pipe *new_pipe(unsigned version)
{
    return tls_pipe_new(client_context[version], server_context, NULL);
}

/* An open one, and a forger in the client's (or the server's) place. */
static struct tls_pipe *forged_pipe(unsigned version, bool as_server, struct tls_forge *out_forge)
{
    struct tls_pipe *pipe = new_pipe(version);

    tls_pipe_run(pipe);
    FMX_ASSERT(tls_pipe_talks(pipe));
    tls_forge_begin(out_forge, as_server ? pipe->server.stream->ssl : pipe->client.stream->ssl,
                    tls_pki_path("keys"));
    return pipe;
}

static enum fmx_status feed_bytes(struct tls_side *side, const void *bytes, size_t count)
{
    return tls_side_feed(side, (fmx_slice){bytes, count}, false);
}

/* Forges one record and hands it over. */
static enum fmx_status send_forged(struct tls_side *to, struct tls_forge *forge, uint8_t type,
                                   const void *content, size_t bytes)
{
    static uint8_t record[20000];
    size_t record_bytes = tls_forge_record(forge, type, (fmx_slice){content, bytes}, record);

    return feed_bytes(to, record, record_bytes);
}

/* The alert that stands in clear at the end of what a side has said; 0: none. */
static unsigned alert_in_clear(const struct tls_side *side)
{
    const uint8_t *at = side->out + side->out_bytes - 7;

    return side->out_bytes >= 7 && at[0] == ALERT && at[4] == 2 ? at[6] : 0;
}

/* ── before and in the handshake ── */

static void what_is_no_tls_gets_an_alert_and_no_memory(void)
{
    static const char *const firsts[] = {
        "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
        "GET / HTTP/1.1\r\n\r\n",
        "\x80\x2e\x01\x03\x01",
        "\x16\x03\x01\xff\xff",
        "\x16\x02\x00\x00\x05",
        "\x16",
    };

    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct tls_pipe *pipe = new_pipe(3);
        size_t before = fmx_heap_live();
        fmx_heap_forget_peak();
        CU_ASSERT_EQUAL(feed_bytes(&pipe->server, firsts[i], i == 0 ? 14 : strlen(firsts[i])),
                        FMX_TLS_RECORD);
        CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream),
                               "what came is no TLS record");
        CU_ASSERT_EQUAL(alert_in_clear(&pipe->server), 10);
        CU_ASSERT(fmx_heap_peak() - before < 2048);
        CU_ASSERT_EQUAL(feed_bytes(&pipe->server, "\x16\x03\x01\x00\x01\x00", 6), FMX_TLS_RECORD);
        CU_ASSERT_EQUAL(pipe->server.out_bytes, 7);
        tls_pipe_free(pipe);
    }
}

/* The records that the client begins with; in `out_records`. */
static fmx_slice hello_of(struct tls_pipe *pipe)
{
    (void)tls_side_feed(&pipe->client, (fmx_slice){0}, false);
    return (fmx_slice){pipe->client.out, pipe->client.out_bytes};
}

static void hello_dripped_in_tiny_records_costs_what_it_is(void)
{
    for (unsigned version = 0; version < 4; version++) {
        struct tls_pipe *pipe = new_pipe(version);
        fmx_slice hello = hello_of(pipe);
        size_t before = fmx_heap_live();
        for (size_t i = FMX_TLS_RECORD_HEADER_BYTES; i < hello.bytes; i++) {
            const uint8_t record[] = {HANDSHAKE, 3, 1, 0, 1, hello.data[i]};
            CU_ASSERT_EQUAL(pipe->server.status, FMX_MORE);
            CU_ASSERT(fmx_heap_live() - before <= 2 * i + 512);
            (void)feed_bytes(&pipe->server, record, sizeof record);
        }
        pipe->client.out_bytes = 0;
        tls_pipe_run(pipe);
        CU_ASSERT_TRUE(tls_pipe_talks(pipe));
        tls_pipe_free(pipe);
    }
}

static void hello_that_claims_too_much_is_refused_at_its_header(void)
{
    const uint8_t claim[] = {HANDSHAKE, 3, 1, 0, 4, 1, 0, 0x40, 1};
    struct tls_pipe *pipe = new_pipe(3);
    size_t before = fmx_heap_live();

    CU_ASSERT_EQUAL(feed_bytes(&pipe->server, claim, sizeof claim), FMX_TLS_TOO_LONG);
    CU_ASSERT(fmx_heap_live() - before < 2048);
    tls_pipe_free(pipe);
}

static void records_without_a_hello_are_refused(void)
{
    static const struct {
        uint8_t record[8];
        size_t bytes;
    } tries[] = {
        {{HANDSHAKE, 3, 1, 0, 0}, 5}, {{DATA, 3, 3, 0, 1, 'x'}, 6},   {{20, 3, 3, 0, 1, 1}, 6},
        {{ALERT, 3, 1, 0, 1, 1}, 6},  {{ALERT, 3, 1, 0, 2, 7, 7}, 7},
    };

    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        struct tls_pipe *pipe = new_pipe(3);
        enum fmx_status status = FMX_MORE;
        for (unsigned times = 0; times < 40 && status == FMX_MORE; times++) {
            status = feed_bytes(&pipe->server, tries[i].record, tries[i].bytes);
        }
        CU_ASSERT(status == FMX_TLS_RECORD || status == FMX_TLS_FAILED);
        CU_ASSERT_NOT_EQUAL(alert_in_clear(&pipe->server), 0);
        tls_pipe_free(pipe);
    }
}

static void alerts_in_the_handshake_are_named_and_warnings_bounded(void)
{
    const uint8_t fatal[] = {ALERT, 3, 1, 0, 2, 2, 48};
    const uint8_t warning[] = {ALERT, 3, 1, 0, 2, 1, 112};
    const uint8_t end[] = {ALERT, 3, 1, 0, 2, 1, 0};
    struct tls_pipe *pipe = new_pipe(2);
    unsigned count = 0;

    CU_ASSERT_EQUAL(feed_bytes(&pipe->server, fatal, sizeof fatal), FMX_TLS_ALERT);
    CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream),
                           "the peer sent alert unknown_ca");
    CU_ASSERT_EQUAL(pipe->server.out_bytes, 0);
    tls_pipe_free(pipe);
    pipe = new_pipe(2);
    while (feed_bytes(&pipe->server, warning, sizeof warning) == FMX_MORE && count < 100) {
        count++;
    }
    CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_RECORD);
    CU_ASSERT_EQUAL(count, 4);
    tls_pipe_free(pipe);
    pipe = new_pipe(2);
    CU_ASSERT_EQUAL(feed_bytes(&pipe->server, end, sizeof end), FMX_TLS_ALERT);
    CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream),
                           "the peer sent alert close_notify");
    tls_pipe_free(pipe);
}

enum fault_kind {
    FAULT_FLIP,
    FAULT_DROP,
    FAULT_TWICE,
    FAULT_NOISE,
    FAULT_KINDS,
};

/* Hands the records over with one fault. Never may both sides be open with what was changed. */
static void hand_over(struct tls_side *to, fmx_slice records, unsigned *left, enum fault_kind kind,
                      struct fmx_prng *prng)
{
    static uint8_t copy[TLS_SIDE_BYTES_MAX];
    fmx_slice rest = {copy, records.bytes};

    memcpy(copy, records.data, records.bytes);
    while (rest.bytes > 0 && to->status >= 0) {
        size_t bytes = 0;
        size_t times = 1;
        if (fmx_tls_record_next(rest, &bytes) != FMX_OK) {
            return;
        }
        uint8_t *record = copy + (rest.data - copy);
        if ((*left)-- == 0) {
            times = kind == FAULT_DROP ? 0 : kind == FAULT_TWICE ? 2 : 1;
            if (kind == FAULT_FLIP) {
                record[fmx_prng_below(prng, bytes)] ^= (uint8_t)(1u << fmx_prng_below(prng, 8));
            }
            for (size_t i = 5; kind == FAULT_NOISE && i < bytes; i++) {
                record[i] = (uint8_t)fmx_prng_next(prng);
            }
        }
        while (times-- > 0 && to->status >= 0) {
            fmx_slice one = {record, bytes};
            size_t again = 0;
            if (fmx_tls_record_next(one, &again) == FMX_OK && again == bytes) {
                (void)tls_side_feed(to, one, true);
            }
        }
        rest.data += bytes;
        rest.bytes -= bytes;
    }
}

static void any_fault_in_any_record_ends_or_is_harmless(void)
{
    static struct tls_side *sides[2];
    struct fmx_prng prng = {1};
    unsigned failed = 0;
    unsigned tried = 0;

    for (unsigned round = 0; round < 1600; round++) {
        struct tls_pipe *pipe = new_pipe(round % 4);
        unsigned left = (unsigned)fmx_prng_below(&prng, 9);
        enum fault_kind kind = (enum fault_kind)fmx_prng_below(&prng, FAULT_KINDS);
        sides[0] = &pipe->client;
        sides[1] = &pipe->server;
        (void)tls_side_feed(&pipe->client, (fmx_slice){0}, false);
        for (unsigned turn = 0; turn < 12; turn++) {
            static uint8_t said[TLS_SIDE_BYTES_MAX];
            struct tls_side *from = sides[turn % 2];
            size_t bytes = from->out_bytes;
            memcpy(said, from->out, bytes);
            from->out_bytes = 0;
            hand_over(sides[1 - turn % 2], (fmx_slice){said, bytes}, &left, kind, &prng);
        }
        tried++;
        failed += pipe->client.status < 0 || pipe->server.status < 0;
        tls_pipe_free(pipe);
    }
    CU_ASSERT(failed > tried / 3);
}

/* ── after the handshake ── */

static void records_that_carry_nothing_are_bounded(void)
{
    for (unsigned version = 2; version < 4; version++) {
        struct tls_forge forge;
        struct tls_pipe *pipe = forged_pipe(version, false, &forge);
        unsigned count = 0;
        while (send_forged(&pipe->server, &forge, DATA, NULL, 0) == FMX_OK && count < 100) {
            count++;
        }
        CU_ASSERT_EQUAL(count, 32);
        CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_RECORD);
        CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream),
                               "too many empty records in a row");
        CU_ASSERT(pipe->server.out_bytes > 0);
        tls_pipe_free(pipe);
    }
}

static void warnings_after_the_handshake_are_bounded(void)
{
    const uint8_t warning[] = {1, 90};
    struct tls_forge forge;
    struct tls_pipe *pipe = forged_pipe(2, false, &forge);
    unsigned count = 0;

    while (send_forged(&pipe->server, &forge, ALERT, warning, 2) == FMX_OK && count < 100) {
        count++;
    }
    CU_ASSERT_EQUAL(count, 4);
    CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_RECORD);
    tls_pipe_free(pipe);
}

static void fatal_alert_after_the_handshake_is_named(void)
{
    const uint8_t fatal[] = {2, 80};

    for (unsigned version = 2; version < 4; version++) {
        struct tls_forge forge;
        struct tls_pipe *pipe = forged_pipe(version, false, &forge);
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, DATA, "before", 6), FMX_OK);
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, ALERT, fatal, 2), FMX_TLS_ALERT);
        CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream),
                               "the peer sent alert internal_error");
        CU_ASSERT_TRUE(tls_side_heard(&pipe->server, "before"));
        CU_ASSERT_EQUAL(tls_side_say(&pipe->server, "more"), FMX_TLS_ALERT);
        tls_pipe_free(pipe);
    }
}

static void another_handshake_is_refused_on_both_sides(void)
{
    const uint8_t hello_request[] = {0, 0, 0, 0};
    const uint8_t client_hello[] = {1, 0, 0, 2, 3, 3};

    for (unsigned version = 2; version < 4; version++) {
        struct tls_forge forge;
        struct tls_pipe *pipe = forged_pipe(version, false, &forge);
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, HANDSHAKE, client_hello, 6),
                        FMX_TLS_RECORD);
        CU_ASSERT(pipe->server.out_bytes > 0);
        tls_pipe_free(pipe);
        pipe = forged_pipe(version, true, &forge);
        if (version == 2) { /* of 1.3 the server's secret is in the client's log as well */
            CU_ASSERT_EQUAL(send_forged(&pipe->client, &forge, HANDSHAKE, hello_request, 4),
                            FMX_TLS_RECORD);
            CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->client.stream),
                                   "the peer wants another handshake");
        } else {
            CU_ASSERT_EQUAL(send_forged(&pipe->client, &forge, HANDSHAKE, client_hello, 6),
                            FMX_TLS_RECORD);
        }
        tls_pipe_free(pipe);
    }
}

static void records_too_large_or_of_no_kind_are_refused(void)
{
    static uint8_t content[16400];

    for (unsigned version = 2; version < 4; version++) {
        struct tls_forge forge;
        struct tls_pipe *pipe = forged_pipe(version, false, &forge);
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, DATA, content, 16384), FMX_OK);
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, DATA, content, 16385), FMX_TLS_RECORD);
        tls_pipe_free(pipe);
        pipe = forged_pipe(version, false, &forge);
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, 24, "\x01\x40\x00", 3), FMX_TLS_RECORD);
        tls_pipe_free(pipe);
        pipe = forged_pipe(version, false, &forge);
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, 20, "\x01", 1), FMX_TLS_RECORD);
        tls_pipe_free(pipe);
        pipe = forged_pipe(version, false, &forge);
        forge.key[0] ^= 1;
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, DATA, "x", 1), FMX_TLS_RECORD);
        CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream),
                               "a record does not decrypt");
        tls_pipe_free(pipe);
        pipe = forged_pipe(version, false, &forge);
        CU_ASSERT_EQUAL(feed_bytes(&pipe->server, "\x17\x03\x03\xff\xff", 5), FMX_TLS_RECORD);
        tls_pipe_free(pipe);
    }
    struct tls_forge forge;
    struct tls_pipe *pipe = forged_pipe(3, false, &forge);
    CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, 0, content, 1000), FMX_TLS_RECORD);
    tls_pipe_free(pipe);
}

static void key_updates_are_followed_and_bounded(void)
{
    const uint8_t update[] = {24, 0, 0, 1, 0};
    const uint8_t update_both[] = {24, 0, 0, 1, 1};
    struct tls_forge forge;
    struct tls_pipe *pipe = forged_pipe(3, false, &forge);
    unsigned count = 0;

    CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, HANDSHAKE, update_both, 5), FMX_OK);
    tls_forge_update(&forge);
    CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, DATA, "under the next key", 18), FMX_OK);
    CU_ASSERT_TRUE(tls_side_heard(&pipe->server, "under the next key"));
    CU_ASSERT_EQUAL(tls_side_say(&pipe->server, "and back"), FMX_OK);
    tls_pipe_run(pipe);
    CU_ASSERT_TRUE(tls_side_heard(&pipe->client, "and back"));
    while (send_forged(&pipe->server, &forge, HANDSHAKE, update, 5) == FMX_OK && count < 100) {
        tls_forge_update(&forge);
        count++;
    }
    CU_ASSERT_EQUAL(count, 32);
    CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream),
                           "too many key updates in a row");
    tls_pipe_free(pipe);
    pipe = forged_pipe(3, false, &forge);
    CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, HANDSHAKE, "\x18\x00\x00\x01\x02", 5),
                    FMX_TLS_RECORD);
    tls_pipe_free(pipe);
}

/* Requests to answer each update with one cannot pile up in a side that does not write. */
static void key_updates_that_want_answers_do_not_pile_up(void)
{
    const uint8_t update_both[] = {24, 0, 0, 1, 1};
    struct tls_forge forge;
    struct tls_pipe *pipe = forged_pipe(3, false, &forge);
    size_t before = fmx_heap_live();

    for (unsigned round = 0; round < 1000; round++) {
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, HANDSHAKE, update_both, 5), FMX_OK);
        tls_forge_update(&forge);
        CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, DATA, "x", 1), FMX_OK);
        pipe->server.in_bytes = 0;
        CU_ASSERT(fmx_heap_live() - before < 1024);
    }
    tls_pipe_free(pipe);
}

static void message_dripped_after_the_handshake_costs_what_it_is(void)
{
    for (unsigned version = 2; version < 4; version++) {
        const uint8_t head[] = {4, 0, 0x3f, 0};
        struct tls_forge forge;
        struct tls_pipe *pipe = forged_pipe(version, false, &forge);
        size_t before = fmx_heap_live();
        enum fmx_status status = send_forged(&pipe->server, &forge, HANDSHAKE, head, 4);
        for (size_t i = 0; i < 2000 && status == FMX_OK; i++) {
            CU_ASSERT(fmx_heap_live() - before <= 2 * i + 1024);
            status = send_forged(&pipe->server, &forge, HANDSHAKE, "x", 1);
        }
        (void)send_forged(&pipe->server, &forge, DATA, "between", 7);
        CU_ASSERT_EQUAL(pipe->server.status, FMX_TLS_RECORD);
        tls_pipe_free(pipe);
    }
}

static void stream_that_waits_holds_no_part_of_a_record(void)
{
    static uint8_t content[16384];

    for (unsigned version = 2; version < 4; version++) {
        struct tls_forge forge;
        struct tls_pipe *pipe = forged_pipe(version, false, &forge);
        size_t before = fmx_heap_live();
        for (unsigned round = 0; round < 10; round++) {
            fmx_heap_forget_peak();
            CU_ASSERT_EQUAL(send_forged(&pipe->server, &forge, DATA, content, sizeof content),
                            FMX_OK);
            CU_ASSERT(fmx_heap_peak() - before < sizeof content + 1024);
            CU_ASSERT_EQUAL(fmx_heap_live(), before);
            pipe->server.in_bytes = 0;
        }
        tls_pipe_free(pipe);
    }
}

static void sink_without_memory_ends_the_stream(void)
{
    struct tls_pipe *pipe = new_pipe(3);

    tls_pipe_run(pipe);
    CU_ASSERT_TRUE(tls_pipe_talks(pipe));
    pipe->server.is_full = true;
    CU_ASSERT_EQUAL(tls_side_say(&pipe->server, "lost"), FMX_LIMIT_MEMORY);
    pipe->server.is_full = false;
    CU_ASSERT_EQUAL(tls_side_say(&pipe->server, "too late"), FMX_LIMIT_MEMORY);
    const struct fmx_tls_sink sink = tls_side_sink(&pipe->server);
    fmx_tls_end(pipe->server.stream, &sink);
    CU_ASSERT_EQUAL(pipe->server.out_bytes, 0);
    tls_pipe_free(pipe);
    pipe = new_pipe(2);
    pipe->server.is_full = true;
    tls_pipe_run(pipe);
    CU_ASSERT_EQUAL(pipe->server.status, FMX_LIMIT_MEMORY);
    CU_ASSERT_STRING_EQUAL(fmx_tls_stream_fault(pipe->server.stream), "memory ran out");
    tls_pipe_free(pipe);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(what_is_no_tls_gets_an_alert_and_no_memory),
    FMX_TEST_CASE(hello_dripped_in_tiny_records_costs_what_it_is),
    FMX_TEST_CASE(hello_that_claims_too_much_is_refused_at_its_header),
    FMX_TEST_CASE(records_without_a_hello_are_refused),
    FMX_TEST_CASE(alerts_in_the_handshake_are_named_and_warnings_bounded),
    FMX_TEST_CASE(any_fault_in_any_record_ends_or_is_harmless),
    FMX_TEST_CASE(records_that_carry_nothing_are_bounded),
    FMX_TEST_CASE(warnings_after_the_handshake_are_bounded),
    FMX_TEST_CASE(fatal_alert_after_the_handshake_is_named),
    FMX_TEST_CASE(another_handshake_is_refused_on_both_sides),
    FMX_TEST_CASE(records_too_large_or_of_no_kind_are_refused),
    FMX_TEST_CASE(key_updates_are_followed_and_bounded),
    FMX_TEST_CASE(key_updates_that_want_answers_do_not_pile_up),
    FMX_TEST_CASE(message_dripped_after_the_handshake_costs_what_it_is),
    FMX_TEST_CASE(stream_that_waits_holds_no_part_of_a_record),
    FMX_TEST_CASE(sink_without_memory_ends_the_stream),
};

int main(int argc, char **argv)
{
    tls_pki_standard();
    set_up();
    int result = fmx_test_main("tls_hostile", cases, sizeof cases / sizeof cases[0], argc, argv);
    tear_down();
    return result;
}
