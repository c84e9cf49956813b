/*
 * tls_handshake — bench_tls: handshakes and records of our streams beside BoringSSL alone, without
 *                 the kernel
 *
 * Why it is so:   what of a handshake is the library's and what is ours cannot be told through
 *                 sockets. So the server's calls alone are timed, by the processor clock of the
 *                 thread, with 32 connections under way at a time, so that a mark is a small part
 *                 of what it marks; the client is the same for both and is not timed. The two take
 *                 turns, some tens of milliseconds each, and a ratio is of neighbours.
 * Words:          a handshake: from accepting the connection to having sent four bytes after it
 *                 (a CONNACK, with which TLS 1.3 also sends its ticket), and closing it
 * Invariants:     (1) version, key, suite and resumption of each handshake are checked
 * Memory:         some megabytes
 * Limits:         one thread; certificates are of this program's making
 * Not here:       sockets: bench/run tls-connect
 */
#include "bench/tls_pure.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UNDER_WAY  32u
#define ROUNDS_MAX 1000u
#define STEPS_MAX  8u

static const struct pure_kind kinds[] = {
    {.name = "tls12_p256_full", .version = TLS1_2_VERSION},
    {.name = "tls12_p256_resumed", .version = TLS1_2_VERSION, .resumed = true},
    {.name = "tls13_p256_full", .version = TLS1_3_VERSION},
    {.name = "tls13_p256_resumed", .version = TLS1_3_VERSION, .resumed = true},
    {.name = "tls12_rsa_full", .version = TLS1_2_VERSION, .key = PURE_RSA},
    {.name = "tls12_rsa_resumed", .version = TLS1_2_VERSION, .key = PURE_RSA, .resumed = true},
    {.name = "tls13_rsa_full", .version = TLS1_3_VERSION, .key = PURE_RSA},
    {.name = "tls13_rsa_resumed", .version = TLS1_3_VERSION, .key = PURE_RSA, .resumed = true},
    {.name = "tls12_mutual", .version = TLS1_2_VERSION, .mutual = true},
    {.name = "tls13_mutual", .version = TLS1_3_VERSION, .mutual = true},
    {.name = "tls12_psk",
     .version = TLS1_2_VERSION,
     .key = PURE_NO_KEY,
     .suite = "PSK-AES128-CBC-SHA",
     .psk = true},
    {.name = "tls12_ecdhe_psk",
     .version = TLS1_2_VERSION,
     .key = PURE_NO_KEY,
     .suite = "ECDHE-PSK-CHACHA20-POLY1305",
     .psk = true},
};
#define KINDS_COUNT (sizeof kinds / sizeof kinds[0])

/* One end each of the connections that are under way. */
struct shaking {
    const struct pure_side *side;
    void *world;
    struct pure_client *client;
    SSL *clients[UNDER_WAY];
    void *servers[UNDER_WAY];
    struct pure_flight to_server[UNDER_WAY];
    struct pure_flight to_client[UNDER_WAY];
    bool is_done[UNDER_WAY];
    uint64_t spent_ns;
};

static uint64_t thread_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- one batch ------------------------------------------------------------------------------- */

/* The server's part: measured. Returns how many are not done. */
static unsigned serve(struct shaking *s)
{
    static const uint8_t connack[] = {0x20, 2, 0, 0};
    unsigned rest = 0;
    uint64_t begin_ns = thread_ns();
    for (unsigned i = 0; i < UNDER_WAY; i++) {
        if (s->is_done[i]) {
            continue;
        }
        if (!s->servers[i]) {
            s->servers[i] = s->side->accept(s->world);
        }
        s->to_client[i].size = 0;
        s->is_done[i] = s->side->step(s->world, s->servers[i], &s->to_server[i], &s->to_client[i]);
        if (s->is_done[i]) {
            s->side->seal(s->world, s->servers[i], connack, sizeof connack, &s->to_client[i]);
        }
        rest += !s->is_done[i];
    }
    s->spent_ns += thread_ns() - begin_ns;
    return rest;
}

