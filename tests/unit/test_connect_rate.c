/*
 * test_connect_rate — connects a minute: against a bucket for every client, kept for ever
 */
#include "engine/roles/connect_rate.h"
#include "proto/limits.h"
#include "tests/support/prng.h"
#include "tests/support/run.h"

#define CLIENTS 5000u

static void connect_rate_allows_so_many_at_once_and_then_in_its_time(void)
{
    struct fmx_connect_rate table = {0};
    uint64_t now_ns = 1000 * FMX_NS_PER_S;

    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT(fmx_connect_rate_allows(&table, 7, 5, now_ns));
    }
    CU_ASSERT(!fmx_connect_rate_allows(&table, 7, 5, now_ns));
    CU_ASSERT(fmx_connect_rate_allows(&table, 8, 5, now_ns)); /* another client */
    CU_ASSERT(!fmx_connect_rate_allows(&table, 7, 5, now_ns + 12 * FMX_NS_PER_S - 1));
    CU_ASSERT(fmx_connect_rate_allows(&table, 7, 5, now_ns + 12 * FMX_NS_PER_S));
    CU_ASSERT(!fmx_connect_rate_allows(&table, 7, 5, now_ns + 12 * FMX_NS_PER_S));
    CU_ASSERT(fmx_connect_rate_allows(&table, 0, 1, now_ns)); /* any hash is one */
    CU_ASSERT(!fmx_connect_rate_allows(&table, 0, 1, now_ns));
    fmx_connect_rate_wipe(&table);
    CU_ASSERT(fmx_connect_rate_allows(&table, 7, 5, now_ns));
    fmx_connect_rate_wipe(&table);
}

static void connect_rate_agrees_with_a_bucket_for_each_client(void)
{
    static uint64_t full_ns[CLIENTS];
    struct fmx_prng prng = {.state = 20261122};
    struct fmx_connect_rate table = {0};
    uint64_t now_ns = FMX_NS_PER_S;

    memset(full_ns, 0, sizeof(full_ns));
    for (unsigned step = 0; step < 200000; step++) {
        uint32_t per_minute = step < 100000 ? 5 : 60;
        uint64_t token_ns = 60 * FMX_NS_PER_S / per_minute;
        uint32_t client = (uint32_t)fmx_prng_below(&prng, CLIENTS);
        now_ns += fmx_prng_below(&prng, 20 * FMX_NS_PER_MS);
        uint64_t from_ns = full_ns[client] > now_ns ? full_ns[client] : now_ns;
        bool may = from_ns + token_ns <= now_ns + per_minute * token_ns;
        if (may) {
            full_ns[client] = from_ns + token_ns;
        }
        uint64_t hash = (client + 1) * 0x9e3779b97f4a7c15ull;
        CU_ASSERT_EQUAL_FATAL(fmx_connect_rate_allows(&table, hash, per_minute, now_ns), may);
        CU_ASSERT_FATAL(table.used <= table.capacity / 4 * 3);
    }
    fmx_connect_rate_wipe(&table);
}

static void connect_rate_forgets_clients_whose_minute_is_over(void)
{
    struct fmx_connect_rate table = {0};
    uint64_t now_ns = FMX_NS_PER_S;

    for (uint64_t client = 1; client <= 1000000; client++) {
        now_ns += FMX_NS_PER_MS; /* a thousand a second: sixty thousand in a minute */
        CU_ASSERT_FATAL(fmx_connect_rate_allows(&table, client * 0x9e3779b97f4a7c15ull, 5, now_ns));
    }
    CU_ASSERT(table.capacity <= 65536);
    fmx_connect_rate_wipe(&table);
}

static void connect_rate_remembers_buckets_until_they_are_full(void)
{
    struct fmx_connect_rate table = {0};
    struct fmx_rate_memory rates = {.up_full_ns = 500, .up_qos1_full_ns = 300};
    struct fmx_rate_memory full = {.up_full_ns = 90, .up_qos1_full_ns = 0};

    CU_ASSERT_EQUAL(fmx_connect_rate_recall(&table, 7).up_full_ns, 0);
    fmx_connect_rate_remember(&table, 7, &full, 100);
    CU_ASSERT_EQUAL(table.used, 0);
    fmx_connect_rate_remember(&table, 7, &rates, 100);
    CU_ASSERT_EQUAL(fmx_connect_rate_recall(&table, 7).up_full_ns, 500);
    CU_ASSERT_EQUAL(fmx_connect_rate_recall(&table, 7).up_qos1_full_ns, 300);
    CU_ASSERT_EQUAL(fmx_connect_rate_recall(&table, 8).up_full_ns, 0);
    for (uint64_t client = 100; client < 1100; client++) { /* the table grows, and keeps it */
        fmx_connect_rate_remember(&table, client, &rates, 200);
    }
    CU_ASSERT_EQUAL(fmx_connect_rate_recall(&table, 7).up_full_ns, 500);
    for (uint64_t client = 5000; client < 9000; client++) { /* by then it is full again */
        CU_ASSERT(fmx_connect_rate_allows(&table, client, 5, 600));
    }
    CU_ASSERT_EQUAL(fmx_connect_rate_recall(&table, 7).up_full_ns, 0);
    fmx_connect_rate_wipe(&table);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(connect_rate_allows_so_many_at_once_and_then_in_its_time),
    FMX_TEST_CASE(connect_rate_agrees_with_a_bucket_for_each_client),
    FMX_TEST_CASE(connect_rate_forgets_clients_whose_minute_is_over),
    FMX_TEST_CASE(connect_rate_remembers_buckets_until_they_are_full),
};

int main(int argc, char **argv)
{
    return fmx_test_main("connect_rate", cases, sizeof cases / sizeof cases[0], argc, argv);
}
