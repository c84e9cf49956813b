/*
 * store — operations from the shards to the disk: batches, their hand-over, the thread that commits
 *
 * Why it is so:   a sync of the disk takes as long as hundreds of messages. So a shard never waits
 *                 for one: it writes what it wants into a buffer, hands that over once a turn, and
 *                 hears later how far the disk has come. While one commit is under way, what the
 *                 shards post meanwhile gathers for the next; under load commits grow by themselves
 *                 and `commit_wait_us` matters only when there is little
 * Words:          batch: operations of one shard, in their order, in one buffer; open: the batch
 *                 that is being written; spare: an empty one on its way back to its shard
 * Invariants:     (1) a shard's operations reach the file in the order of its calls
 *                 (2) the file holds, of each shard, all operations up to some sequence number and
 *                 none after it; what on_committed has named is below that number
 *                 (3) a message that is put and dropped in one transaction is never written
 * Failure:        a transaction that the disk refuses is rolled back and tried again, RETRIES times
 *                 with pauses that grow to a second. After that, (2) can only be kept by carrying
 *                 out nothing any more: the store has failed and stays so. All that waits, and all
 *                 that comes, is counted in `failures`; on_committed is not called again;
 *                 fmx_store_is_full is true; fmx_store_failure has words for the log
 * Memory:         batches; about WAITING_BYTES_MAX of messages before fmx_store_is_full says so,
 *                 and what is posted regardless: it is advice, the gateway's to follow
 * Threads:        each shard writes its own side; the store's thread owns the file. Signals are
 *                 left to the other threads
 * Limits:         a message's number is put once and dropped once; see (3)
 * Not here:       SQLite: store_file.c, store_read.c. What to store and when: the gateway
 *
 * Memory order, each with its reason:
 *   handed   shards push (sequentially consistent), the thread takes all with one exchange
 *            (acquire): a batch is whole before it is found
 *   state    the thread stores that it sleeps and then looks at `handed`; a shard pushes and then
 *            looks at `state`. All four are sequentially consistent, so at least one of the two
 *            sees the other, and no wake-up is lost. Going back to AWAKE is relaxed: a shard that
 *            sees it late makes one needless system call. In GATHERING a wake-up may be lost, which
 *            costs no more than the time that was meant to be waited
 *   spare    exchanged by both with acquire and release: the thread has read the batch to its end
 *            before the shard writes it anew
 *   stop     stored (sequentially consistent) before `state` is read, as a push is
 *   failed   release after the words are written, acquire by who reads them. Elsewhere relaxed: a
 *            shard that hears late posts some operations more, which are counted like the rest
 *   waiting  relaxed: a level to look at. It is raised before the push and lowered after the take,
 *            which orders the two, so it never wraps
 *   last_id  relaxed: all that matters is that no two callers get the same
 *   counters relaxed: nobody concludes anything from one about another
 */
#include "engine/roles/store.h"

#include "engine/clock.h"
#include "engine/roles/store_file.h"
#include "proto/limits.h"
#include <errno.h>
#include <fleetmux/private/assert.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAITING_BYTES_MAX  (64u << 20)
#define BATCH_BYTES_FIRST  ((size_t)4 << 10)
#define BATCH_BYTES_MAX    ((size_t)256 << 10) /* handed over early; no larger one is a spare */
#define COUNT_BYTES        ((size_t)64 << 10)  /* so much may wait for the disk uncounted */
#define COMPANY_BYTES      (256u << 10)        /* enough for a commit: no waiting for more */
#define COMMIT_WAIT_US_MAX 100000u
#define RETRIES            4u
#define RETRY_MS_FIRST     20u /* then four times as long each time */

/* The shards' part, one for each; only `spare` is touched by the thread. */
struct side {
    alignas(64) struct fmx_store_batch *open; /* NULL: nothing is posted */
    uint64_t sequence;
    size_t uncounted_bytes; /* of the open batch, not yet in `waiting` */
    _Atomic(struct fmx_store_batch *) spare;
};

/* What the thread does, as shards need to know it. The word it sleeps on. */
enum state {
    AWAKE,
    GATHERING, /* sleeps for a short time; wakes up early when there is enough */
    IDLE,      /* sleeps until there is anything */
};

