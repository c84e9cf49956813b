/*
 * tls_records — records of established connections: ours beside BoringSSL alone
 *
 * Why it is so:   a gateway's connections take turns, so each record finds its keys out of the
 *                 nearest cache: a thousand connections, one record of each at a time. Records come
 *                 from where they lie and go behind one another, as in the engine.
 * Words:          pass: one record of each connection
 * Invariants:     (1) what the client reads is what was sealed, looked at on the first connection
 * Memory:         some 20 MB
 */
#include "bench/tls_pure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNS      1000u
#define PLAIN_MAX  1024u
#define ROUNDS_MAX 1000u
#define STEPS_MAX  8u

struct talking {
    const struct pure_side *side;
    void *world;
    struct pure_client client;
    SSL *clients[CONNS];
    void *servers[CONNS];
    struct pure_flight records; /* of one pass, client to server */
    size_t offsets[CONNS + 1];
    struct pure_flight sealed;
    uint64_t spent_ns;
};

static uint64_t thread_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- connections ----------------------------------------------------------------------------- */

static void establish(struct talking *t, unsigned number)
{
    struct pure_flight up = {0};
    struct pure_flight down = {0};
    SSL *client = pure_client_begin(&t->client, &up);
    void *server = t->side->accept(t->world);
    unsigned steps = 0;
    while (!t->side->step(t->world, server, &up, &down)) {
        up.size = 0;
        (void)pure_client_step(&t->client, client, &down, &up);
        down.size = 0;
        pure_expect(++steps < STEPS_MAX, "an end of the handshake");
    }
    if (down.size > 0) {
        (void)pure_client_step(&t->client, client, &down, &up);
    }
    free(up.at);
    free(down.at);
    t->clients[number] = client;
    t->servers[number] = server;
}

static struct talking *talking_open(const struct pure_side *side, const struct pure_kind *kind,
                                    const struct pure_certs *certs)
{
    struct talking *t = calloc(1, sizeof *t);
    pure_expect(t != NULL, "memory");
    t->side = side;
    t->world = side->open(kind, certs);
    pure_client_open(&t->client, kind, certs);
    for (unsigned i = 0; i < CONNS; i++) {
        establish(t, i);
    }
    return t;
}

static void talking_close(struct talking *t)
{
    for (unsigned i = 0; i < CONNS; i++) {
        SSL_free(t->clients[i]);
        t->side->end(t->world, t->servers[i]);
    }
    pure_client_close(&t->client);
    t->side->close(t->world);
    free(t->records.at);
    free(t->sealed.at);
    free(t);
}

/* ---- passes ---------------------------------------------------------------------------------- */

static void prepare(struct talking *t, size_t size)
{
    static const uint8_t plain[PLAIN_MAX];
    t->records.size = 0;
    for (unsigned i = 0; i < CONNS; i++) {
        t->offsets[i] = t->records.size;
        pure_expect(SSL_write(t->clients[i], plain, (int)size) == (int)size, "a client's record");
        pure_flight_add(&t->records, t->client.bytes.out, t->client.bytes.out_size);
        t->client.bytes.out_size = 0;
    }
    t->offsets[CONNS] = t->records.size;
}

static void take_pass(struct talking *t, size_t size)
{
    prepare(t, size);
    size_t sum = 0;
    uint64_t begin_ns = thread_ns();
    for (unsigned i = 0; i < CONNS; i++) {
        sum += t->side->take(t->world, t->servers[i], t->records.at + t->offsets[i],
                             t->offsets[i + 1] - t->offsets[i]);
    }
    t->spent_ns += thread_ns() - begin_ns;
    pure_expect(sum == size * CONNS, "plaintext of each record");
}

static void seal_pass(struct talking *t, size_t size)
{
    static const uint8_t plain[PLAIN_MAX];
    uint8_t back[PLAIN_MAX];
    size_t first = 0;
    t->sealed.size = 0;
    uint64_t begin_ns = thread_ns();
    for (unsigned i = 0; i < CONNS; i++) {
        t->side->seal(t->world, t->servers[i], plain, size, &t->sealed);
        first = i == 0 ? t->sealed.size : first;
    }
    t->spent_ns += thread_ns() - begin_ns;
    t->client.bytes.in = t->sealed.at;
    t->client.bytes.in_size = first;
    pure_expect(SSL_read(t->clients[0], back, sizeof back) == (int)size, "what was sealed");
}

/* Nanoseconds a record. */
static double run_for(struct talking *t, size_t size, bool seals, unsigned ms)
{
    uint64_t passes = 0;
    t->spent_ns = 0;
    while (t->spent_ns < ms * 1000000ull) {
        (seals ? seal_pass : take_pass)(t, size);
        passes++;
    }
    return (double)t->spent_ns / (double)(passes * CONNS);
}

/* ---- the table ------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

static void compare_size(struct talking *const sides[2], size_t size, bool seals, unsigned rounds,
                         unsigned ms, bool as_json)
{
    static double ns[2][ROUNDS_MAX];
    static double ratios[ROUNDS_MAX];
    for (unsigned i = 0; i < rounds; i++) {
        unsigned first = i % 2;
        ns[first][i] = run_for(sides[first], size, seals, ms);
        ns[1 - first][i] = run_for(sides[1 - first], size, seals, ms);
        ratios[i] = ns[0][i] / ns[1][i];
    }
    char name[64];
    snprintf(name, sizeof name, "records_%s_%s_%zu", sides[0]->client.kind->name,
             seals ? "seal" : "take", size);
    double middle = median(ratios, rounds);
    printf(as_json ? "{\"name\": \"%s\", \"unit\": \"ns\", \"bare\": %.0f, \"ours\": %.0f, "
                     "\"ratio\": %.3f, \"ratio_q1\": %.3f, \"ratio_q3\": %.3f}\n"
                   : "%-28s %6.0f %6.0f  %.3f (%.3f, %.3f)\n",
           name, median(ns[0], rounds), median(ns[1], rounds), middle, ratios[rounds / 4],
           ratios[rounds - 1 - rounds / 4]);
    (void)fflush(stdout);
}

void pure_records_compare(const struct pure_certs *certs, unsigned rounds, unsigned ms,
                          bool as_json)
{
    static const struct pure_kind kinds[] = {{.name = "tls12", .version = TLS1_2_VERSION},
                                             {.name = "tls13", .version = TLS1_3_VERSION}};
    static const size_t sizes[] = {64, 256, 1024};
    if (!as_json) {
        printf("%-28s %6s %6s  bare : ours, median (quartiles)\n", "ns a record", "bare", "ours");
    }
    for (unsigned kind = 0; kind < 2; kind++) {
        struct talking *sides[2] = {talking_open(&pure_bare, &kinds[kind], certs),
                                    talking_open(&pure_ours, &kinds[kind], certs)};
        for (unsigned i = 0; i < 6; i++) {
            compare_size(sides, sizes[i / 2], i % 2 == 1, rounds, ms, as_json);
        }
        talking_close(sides[0]);
        talking_close(sides[1]);
    }
}