static void answer(struct shaking *s)
{
    for (unsigned i = 0; i < UNDER_WAY; i++) {
        s->to_server[i].size = 0;
        (void)pure_client_step(s->client, s->clients[i], &s->to_client[i], &s->to_server[i]);
        s->to_client[i].size = 0;
    }
}

static void begin(struct shaking *s)
{
    for (unsigned i = 0; i < UNDER_WAY; i++) {
        s->to_server[i].size = 0;
        s->clients[i] = pure_client_begin(s->client, &s->to_server[i]);
        s->servers[i] = NULL;
        s->is_done[i] = false;
    }
}

/* Has the client got four bytes, after a handshake of this kind? */
static void check(struct shaking *s, bool resumed)
{
    for (unsigned i = 0; i < UNDER_WAY; i++) {
        uint8_t bytes[8];
        s->client->bytes.in = s->to_client[i].at;
        s->client->bytes.in_size = s->to_client[i].size;
        int got = SSL_read(s->clients[i], bytes, sizeof bytes);
        s->client->bytes.out_size = 0;
        pure_expect(got == 4 && bytes[0] == 0x20, "the first answer");
        pure_expect(pure_client_got(s->client, s->clients[i], resumed), "what was to be agreed");
        SSL_free(s->clients[i]);
    }
}

static void end(struct shaking *s)
{
    uint64_t begin_ns = thread_ns();
    for (unsigned i = 0; i < UNDER_WAY; i++) {
        s->side->end(s->world, s->servers[i]);
    }
    s->spent_ns += thread_ns() - begin_ns;
}

