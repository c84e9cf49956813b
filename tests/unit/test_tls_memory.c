/*
 * test_tls_memory — what streams cost while they wait, and a heap that fails at any point
 *
 * Linked so that every byte of the heap is counted.
 */
#include "tests/support/heap.h"
#include "tests/support/run.h"
#include "tests/support/tls_pipe.h"
#include "tests/support/tls_pki.h"
#include "tests/support/tls_setup.h"

#include <fleetmux/private/assert.h>

#include <stdlib.h>

struct figure {
    const char *kind;
    enum fmx_tls_version version;
    const char *suites;
    bool psk;
    bool client_cert;
    bool resume;
    size_t server_max; /* some allocators round up by a quarter */
    size_t client_max;
};

/* Seen with glibc: server 2,768 2,744 2,792 4,000 3,944, client 3,656 2,864 3,040 2,864 4,016. */
static const struct figure figures[] = {
    {"1.3", FMX_TLS_13, NULL, false, false, true, 3200, 4300},
    {"1.3, never resumed", FMX_TLS_13, NULL, false, false, false, 3200, 3300},
    {"1.2", FMX_TLS_12, "ECDHE-ECDSA-AES128-GCM-SHA256", false, false, true, 3200, 3500},
    {"1.2 ChaCha20", FMX_TLS_12, "ECDHE-ECDSA-CHACHA20-POLY1305", false, false, true, 3200, 3500},
    {"1.3, client's certificate", FMX_TLS_13, NULL, false, true, true, 3200, 3300},
    {"PSK, CBC", FMX_TLS_12, "PSK-AES128-CBC-SHA", true, false, true, 4600, 4600},
    {"PSK, ChaCha20", FMX_TLS_12, "ECDHE-PSK-CHACHA20-POLY1305", true, false, true, 3300, 3300},
    {"1.0", FMX_TLS_10, NULL, false, false, true, 4600, 4800},
};

struct world {
    struct fmx_tls_tickets *tickets;
    struct fmx_tls_context *client;
    struct fmx_tls_context *server;
    struct fmx_tls_cert *cert;
    struct fmx_tls_dial dial;
};

static struct world world_of(const struct figure *figure)
{
    struct world world = {.tickets = tls_tickets_new()};
    struct fmx_tls_server server = figure->psk ? tls_psk_options() : tls_ecdsa_options();
    struct fmx_tls_client client = tls_client_options();

    server.min = FMX_TLS_10;
    if (figure->client_cert) {
        server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
        server.client_ca = tls_pki_path("ca.crt");
        server.client_cert_is_login = true;
        world.cert = tls_cert_of("client");
    }
    client.min = client.max = figure->version;
    client.suites = figure->suites;
    client.psk = figure->psk ? FMX_TLS_PSK_GIVEN : FMX_TLS_PSK_NONE;
    client.resume = figure->resume ? 1 : 0;
    world.server = tls_server_of(&server, world.tickets);
    world.client = tls_client_of(&client);
    world.dial = (struct fmx_tls_dial){.server_name = "localhost", .cert = world.cert};
    if (figure->psk) {
        world.dial.psk_identity = fmx_slice_of(TLS_SDK_IDENTITY);
        world.dial.psk_key = fmx_slice_of(TLS_SDK_KEY);
    }
    return world;
}

static void end_world(struct world *world)
{
    fmx_tls_context_drop(world->client);
    fmx_tls_context_drop(world->server);
    fmx_tls_cert_drop(world->cert);
    fmx_tls_tickets_close(world->tickets);
}

static size_t close_side(struct tls_side *side)
{
    size_t before = fmx_heap_live();

    fmx_tls_stream_close(side->stream);
    side->stream = NULL;
    return before - fmx_heap_live();
}

static void stream_that_waits_costs_little(void)
{
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        const struct figure *figure = &figures[i];
        struct world world = world_of(figure);
        /* one more stays, so that what all share is not counted */
        struct tls_pipe *other = tls_pipe_open(world.client, world.server, &world.dial);
        struct tls_pipe *pipe = tls_pipe_open(world.client, world.server, &world.dial);
        CU_ASSERT_TRUE(tls_pipe_talks(other));
        CU_ASSERT_TRUE(tls_pipe_talks(pipe));
        size_t server_bytes = close_side(&pipe->server);
        size_t client_bytes = close_side(&pipe->client);
        printf("\n    %-26s server %zu, client %zu", figure->kind, server_bytes, client_bytes);
        CU_ASSERT(server_bytes <= figure->server_max);
        CU_ASSERT(client_bytes <= figure->client_max);
        tls_pipe_free(pipe);
        tls_pipe_free(other);
        end_world(&world);
    }
    printf("\n  ");
}

