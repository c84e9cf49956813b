/*
 * micro_tls — records to plaintext and back
 *
 * Why it is so:   one connection and TLS 1.3, with what is its own in the nearest cache; bench_tls
 *                 measures a thousand in turn, beside BoringSSL alone. A row's records are made by
 *                 its client before each round, since each has a number of its own.
 * Memory:         up to 20 MB of records
 * Limits:         BoringSSL chooses by the processor, and under valgrind by valgrind's
 * Not here:       handshakes: bench_tls
 */
#include "bench/micro.h"
#include "bench/tls_pure.h"
#include "tls/tls.h"

#include <stdlib.h>

#define STEPS_MAX 8u

struct records_world {
    struct pure_certs certs;
    struct pure_client client;
    void *ours;
    struct fmx_tls_stream *stream;
    SSL *ssl;
    struct pure_flight records;
    uint64_t operations;
    size_t plain_bytes;
    uint8_t room[FMX_TLS_PLAINTEXT_BYTES_MAX];
};

static void establish(struct records_world *world)
{
    struct pure_flight up = {0};
    struct pure_flight down = {0};
    unsigned steps = 0;

    world->ssl = pure_client_begin(&world->client, &up);
    world->stream = pure_ours.accept(world->ours);
    while (!pure_ours.step(world->ours, world->stream, &up, &down)) {
        up.size = 0;
        (void)pure_client_step(&world->client, world->ssl, &down, &up);
        down.size = 0;
        micro_expect(++steps < STEPS_MAX, "an end of the handshake");
    }
    free(up.at);
    free(down.at);
}

static void *open_records(const struct micro *self, uint64_t operations)
{
    static const struct pure_kind kind = {.name = "tls13", .version = TLS1_3_VERSION};
    struct records_world *world = micro_allocate(1, sizeof *world);

    world->operations = operations;
    world->plain_bytes = self->size;
    pure_certs_make(&world->certs);
    world->ours = pure_ours.open(&kind, &world->certs);
    pure_client_open(&world->client, &kind, &world->certs);
    pure_certs_remove(&world->certs);
    establish(world);
    return world;
}

static void close_records(void *opened)
{
    struct records_world *world = opened;

    SSL_free(world->ssl);
    pure_ours.end(world->ours, world->stream);
    pure_client_close(&world->client);
    pure_ours.close(world->ours);
    free(world->records.at);
    free(world);
}

static void prepare_records(void *opened)
{
    struct records_world *world = opened;
    struct tls_bytes *bytes = &world->client.bytes;

    world->records.size = 0;
    for (uint64_t i = 0; i < world->operations; i++) {
        int done = SSL_write(world->ssl, world->room, (int)world->plain_bytes);
        micro_expect(done == (int)world->plain_bytes, "a record");
        pure_flight_add(&world->records, bytes->out, bytes->out_size);
        bytes->out_size = 0;
    }
}

static bool drop_records(void *user, fmx_slice records)
{
    *(uint64_t *)user += records.bytes;
    return true;
}

static uint64_t run_take(void *opened, uint64_t operations)
{
    MICRO_CALLEE(take, fmx_tls_take);
    struct records_world *world = opened;
    uint64_t sum = 0;
    struct fmx_tls_sink sink = {.write = drop_records, .user = &sum};
    size_t record_bytes = world->records.size / operations;

    for (uint64_t i = 0; i < operations; i++) {
        fmx_slice records = {world->records.at + i * record_bytes, record_bytes};
        size_t bytes = 0;
        enum fmx_status status =
            take(world->stream, &records, world->room, sizeof world->room, &bytes, &sink);
        micro_expect(status == FMX_OK && bytes == world->plain_bytes, "plaintext");
        sum += bytes;
    }
    return sum;
}

static uint64_t run_seal(void *opened, uint64_t operations)
{
    MICRO_CALLEE(seal, fmx_tls_seal);
    struct records_world *world = opened;
    uint64_t sum = 0;
    struct fmx_tls_sink sink = {.write = drop_records, .user = &sum};
    struct iovec part = {.iov_base = world->room, .iov_len = world->plain_bytes};

    for (uint64_t i = 0; i < operations; i++) {
        micro_expect(seal(world->stream, &part, 1, &sink) == FMX_OK, "a record");
    }
    return sum;
}

#define TAKE(bytes)                                                                                \
    {                                                                                              \
        .name = "tls_take_" #bytes, .open = open_records, .before = prepare_records,               \
        .run = run_take, .close = close_records, .operations = 16000, .counted = 960,              \
        .size = (bytes)                                                                            \
    }
#define SEAL(bytes)                                                                                \
    {                                                                                              \
        .name = "tls_seal_" #bytes, .open = open_records, .run = run_seal, .close = close_records, \
        .operations = 100000, .counted = 960, .size = (bytes)                                      \
    }

static const struct micro rows[] = {TAKE(64), TAKE(1024), SEAL(64), SEAL(1024)};

const struct micro_list micro_tls = MICRO_LIST(rows);
