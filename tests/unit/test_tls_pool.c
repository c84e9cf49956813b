/*
 * test_tls_pool — steps of handshakes away from their shard: each comes back, whoever has made it
 */
#include "engine/clock.h"
#include "engine/shard.h"
#include "engine/tls_pool.h"
#include "proto/limits.h"
#include "tests/support/run.h"

#include <unistd.h>

enum { JOBS = 100 };

static struct fmx_shard shard; /* its bell does not ring: it does not sleep */
static const int first_cpu[] = {0};

static struct fmx_tls_context *open_context(void)
{
    struct fmx_tls_client options;
    struct fmx_tls_context *context = NULL;
    char error[512];

    fmx_tls_client_init(&options);
    options.insecure = true;
    CU_ASSERT_EQUAL_FATAL(fmx_tls_client_open(&options, &context, error, sizeof(error)), FMX_OK);
    return context;
}

/* The first step of a client needs nothing from its peer. */
static struct fmx_tls_job *make_job(struct fmx_tls_context *context, uint32_t number)
{
    struct fmx_tls_job *job = calloc(1, sizeof(*job));
    struct fmx_tls_dial dial = {.server_name = "localhost"};

    CU_ASSERT_PTR_NOT_NULL_FATAL(job);
    job->shard = &shard;
    job->conn = number;
    job->stream = fmx_tls_connect(context, &dial);
    CU_ASSERT_PTR_NOT_NULL_FATAL(job->stream);
    return job;
}

/* Those that are back: their numbers' bits into `seen`. Returns how many there were. */
static uint32_t take_back(bool seen[JOBS])
{
    struct fmx_tls_job *job = atomic_exchange(&shard.handshakes.stepped, NULL);
    uint32_t count = 0;

    while (job != NULL) {
        struct fmx_tls_job *next = job->next;
        CU_ASSERT_EQUAL(job->status, FMX_MORE);
        CU_ASSERT(fmx_carry_bytes(job->out) > 0);
        CU_ASSERT_FALSE(seen[job->conn]);
        seen[job->conn] = true;
        fmx_tls_stream_close(job->stream);
        fmx_carry_drop(&job->out);
        free(job);
        job = next;
        count++;
    }
    return count;
}

static void each_job_comes_back_once(void)
{
    struct fmx_tls_context *context = open_context();
    struct fmx_tls_pool *pool;
    bool seen[JOBS] = {false};
    uint32_t back = 0;

    CU_ASSERT_EQUAL_FATAL(fmx_tls_pool_open(3, 1, first_cpu, 1, &pool), FMX_OK);
    for (uint32_t i = 0; i < JOBS; i++) {
        fmx_tls_pool_push(pool, make_job(context, i));
    }
    while (back < JOBS) {
        back += take_back(seen);
        usleep(100);
    }
    fmx_tls_pool_close(pool);
    CU_ASSERT_EQUAL(take_back(seen), 0);
    fmx_tls_context_drop(context);
}

/* Without workers, as if others kept them from the processor. */
static void a_shard_helps_when_no_worker_comes(void)
{
    struct fmx_tls_context *context = open_context();
    struct fmx_tls_pool *pool;
    bool seen[JOBS] = {false};

    CU_ASSERT_EQUAL_FATAL(fmx_tls_pool_open(0, 1, first_cpu, 1, &pool), FMX_OK);
    CU_ASSERT_FALSE(fmx_tls_pool_help(pool, 0, fmx_clock_ns() + FMX_NS_PER_S));
    uint64_t before_ns = fmx_clock_ns();
    fmx_tls_pool_push(pool, make_job(context, 0));
    fmx_tls_pool_push(pool, make_job(context, 1));
    CU_ASSERT_FALSE(fmx_tls_pool_help(pool, 0, before_ns));
    CU_ASSERT_EQUAL(take_back(seen), 0);
    uint64_t later_ns = fmx_clock_ns() + FMX_NS_PER_S;
    CU_ASSERT(fmx_tls_pool_help(pool, 0, later_ns));
    CU_ASSERT_EQUAL(take_back(seen), 1);
    CU_ASSERT(seen[0]); /* first come, first served */
    CU_ASSERT(fmx_tls_pool_help(pool, 0, later_ns));
    CU_ASSERT_EQUAL(take_back(seen), 1);
    CU_ASSERT_FALSE(fmx_tls_pool_help(pool, 0, later_ns));
    fmx_tls_pool_close(pool);
    fmx_tls_context_drop(context);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(each_job_comes_back_once),
    FMX_TEST_CASE(a_shard_helps_when_no_worker_comes),
};

int main(int argc, char **argv)
{
    return fmx_test_main("tls_pool", cases, sizeof cases / sizeof cases[0], argc, argv);
}