static void run_batch(struct shaking *s)
{
    bool resumed = s->client->session != NULL;
    begin(s);
    for (unsigned step = 0; serve(s) > 0; step++) {
        pure_expect(step < STEPS_MAX, "an end of the handshake");
        answer(s);
    }
    check(s, resumed);
    end(s);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static struct shaking *shaking_open(const struct pure_side *side, const struct pure_kind *kind,
                                    const struct pure_certs *certs)
{
    struct shaking *s = calloc(1, sizeof *s);
    struct pure_client *client = calloc(1, sizeof *client);
    pure_expect(s && client, "memory");
    s->side = side;
    s->client = client;
    s->world = side->open(kind, certs);
    pure_client_open(client, kind, certs);
    run_batch(s); /* also brings the session that is resumed */
    run_batch(s);
    pure_expect(!kind->resumed || client->session, "a ticket");
    return s;
}

static void shaking_close(struct shaking *s)
{
    pure_client_close(s->client);
    s->side->close(s->world);
    for (unsigned i = 0; i < UNDER_WAY; i++) {
        free(s->to_server[i].at);
        free(s->to_client[i].at);
    }
    free(s->client);
    free(s);
}

/* Handshakes per second of the server's calls. */
static double run_for(struct shaking *s, unsigned ms)
{
    uint64_t done = 0;
    s->spent_ns = 0;
    while (s->spent_ns < ms * 1000000ull) {
        run_batch(s);
        done += UNDER_WAY;
    }
    return (double)done * 1e9 / (double)s->spent_ns;
}

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

static void report(const char *name, double *bare, double *ours, double *ratios, unsigned rounds,
                   bool as_json)
{
    double middle = median(ratios, rounds);
    const char *format = as_json ? "{\"name\": \"%s\", \"unit\": \"handshakes/s\", \"bare\": %.0f, "
                                   "\"ours\": %.0f, \"ratio\": %.3f, \"ratio_q1\": %.3f, "
                                   "\"ratio_q3\": %.3f, \"least\": %.3f, \"most\": %.3f}\n"
                                 : "%-22s %9.0f %9.0f  %.3f (%.3f, %.3f; %.3f – %.3f)\n";
    printf(format, name, median(bare, rounds), median(ours, rounds), middle, ratios[rounds / 4],
           ratios[rounds - 1 - rounds / 4], ratios[0], ratios[rounds - 1]);
    (void)fflush(stdout);
}

/* A B, B A, A B …: what the machine does meanwhile hits both. */
static void compare_kind(const struct pure_kind *kind, const struct pure_certs *certs,
                         unsigned rounds, unsigned ms, bool as_json)
{
    static double bare[ROUNDS_MAX];
    static double ours[ROUNDS_MAX];
    static double ratios[ROUNDS_MAX];
    struct shaking *first = shaking_open(&pure_bare, kind, certs);
    struct shaking *second = shaking_open(&pure_ours, kind, certs);
    for (unsigned i = 0; i < rounds; i++) {
        if (i % 2 == 0) {
            bare[i] = run_for(first, ms);
            ours[i] = run_for(second, ms);
        } else {
            ours[i] = run_for(second, ms);
            bare[i] = run_for(first, ms);
        }
        ratios[i] = ours[i] / bare[i];
    }
    report(kind->name, bare, ours, ratios, rounds, as_json);
    shaking_close(first);
    shaking_close(second);
}

/* ---- the command line ------------------------------------------------------------------------ */

struct choice {
    unsigned rounds;
    unsigned ms;
    const char *side; /* NULL: both, in turns */
    bool as_json;
};

static bool parse(int argc, char **argv, struct choice *out_choice)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'}, {"ms", required_argument, NULL, 'm'},
        {"cpu", required_argument, NULL, 'c'},    {"side", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},         {NULL, 0, NULL, 0},
    };
    int key;
    while ((key = getopt_long(argc, argv, "", options, NULL)) != -1) {
        unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(number % CPU_SETSIZE, &set);
        if (key == 'r' && number >= 1 && number <= ROUNDS_MAX) {
            out_choice->rounds = (unsigned)number;
        } else if (key == 'm' && number >= 1 && number <= 60000) {
            out_choice->ms = (unsigned)number;
        } else if (key == 's' && (strcmp(optarg, "bare") == 0 || strcmp(optarg, "ours") == 0)) {
            out_choice->side = optarg;
        } else if (key == 'j') {
            out_choice->as_json = true;
        } else if (key != 'c' || sched_setaffinity(0, sizeof set, &set) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_wanted(const char *name, char **words, int count)
{
    bool wanted = count == 0;
    for (int i = 0; i < count; i++) {
        wanted = wanted || strstr(name, words[i]) != NULL;
    }
    return wanted;
}

/* One side alone, for a profiler. */
static void run_side(const struct pure_kind *kind, const struct pure_certs *certs,
                     const struct choice *choice)
{
    struct shaking *s = shaking_open(choice->side[0] == 'b' ? &pure_bare : &pure_ours, kind, certs);
    printf("%-22s %s %9.0f\n", kind->name, choice->side, run_for(s, choice->ms));
    shaking_close(s);
}

int main(int argc, char **argv)
{
    struct choice choice = {.rounds = 31, .ms = 30};
    struct pure_certs certs;
    if (!parse(argc, argv, &choice)) {
        fprintf(stderr, "usage: bench_tls [--rounds N] [--ms N] [--cpu N] [--side bare|ours] "
                        "[--json] [NAME...]\n");
        return 2;
    }
    pure_certs_make(&certs);
    if (!choice.as_json) {
        printf("%-22s %9s %9s  ours : bare, median (quartiles; least – most of %u)\n",
               "handshakes/s", "bare", "ours", choice.rounds);
    }
    for (size_t i = 0; i < KINDS_COUNT; i++) {
        if (!is_wanted(kinds[i].name, argv + optind, argc - optind)) {
            continue;
        }
        if (choice.side) {
            run_side(&kinds[i], &certs, &choice);
        } else {
            compare_kind(&kinds[i], &certs, choice.rounds, choice.ms, choice.as_json);
        }
    }
    if (!choice.side && is_wanted("records", argv + optind, argc - optind)) {
        pure_records_compare(&certs, choice.rounds, choice.ms, choice.as_json);
    }
    pure_certs_remove(&certs);
    return 0;
}
