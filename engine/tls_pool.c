/*
 * tls_pool — threads that make handshake steps for shards
 *
 * Why it is so:   a full handshake is a tenth to a whole millisecond of arithmetic, an age for the
 *                 tens of thousands of sessions beside it. Some ten thousand steps a second are few
 *                 enough for one queue under one lock
 * Invariants:     (1) a stream is with a worker or with its shard, never both (2) each job comes
 *                 back, and its shard is woken
 * Memory:         jobs are the shards'; what a step has to say is gathered in the job
 * Threads:        push: shards; open and close: whoever opens the process object
 * Limits:         shards bound their unfinished handshakes, so the queue needs no bound
 * Not here:       when a step is due, and what follows from it: handshakes.c, conn_tls.c
 */
#include "engine/tls_pool.h"

#include "engine/shard.h"

#include <sys/resource.h>

#define NICE 10 /* those who hold sessions go first */

struct worker {
    struct fmx_tls_pool *pool;
    unsigned number;
    pthread_t thread;
};

struct fmx_tls_pool {
    pthread_mutex_t lock; /* of the next four */
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

static struct fmx_tls_job *take(struct fmx_tls_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->is_ending) {
        pthread_cond_wait(&pool->has_jobs, &pool->lock);
    }
    struct fmx_tls_job *job = pool->first;
    if (job != NULL) {
        pool->first = job->next;
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

    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread */
    while ((job = take(worker->pool)) != NULL) {
        step(job, worker->number);
        give_back(job);
    }
    return NULL;
}

enum fmx_status fmx_tls_pool_open(uint32_t workers, uint32_t first_thread,
                                  struct fmx_tls_pool **out_pool)
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
    } else {
        pool->last->next = job;
    }
    pool->last = job;
    pthread_cond_signal(&pool->has_jobs);
    pthread_mutex_unlock(&pool->lock);
}