static void stream_gives_everything_back(void)
{
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        struct world world = world_of(&figures[i]);
        size_t before = 0;
        for (unsigned round = 0; round < 3; round++) {
            struct tls_pipe *pipe = tls_pipe_open(world.client, world.server, &world.dial);
            CU_ASSERT_TRUE(tls_pipe_talks(pipe));
            tls_pipe_free(pipe);
            /* the first fills caches of the process */
            CU_ASSERT(round == 0 || fmx_heap_live() == before);
            before = fmx_heap_live();
        }
        end_world(&world);
    }
}

/* A handshake with its n-th allocation failing. False: there was no n-th. */
static bool fails_at(struct world *world, size_t n)
{
    struct tls_side *sides = calloc(2, sizeof *sides);
    struct tls_side *client = &sides[0];
    struct tls_side *server = &sides[1];
    static uint8_t said[TLS_SIDE_BYTES_MAX];

    FMX_ASSERT(sides != NULL);
    fmx_heap_fail_at(n);
    client->stream = fmx_tls_connect(world->client, &world->dial);
    server->stream = client->stream == NULL ? NULL : fmx_tls_accept(world->server);
    if (server->stream != NULL) {
        (void)tls_side_feed(client, (fmx_slice){0}, false);
        for (unsigned turn = 0; turn < 6; turn++) {
            struct tls_side *from = turn % 2 == 0 ? client : server;
            struct tls_side *to = turn % 2 == 0 ? server : client;
            size_t bytes = from->out_bytes;
            memcpy(said, from->out, bytes);
            from->out_bytes = 0;
            if (to->status >= 0 && bytes > 0) {
                (void)tls_side_feed(to, (fmx_slice){said, bytes}, false);
            }
            if (from->is_open) {
                (void)tls_side_say(from, "words");
            }
        }
    }
    bool has_failed = fmx_heap_has_failed() != 0;
    fmx_heap_fail_at(0);
    fmx_tls_stream_close(client->stream);
    fmx_tls_stream_close(server->stream);
    free(sides);
    return has_failed;
}

static void stream_survives_a_heap_that_fails_anywhere(void)
{
    static const size_t kinds[] = {0, 2, 4, 5};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct world world = world_of(&figures[kinds[i]]);
        size_t n = 1;
        (void)fails_at(&world, 1000000);
        size_t before = fmx_heap_live();
        while (fails_at(&world, n)) {
            n++;
        }
        CU_ASSERT(n > 100);
        CU_ASSERT_EQUAL(fmx_heap_live(), before);
        end_world(&world);
    }
}

static void context_survives_a_heap_that_fails_anywhere(void)
{
    struct fmx_tls_server server = tls_both_options();
    struct fmx_tls_client client = tls_client_options();
    char error[256];
    bool has_failed = true;
    size_t before = 0;

    server.client_auth = FMX_TLS_CLIENT_AUTH_REQUIRE;
    server.client_ca = tls_pki_path("ca.crt");
    server.psk_file = tls_pki_write("psk", "a:00\nb:01\n");
    for (size_t n = 1; has_failed; n++) {
        struct fmx_tls_context *contexts[2] = {NULL, NULL};
        fmx_heap_fail_at(n);
        enum fmx_status status = fmx_tls_server_open(&server, NULL, fmx_slice_of("scope"), NULL,
                                                     &contexts[0], error, sizeof error);
        CU_ASSERT_EQUAL(status == FMX_OK, contexts[0] != NULL);
        status = fmx_tls_client_open(&client, &contexts[1], error, sizeof error);
        CU_ASSERT_EQUAL(status == FMX_OK, contexts[1] != NULL);
        has_failed = fmx_heap_has_failed() != 0;
        fmx_heap_fail_at(0);
        fmx_tls_context_drop(contexts[0]);
        fmx_tls_context_drop(contexts[1]);
        CU_ASSERT(n == 1 || fmx_heap_live() <= before + 64);
        before = n == 1 ? fmx_heap_live() : before;
    }
    CU_ASSERT_EQUAL(fmx_heap_live(), before);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(stream_that_waits_costs_little),
    FMX_TEST_CASE(stream_gives_everything_back),
    FMX_TEST_CASE(stream_survives_a_heap_that_fails_anywhere),
    FMX_TEST_CASE(context_survives_a_heap_that_fails_anywhere),
};

int main(int argc, char **argv)
{
    tls_pki_standard();
    return fmx_test_main("tls_memory", cases, sizeof cases / sizeof cases[0], argc, argv);
}