struct fmx_store {
    struct fmx_store_file file; /* the thread's, from its start on */
    struct side *sides;
    uint32_t shards_count;
    uint32_t commit_wait_us;
    fmx_store_committed *on_committed;
    void (*on_failed)(void *user);
    void *user;
    pthread_t thread;
    uint64_t *committed; /* the thread's: of each shard, what this commit has reached */

    alignas(64) _Atomic(struct fmx_store_batch *) handed; /* newest first */
    _Atomic uint32_t state;
    _Atomic bool stop;
    _Atomic bool failed;
    _Atomic uint64_t waiting_bytes;
    alignas(64) _Atomic uint64_t last_id;
    _Atomic uint64_t failures;
    _Atomic uint64_t commits; /* this and the next two are written by the thread only */
    _Atomic uint64_t operations;
    _Atomic uint64_t commit_ns_longest;
};

static void count_failures(struct fmx_store *store, uint64_t count)
{
    atomic_fetch_add_explicit(&store->failures, count, memory_order_relaxed);
}

static bool has_failed(const struct fmx_store *store)
{
    return atomic_load_explicit(&store->failed, memory_order_relaxed);
}

/* ── the shards' side ── */

static void wake_if_asleep(struct fmx_store *store)
{
    uint32_t state = atomic_load_explicit(&store->state, memory_order_seq_cst);

    if (state == AWAKE ||
        (state == GATHERING &&
         atomic_load_explicit(&store->waiting_bytes, memory_order_relaxed) < COMPANY_BYTES &&
         !atomic_load_explicit(&store->stop, memory_order_relaxed))) {
        return;
    }
    if (atomic_exchange_explicit(&store->state, AWAKE, memory_order_relaxed) != AWAKE) {
        syscall(SYS_futex, &store->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static void count_waiting(struct fmx_store *store, struct side *side)
{
    atomic_fetch_add_explicit(&store->waiting_bytes, side->uncounted_bytes, memory_order_relaxed);
    side->uncounted_bytes = 0;
}

void fmx_store_flush(struct fmx_store *store, uint32_t shard)
{
    FMX_DEBUG_ASSERT(shard < store->shards_count);
    struct side *side = &store->sides[shard];
    struct fmx_store_batch *batch = side->open;

    if (batch == NULL || batch->count == 0) {
        return;
    }
    count_waiting(store, side);
    side->open = NULL;
    batch->next = atomic_load_explicit(&store->handed, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&store->handed, &batch->next, batch,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
    }
    wake_if_asleep(store);
}

static struct fmx_store_batch *grow(struct fmx_store_batch *batch, size_t bytes)
{
    size_t capacity = batch == NULL ? BATCH_BYTES_FIRST : batch->capacity;
    size_t needed = batch == NULL ? bytes : batch->bytes + bytes;

    while (capacity < needed) {
        capacity *= 2;
    }
    struct fmx_store_batch *grown = realloc(batch, sizeof(*grown) + capacity);
    if (grown != NULL) {
        if (batch == NULL) {
            *grown = (struct fmx_store_batch){0};
        }
        grown->capacity = capacity;
    }
    return grown;
}

static struct fmx_store_batch *open_batch(struct side *side, uint32_t shard)
{
    struct fmx_store_batch *batch =
        atomic_exchange_explicit(&side->spare, NULL, memory_order_acq_rel);

    if (batch == NULL) {
        batch = grow(NULL, 0);
    }
    if (batch != NULL) {
        *batch = (struct fmx_store_batch){.shard = shard, .capacity = batch->capacity};
    }
    return batch;
}

/* Room for an operation with so many bytes of text. NULL: it is lost, and counted. */
static struct fmx_store_record *append(struct fmx_store *store, uint32_t shard, size_t text_bytes)
{
    FMX_ASSERT(shard < store->shards_count);
    struct side *side = &store->sides[shard];
    size_t bytes = (sizeof(struct fmx_store_record) + text_bytes + 7) & ~(size_t)7;

    if (side->open != NULL && side->open->bytes >= BATCH_BYTES_MAX) {
        fmx_store_flush(store, shard);
    }
    if (side->open == NULL && !has_failed(store)) {
        side->open = open_batch(side, shard);
    }
    struct fmx_store_batch *batch = has_failed(store) ? NULL : side->open;
    if (batch != NULL && batch->capacity - batch->bytes < bytes) {
        batch = grow(batch, bytes);
        side->open = batch != NULL ? batch : side->open;
    }
    if (batch == NULL) {
        count_failures(store, 1);
        return NULL;
    }
    struct fmx_store_record *record = (void *)(batch->records + batch->bytes);
    *record = (struct fmx_store_record){.bytes = (uint32_t)bytes};
    batch->bytes += bytes;
    batch->count++;
    batch->last = ++side->sequence;
    side->uncounted_bytes += bytes;
    if (side->uncounted_bytes >= COUNT_BYTES) {
        count_waiting(store, side);
    }
    return record;
}

/* An operation with one text or none. */
static struct fmx_store_record *post(struct fmx_store *store, uint32_t shard,
                                     enum fmx_store_kind kind, uint64_t session, fmx_slice text)
{
    FMX_ASSERT(text.bytes <= FMX_STRING_BYTES_MAX);
    struct fmx_store_record *record = append(store, shard, text.bytes);

    if (record != NULL) {
        record->kind = (uint8_t)kind;
        record->session = session;
        record->texts[0] = (uint32_t)text.bytes;
        if (text.bytes > 0) {
            memcpy(record + 1, text.data, text.bytes);
        }
    }
    return record;
}

static uint64_t sequence_of(const struct fmx_store *store, uint32_t shard,
                            const struct fmx_store_record *record)
{
    return record == NULL ? 0 : store->sides[shard].sequence;
}

uint64_t fmx_store_put_session(struct fmx_store *store, uint32_t shard,
                               const struct fmx_store_session *session)
{
    FMX_ASSERT(session->id != 0);
    struct fmx_store_record *record =
        post(store, shard, FMX_STORE_PUT_SESSION, session->id, session->key);

    if (record != NULL) {
        record->expiry_s = session->expiry_s;
        record->flags = session->flags;
        record->unix_ms = session->away_ms;
    }
    return sequence_of(store, shard, record);
}

uint64_t fmx_store_drop_session(struct fmx_store *store, uint32_t shard, uint64_t session)
{
    return sequence_of(store, shard,
                       post(store, shard, FMX_STORE_DROP_SESSION, session, (fmx_slice){0}));
}

uint64_t fmx_store_subscribe(struct fmx_store *store, uint32_t shard, uint64_t session,
                             fmx_slice filter, uint8_t options)
{
    struct fmx_store_record *record = post(store, shard, FMX_STORE_SUBSCRIBE, session, filter);

    if (record != NULL) {
        record->qos = options;
    }
    return sequence_of(store, shard, record);
}

uint64_t fmx_store_unsubscribe(struct fmx_store *store, uint32_t shard, uint64_t session,
                               fmx_slice filter)
{
    return sequence_of(store, shard, post(store, shard, FMX_STORE_UNSUBSCRIBE, session, filter));
}

/* A moment of the shard's clock in UNIX time, rounded up to what can be written. */
static uint64_t unix_ms_of(uint64_t expires_ns, uint64_t now_ns)
{
    if (expires_ns == 0) {
        return 0;
    }
    uint64_t left_ns = expires_ns > now_ns ? expires_ns - now_ns : 0;
    return fmx_store_unix_ms() + left_ns / FMX_NS_PER_MS + (left_ns % FMX_NS_PER_MS != 0);
}

uint64_t fmx_store_put_message(struct fmx_store *store, uint32_t shard, uint64_t session,
                               const struct fmx_payload *payload, uint64_t now_ns)
{
    FMX_ASSERT(payload->store_id != 0);
    size_t text_bytes =
        (size_t)payload->topic_bytes + payload->props_bytes + payload->payload_bytes;
    struct fmx_store_record *record = append(store, shard, text_bytes);

    if (record != NULL) {
        record->kind = FMX_STORE_PUT_MESSAGE;
        record->qos = payload->qos;
        record->session = session;
        record->message = payload->store_id;
        record->unix_ms = unix_ms_of(payload->expires_ns, now_ns);
        record->texts[0] = payload->topic_bytes;
        record->texts[1] = payload->props_bytes;
        record->texts[2] = payload->payload_bytes;
        memcpy(record + 1, payload->bytes, text_bytes);
        store->sides[shard].open->puts++;
    }
    return sequence_of(store, shard, record);
}

uint64_t fmx_store_drop_message(struct fmx_store *store, uint32_t shard, uint64_t message)
{
    struct fmx_store_record *record = post(store, shard, FMX_STORE_DROP_MESSAGE, 0, (fmx_slice){0});

    if (record != NULL) {
        record->message = message;
        store->sides[shard].open->drops++;
    }
    return sequence_of(store, shard, record);
}

/* ── the thread: taking ── */

/* Batches in the order in which they are carried out. */
struct chain {
    struct fmx_store_batch *first;
    struct fmx_store_batch *last;
};

/* All that was handed over goes behind the chain, oldest first. */
static void take_all(struct fmx_store *store, struct chain *chain)
{
    struct fmx_store_batch *newest =
        atomic_exchange_explicit(&store->handed, NULL, memory_order_acquire);
    struct fmx_store_batch *oldest = NULL;
    struct fmx_store_batch *last = newest;

    while (newest != NULL) {
        struct fmx_store_batch *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    if (oldest == NULL) {
        return;
    }
    if (chain->first == NULL) {
        chain->first = oldest;
    } else {
        chain->last->next = oldest;
    }
    chain->last = last;
}

static bool has_enough(struct fmx_store *store, enum state state)
{
    if (atomic_load_explicit(&store->stop, memory_order_seq_cst)) {
        return true;
    }
    if (state == IDLE) {
        return atomic_load_explicit(&store->handed, memory_order_seq_cst) != NULL;
    }
    return atomic_load_explicit(&store->waiting_bytes, memory_order_relaxed) >= COMPANY_BYTES;
}

/* May return early, with or without a reason. `wait_us` 0: as long as it takes. */
static void sleep_in(struct fmx_store *store, enum state state, uint32_t wait_us)
{
    struct timespec wait = {.tv_sec = wait_us / 1000000u, .tv_nsec = wait_us % 1000000u * 1000};

    atomic_store_explicit(&store->state, state, memory_order_seq_cst);
    if (!has_enough(store, state)) {
        syscall(SYS_futex, &store->state, FUTEX_WAIT_PRIVATE, state, wait_us > 0 ? &wait : NULL,
                NULL, 0);
    }
    atomic_store_explicit(&store->state, AWAKE, memory_order_relaxed);
}

/* What the next commit is about. Empty: the store is being closed and nothing is left. */
static struct chain gather(struct fmx_store *store)
{
    struct chain chain = {0};

    for (;;) {
        /* Looked at first: what was handed over before it was set is then found. */
        bool stop = atomic_load_explicit(&store->stop, memory_order_seq_cst);
        take_all(store, &chain);
        if (chain.first != NULL || stop) {
            break;
        }
        sleep_in(store, IDLE, 0);
    }
    if (chain.first != NULL && store->commit_wait_us > 0 && !has_enough(store, GATHERING)) {
        sleep_in(store, GATHERING, store->commit_wait_us);
        take_all(store, &chain);
    }
    return chain;
}

/* ── the thread: messages that need not be written ── */

/* Puts of messages by their number: open addressing, at most half full. */
struct puts {
    struct fmx_store_record **records;
    size_t mask;
};

static struct fmx_store_record **place_of(const struct puts *puts, uint64_t message)
{
    uint64_t hash = message * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash ^ (hash >> 32)) & puts->mask;

    while (puts->records[at] != NULL && puts->records[at]->message != message) {
        at = (at + 1) & puts->mask;
    }
    return &puts->records[at];
}

static void strike_pairs_of(struct fmx_store_batch *batch, const struct puts *puts)
{
    for (size_t at = 0; at < batch->bytes;) {
        struct fmx_store_record *record = (void *)(batch->records + at);
        if (record->kind == FMX_STORE_PUT_MESSAGE) {
            *place_of(puts, record->message) = record;
        } else if (record->kind == FMX_STORE_DROP_MESSAGE) {
            struct fmx_store_record *put = *place_of(puts, record->message);
            if (put != NULL && put->kind == FMX_STORE_PUT_MESSAGE) {
                put->kind = FMX_STORE_NOTHING;
                record->kind = FMX_STORE_NOTHING;
            }
        }
        at += record->bytes;
    }
}

/*
 * A message to somebody who is there is acknowledged soon: often its put and its drop meet here,
 * and neither has to reach the disk. Without memory for the table both simply do.
 */
static void strike_pairs(const struct chain *chain)
{
    size_t puts_count = 0;
    size_t drops_count = 0;
    size_t capacity = 16;

    for (struct fmx_store_batch *batch = chain->first; batch != NULL; batch = batch->next) {
        puts_count += batch->puts;
        drops_count += batch->drops;
    }
    if (puts_count == 0 || drops_count == 0) {
        return;
    }
    while (capacity < puts_count * 2) {
        capacity *= 2;
    }
    struct puts puts = {.records = calloc(capacity, sizeof(*puts.records)), .mask = capacity - 1};
    if (puts.records == NULL) {
        return;
    }
    for (struct fmx_store_batch *batch = chain->first; batch != NULL; batch = batch->next) {
        strike_pairs_of(batch, &puts);
    }
    free(puts.records);
}

/* ── the thread: committing ── */

static void fail(struct fmx_store *store)
{
    atomic_store_explicit(&store->failed, true, memory_order_release);
    if (store->on_failed != NULL) {
        store->on_failed(store->user);
    }
}

static bool write_or_fail(struct fmx_store *store, const struct chain *chain)
{
    uint32_t pause_ms = RETRY_MS_FIRST;

    for (unsigned retries = 0; !fmx_store_file_write(&store->file, chain->first); retries++) {
        if (retries == RETRIES || !fmx_store_file_may_recover(&store->file)) {
            fail(store);
            return false;
        }
        nanosleep(
            &(struct timespec){.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000},
            NULL);
        pause_ms *= 4;
    }
    return true;
}

static void report(struct fmx_store *store, const struct chain *chain)
{
    for (const struct fmx_store_batch *batch = chain->first; batch != NULL; batch = batch->next) {
        store->committed[batch->shard] = batch->last;
    }
    for (const struct fmx_store_batch *batch = chain->first; batch != NULL; batch = batch->next) {
        if (store->committed[batch->shard] == batch->last) {
            store->on_committed(store->user, batch->shard, batch->last);
        }
    }
}

static void count_commit(struct fmx_store *store, uint64_t operations, uint64_t took_ns)
{
    atomic_fetch_add_explicit(&store->commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&store->operations, operations, memory_order_relaxed);
    if (took_ns > atomic_load_explicit(&store->commit_ns_longest, memory_order_relaxed)) {
        atomic_store_explicit(&store->commit_ns_longest, took_ns, memory_order_relaxed);
    }
}

/* Back to its shard, to be filled again, or to the allocator. */
static void give_back(struct fmx_store *store, struct fmx_store_batch *batch)
{
    if (batch->capacity <= BATCH_BYTES_MAX) {
        batch = atomic_exchange_explicit(&store->sides[batch->shard].spare, batch,
                                         memory_order_acq_rel);
    }
    free(batch);
}

static void carry_out(struct fmx_store *store, const struct chain *chain)
{
    uint64_t begin_ns = fmx_clock_ns();
    uint64_t operations = 0;
    uint64_t bytes = 0;

    for (const struct fmx_store_batch *batch = chain->first; batch != NULL; batch = batch->next) {
        operations += batch->count;
        bytes += batch->bytes;
    }
    bool done = false;
    if (!has_failed(store)) {
        strike_pairs(chain);
        done = write_or_fail(store, chain);
    }
    if (done) {
        count_commit(store, operations, fmx_clock_ns() - begin_ns);
    } else {
        count_failures(store, operations);
    }
    atomic_fetch_sub_explicit(&store->waiting_bytes, bytes, memory_order_relaxed);
    if (done) {
        report(store, chain);
    }
    for (struct fmx_store_batch *batch = chain->first; batch != NULL;) {
        struct fmx_store_batch *next = batch->next;
        give_back(store, batch);
        batch = next;
    }
}

static void *run_thread(void *argument)
{
    struct fmx_store *store = argument;
    struct chain chain;

    (void)pthread_setname_np(pthread_self(), "fmx-store");
    while ((chain = gather(store)).first != NULL) {
        carry_out(store, &chain);
    }
    return NULL;
}

/* ── opening and closing ── */

static enum fmx_status check_options(const struct fmx_store_options *options, char *error,
                                     size_t error_bytes)
{
    FMX_ASSERT(options->path != NULL && options->on_committed != NULL);
    FMX_ASSERT(options->shards_count > 0);
    if (options->commit_wait_us > COMMIT_WAIT_US_MAX) {
        snprintf(error, error_bytes, "commit_wait_us is %u: write 0 to %u", options->commit_wait_us,
                 COMMIT_WAIT_US_MAX);
        return FMX_E_OPTION;
    }
    return FMX_OK;
}

static struct fmx_store *allocate(const struct fmx_store_options *options)
{
    uint32_t count = options->shards_count;
    struct fmx_store *store = aligned_alloc(alignof(struct fmx_store), sizeof(*store));

    if (store == NULL) {
        return NULL;
    }
    memset(store, 0, sizeof(*store));
    store->file.lock_fd = -1;
    store->shards_count = count;
    store->commit_wait_us = options->commit_wait_us;
    store->on_committed = options->on_committed;
    store->on_failed = options->on_failed;
    store->user = options->user;
    store->sides = aligned_alloc(alignof(struct side), count * sizeof(*store->sides));
    store->committed = calloc(count, sizeof(*store->committed));
    if (store->sides != NULL) {
        memset(store->sides, 0, count * sizeof(*store->sides));
    }
    return store;
}

static void release(struct fmx_store *store)
{
    fmx_store_file_close(&store->file);
    for (uint32_t i = 0; store->sides != NULL && i < store->shards_count; i++) {
        free(store->sides[i].open); /* empty: memory ran out for its first operation */
        free(atomic_load_explicit(&store->sides[i].spare, memory_order_relaxed));
    }
    free(store->sides);
    free(store->committed);
    free(store);
}

static enum fmx_status start_thread(struct fmx_store *store, char *error, size_t error_bytes)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&store->thread, NULL, run_thread, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        snprintf(error, error_bytes, "the store's thread: %s", strerror(result));
        return FMX_SYS_THREAD;
    }
    return FMX_OK;
}

enum fmx_status fmx_store_open(const struct fmx_store_options *options,
                               struct fmx_store **out_store, char *error, size_t error_bytes)
{
    enum fmx_status status = check_options(options, error, error_bytes);

    *out_store = NULL;
    if (status != FMX_OK) {
        return status;
    }
    struct fmx_store *store = allocate(options);
    if (store == NULL || store->sides == NULL || store->committed == NULL) {
        snprintf(error, error_bytes, "no memory");
        status = FMX_LIMIT_MEMORY;
    } else {
        status = fmx_store_file_open(&store->file, options->path, error, error_bytes);
    }
    if (status == FMX_OK) {
        atomic_store_explicit(&store->last_id, store->file.last_id, memory_order_relaxed);
        status = start_thread(store, error, error_bytes);
    }
    if (status != FMX_OK) {
        if (store != NULL) {
            release(store);
        }
        return status;
    }
    *out_store = store;
    return FMX_OK;
}

void fmx_store_close(struct fmx_store *store)
{
    for (uint32_t i = 0; i < store->shards_count; i++) {
        fmx_store_flush(store, i);
    }
    atomic_store_explicit(&store->stop, true, memory_order_seq_cst);
    wake_if_asleep(store);
    pthread_join(store->thread, NULL);
    release(store);
}

/* ── any thread ── */

enum fmx_status fmx_store_read(struct fmx_store *store, const struct fmx_store_load *load,
                               uint64_t now_ns, char *error, size_t error_bytes)
{
    return fmx_store_file_read(store->file.path, load, now_ns, error, error_bytes);
}

uint64_t fmx_store_next_id(struct fmx_store *store)
{
    return atomic_fetch_add_explicit(&store->last_id, 1, memory_order_relaxed) + 1;
}

bool fmx_store_is_full(const struct fmx_store *store)
{
    return has_failed(store) ||
           atomic_load_explicit(&store->waiting_bytes, memory_order_relaxed) >= WAITING_BYTES_MAX;
}

const char *fmx_store_failure(const struct fmx_store *store)
{
    bool failed = atomic_load_explicit(&store->failed, memory_order_acquire);

    return failed ? store->file.words : NULL;
}

void fmx_store_stats(const struct fmx_store *store, struct fmx_store_stats *out_stats)
{
    *out_stats = (struct fmx_store_stats){
        .commits = atomic_load_explicit(&store->commits, memory_order_relaxed),
        .operations = atomic_load_explicit(&store->operations, memory_order_relaxed),
        .failures = atomic_load_explicit(&store->failures, memory_order_relaxed),
        .waiting_bytes_now = atomic_load_explicit(&store->waiting_bytes, memory_order_relaxed),
        .commit_ns_longest = atomic_load_explicit(&store->commit_ns_longest, memory_order_relaxed),
    };
}
