/*
 * tls_pool — threads that make handshake steps for shards
 *
 * Why it is so:   a full handshake is a tenth to a whole millisecond of arithmetic, an age for the
 *                 tens of thousands of sessions beside it. Some ten thousand steps a second are few
 *                 enough for one queue under one lock. Workers run as SCHED_IDLE: a shard that
 *                 wakes takes the processor from one at once, where a nice value lets it wait for
 *                 milliseconds. Where nothing is left for them, shards help
 * Invariants:     (1) a stream is with a worker or with its shard, never both (2) each job comes
 *                 back, and its shard is woken
 * Memory:         jobs are the shards'; what a step has to say is gathered in the job
 * Threads:        push: shards; open and close: whoever opens the process object
 * Limits:         shards bound their unfinished handshakes, so the queue needs no bound
 * Not here:       when a step is due, and what follows from it: handshakes.c, conn_tls.c
 */
#include "engine/tls_pool.h"

#include "engine/clock.h"
#include "engine/shard.h"
#include "proto/limits.h"

#include <sched.h>

#define STALL_NS (10 * FMX_NS_PER_MS) /* jobs wait, and no worker has begun one: shards help */

struct worker {
    struct fmx_tls_pool *pool;
    unsigned number;
    pthread_t thread;
};

struct fmx_tls_pool {
    _Atomic uint64_t moved_ns; /* when a worker began a step, or the first job came; 0: no jobs */
    pthread_mutex_t lock;      /* of the next four, and for writing `moved_ns` */
    pthread_cond_t has_jobs;
    struct fmx_tls_job *first;
    struct fmx_tls_job *last;
    bool is_ending;
    uint32_t workers_count; /* started */
    struct worker workers[];
};

static bool gather(void *user, fmx_slice records)
{
    return fmx_carry_append(user, records);
}

static void step(struct fmx_tls_job *job, unsigned number)
{
    struct fmx_tls_sink sink = {.write = gather, .user = &job->out};
    fmx_slice records = fmx_carry_span(job->records);
    size_t bytes = records.bytes;

    job->status = fmx_tls_handshake(job->stream, number, &records, &sink);
    fmx_carry_consume(&job->records, bytes - records.bytes);
}

/* Under the lock. NULL: no jobs. */
static struct fmx_tls_job *pop(struct fmx_tls_pool *pool)
{
    struct fmx_tls_job *job = pool->first;

    if (job != NULL) {
        pool->first = job->next;
    }
    if (pool->first == NULL) {
        atomic_store_explicit(&pool->moved_ns, 0, memory_order_relaxed);
    }
    return job;
}

static struct fmx_tls_job *take(struct fmx_tls_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->is_ending) {
        pthread_cond_wait(&pool->has_jobs, &pool->lock);
    }
    struct fmx_tls_job *job = pop(pool);
    if (pool->first != NULL) {
        atomic_store_explicit(&pool->moved_ns, fmx_clock_ns(), memory_order_relaxed);
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

/* release: who sees the job sees what the step has written */
static void give_back(struct fmx_tls_job *job)
{
    struct fmx_shard *shard = job->shard;
    struct fmx_handshakes *handshakes = &shard->handshakes;

    job->next = atomic_load_explicit(&handshakes->stepped, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&handshakes->stepped, &job->next, job,
                                                  memory_order_release, memory_order_relaxed)) {
    }
    if (fmx_bell_must_ring(&shard->bell)) {
        fmx_ring_wake(shard->ring);
    }
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    struct fmx_tls_job *job;

    (void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &(struct sched_param){0});
    while ((job = take(worker->pool)) != NULL) {
        step(job, worker->number);
        give_back(job);
    }
    return NULL;
}

static void keep_to(pthread_t thread, const int *cpus, uint32_t cpus_count)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (uint32_t i = 0; i < cpus_count; i++) {
        CPU_SET((size_t)cpus[i], &set);
    }
    (void)pthread_setaffinity_np(thread, sizeof(set), &set);
}

enum fmx_status fmx_tls_pool_open(uint32_t workers, uint32_t first_thread, const int *cpus,
                                  uint32_t cpus_count, struct fmx_tls_pool **out_pool)
{
    struct fmx_tls_pool *pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->workers[0]));

    if (pool == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_jobs, NULL);
    for (uint32_t i = 0; i < workers; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .number = first_thread + i};
        if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
            fmx_tls_pool_close(pool);
            return FMX_SYS_THREAD;
        }
        keep_to(worker->thread, cpus, cpus_count);
        pool->workers_count++;
    }
    *out_pool = pool;
    return FMX_OK;
}

void fmx_tls_pool_close(struct fmx_tls_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->is_ending = true;
    pthread_cond_broadcast(&pool->has_jobs);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->workers_count; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    FMX_ASSERT(pool->first == NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->has_jobs);
    free(pool);
}

void fmx_tls_pool_push(struct fmx_tls_pool *pool, struct fmx_tls_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->first == NULL) {
        pool->first = job;
        atomic_store_explicit(&pool->moved_ns, fmx_clock_ns(), memory_order_relaxed);
    } else {
        pool->last->next = job;
    }
    pool->last = job;
    pthread_cond_signal(&pool->has_jobs);
    pthread_mutex_unlock(&pool->lock);
}

uint64_t fmx_tls_pool_help_ns(const struct fmx_tls_pool *pool)
{
    uint64_t moved_ns = atomic_load_explicit(&pool->moved_ns, memory_order_relaxed);

    return moved_ns == 0 ? UINT64_MAX : moved_ns + STALL_NS;
}

bool fmx_tls_pool_help(struct fmx_tls_pool *pool, unsigned thread, uint64_t now_ns)
{
    if (now_ns < fmx_tls_pool_help_ns(pool)) {
        return false;
    }
    pthread_mutex_lock(&pool->lock);
    struct fmx_tls_job *job = pop(pool);
    pthread_mutex_unlock(&pool->lock);
    if (job == NULL) {
        return false;
    }
    step(job, thread);
    give_back(job);
    return true;
}
