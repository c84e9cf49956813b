/*
 * test_store_crash — the file against a plain model, with several shards, and after kill -9
 */
#include "tests/support/prng.h"
#include "tests/support/seed.h"
#include "tests/support/store.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#define TWIN_SEEDS   12u
#define TWIN_ROUNDS  3u
#define TWIN_STEPS   400u
#define CRASH_ROUNDS 50u

/* ── the twin ── */

#define TWIN_SESSIONS 10u
#define TWIN_FILTERS  6u
#define TWIN_MESSAGES 300u
#define TWIN_KEYS     7u

struct twin_session {
    uint64_t id; /* 0: none */
    unsigned key;
    uint32_t expiry_s;
    uint32_t flags;
    uint64_t away_ms;
    int options[TWIN_FILTERS]; /* -1: not subscribed */
    unsigned messages_count;
    uint64_t messages[TWIN_MESSAGES]; /* their numbers in the store; what they say follows */
};

/* One thread that acts as a shard, and what its part of the file should be. */
struct twin {
    struct fmx_store *store;
    struct fmx_prng prng;
    uint32_t shard;
    uint64_t sequence;
    bool failed;
    struct twin_session sessions[TWIN_SESSIONS];
    struct text found;
};

static struct twin twins[SHARDS];

static void twin_key(const struct twin *twin, unsigned key, char out_key[8])
{
    snprintf(out_key, 8, "%c%u", (char)('a' + twin->shard), key);
}

static void twin_filter(unsigned filter, char out_filter[8])
{
    snprintf(out_filter, 8, "f/%u", filter);
}

/* Each operation has the next sequence number. */
static void twin_check(struct twin *twin, uint64_t sequence)
{
    twin->failed = twin->failed || sequence != ++twin->sequence;
}

static void twin_put_session(struct twin *twin, struct twin_session *session)
{
    char key[8];

    if (session->id == 0 || fmx_prng_below(&twin->prng, 8) == 0) {
        if (session->id != 0) {
            twin_check(twin, fmx_store_drop_session(twin->store, twin->shard, session->id));
        }
        *session = (struct twin_session){.id = fmx_store_next_id(twin->store)};
        memset(session->options, -1, sizeof(session->options));
        session->key = (unsigned)fmx_prng_below(&twin->prng, TWIN_KEYS);
    } else if (fmx_prng_below(&twin->prng, 4) == 0) {
        session->key = (unsigned)fmx_prng_below(&twin->prng, TWIN_KEYS);
    }
    for (unsigned i = 0; i < TWIN_SESSIONS; i++) {
        if (&twin->sessions[i] != session && twin->sessions[i].key == session->key) {
            twin->sessions[i].id = 0;
        }
    }
    session->expiry_s = (uint32_t)fmx_prng_next(&twin->prng);
    session->flags = (uint32_t)fmx_prng_next(&twin->prng);
    session->away_ms = fmx_prng_next(&twin->prng) >> 20;
    twin_key(twin, session->key, key);
    struct fmx_store_session put = {.id = session->id,
                                    .key = fmx_slice_of(key),
                                    .expiry_s = session->expiry_s,
                                    .flags = session->flags,
                                    .away_ms = session->away_ms};
    twin_check(twin, fmx_store_put_session(twin->store, twin->shard, &put));
}

static void twin_subscribe(struct twin *twin, struct twin_session *session)
{
    unsigned at = (unsigned)fmx_prng_below(&twin->prng, TWIN_FILTERS);
    uint8_t options = (uint8_t)fmx_prng_next(&twin->prng);
    char filter[8];

    twin_filter(at, filter);
    if (fmx_prng_below(&twin->prng, 3) == 0) {
        session->options[at] = -1;
        twin_check(twin, fmx_store_unsubscribe(twin->store, twin->shard, session->id,
                                               fmx_slice_of(filter)));
    } else {
        session->options[at] = options;
        twin_check(twin, fmx_store_subscribe(twin->store, twin->shard, session->id,
                                             fmx_slice_of(filter), options));
    }
}

static void twin_message(struct twin *twin, struct twin_session *session)
{
    unsigned count = session->messages_count;

    if (count < TWIN_MESSAGES && fmx_prng_below(&twin->prng, 5) < 3) {
        uint64_t id = fmx_store_next_id(twin->store);
        session->messages[session->messages_count++] = id;
        twin_check(twin, put_message(twin->store, twin->shard, session->id, id, id));
    } else if (count > 0) {
        /* The oldest, as after an acknowledgement; or any, as when the queue is full. */
        unsigned at = (unsigned)fmx_prng_below(&twin->prng, 2) == 0
                          ? 0
                          : (unsigned)fmx_prng_below(&twin->prng, count);
        twin_check(twin, fmx_store_drop_message(twin->store, twin->shard, session->messages[at]));
        memmove(session->messages + at, session->messages + at + 1,
                (count - at - 1) * sizeof(session->messages[0]));
        session->messages_count--;
    }
}

static void *twin_act(void *argument)
{
    struct twin *twin = argument;

    twin->sequence = 0;
    for (unsigned i = 0; i < TWIN_STEPS; i++) {
        struct twin_session *session = &twin->sessions[fmx_prng_below(&twin->prng, TWIN_SESSIONS)];
        uint64_t dice = fmx_prng_below(&twin->prng, 20);
        if (session->id == 0 || dice == 0) {
            twin_put_session(twin, session);
        } else if (dice < 4) {
            twin_subscribe(twin, session);
        } else if (dice == 4 && i % 3 == 0) {
            twin_check(twin, fmx_store_drop_session(twin->store, twin->shard, session->id));
            session->id = 0;
        } else {
            twin_message(twin, session);
        }
        if (fmx_prng_below(&twin->prng, 10) == 0) {
            fmx_store_flush(twin->store, twin->shard);
        }
    }
    return NULL;
}

static void *twin_read(void *argument)
{
    struct twin *twin = argument;

    twin->found = (struct text){.only = (char)('a' + twin->shard)};
    twin->failed = twin->failed || read_text(twin->store, &twin->found) != FMX_OK;
    return NULL;
}

static void say_twin_session(struct text *text, const struct twin *twin,
                             const struct twin_session *session)
{
    char name[8];

    twin_key(twin, session->key, name);
    say_session(text, session->id, fmx_slice_of(name), session->expiry_s, session->flags,
                session->away_ms);
    for (unsigned i = 0; i < TWIN_FILTERS; i++) {
        if (session->options[i] >= 0) {
            twin_filter(i, name);
            say_subscription(text, session->id, fmx_slice_of(name), (uint8_t)session->options[i]);
        }
    }
    for (unsigned i = 0; i < session->messages_count; i++) {
        say_numbered(text, session->id, session->messages[i], session->messages[i]);
    }
}

static void say_twin(struct text *text, const struct twin *twin)
{
    uint64_t after = 0;

    say(text, "%s", "");
    for (;;) { /* by their numbers */
        const struct twin_session *next = NULL;
        for (unsigned i = 0; i < TWIN_SESSIONS; i++) {
            const struct twin_session *session = &twin->sessions[i];
            if (session->id > after && (next == NULL || session->id < next->id)) {
                next = session;
            }
        }
        if (next == NULL) {
            return;
        }
        say_twin_session(text, twin, next);
        after = next->id;
    }
}

static void run_twins(struct fmx_store *store, void *(*run)(void *))
{
    pthread_t threads[SHARDS];

    for (uint32_t i = 0; i < SHARDS; i++) {
        twins[i].store = store;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run, &twins[i]), 0);
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void play_twins(uint64_t seed)
{
    new_path();
    for (uint32_t i = 0; i < SHARDS; i++) {
        twins[i] = (struct twin){.shard = i, .prng = {.state = seed * SHARDS + i}};
    }
    for (unsigned round = 0; round < TWIN_ROUNDS; round++) {
        struct fmx_store *store = NULL;
        FMX_SEED_ASSERT(seed, try_open(&store, seed % 3 == 0 ? 0 : 200) == FMX_OK);
        run_twins(store, twin_act);
        close_store(store);
        FMX_SEED_ASSERT(seed, try_open(&store, 500) == FMX_OK);
        run_twins(store, twin_read);
        for (uint32_t i = 0; i < SHARDS; i++) {
            struct text wanted = {0};
            say_twin(&wanted, &twins[i]);
            FMX_SEED_ASSERT(seed, !twins[i].failed);
            FMX_SEED_ASSERT(seed, is_same(&twins[i].found, &wanted));
            free(twins[i].found.data);
            free(wanted.data);
        }
        close_store(store);
    }
}

static void the_file_holds_what_a_plain_model_holds(void)
{
    for (uint64_t seed = 1; seed <= TWIN_SEEDS; seed++) {
        play_twins(seed);
    }
}

/* ── kill -9 ── */

#define ALIVE_MAX   50u  /* a child drops the oldest of a session that has more */
#define BEHIND_MAX  600u /* operations that a child posts ahead of the disk */
#define CRASH_PARTS 2u

/* One session's messages: numbered without a gap, so its state is where they begin and end. */
struct part {
    uint64_t first;
    uint64_t end;
    uint64_t ids[ALIVE_MAX + 2]; /* of first … end − 1 */
    bool has_gap;
};

struct crash_report {
    uint64_t shard;
    uint64_t sequence;
};

static int crash_pipe = -1;

/* What comes next is told by the state alone. False: the oldest is dropped. */
static bool comes_a_put(const struct part *part)
{
    return part->end - part->first <= ALIVE_MAX;
}

static void crash_step(struct fmx_store *store, uint32_t shard, struct part *part)
{
    uint64_t alive = part->end - part->first;

    if (comes_a_put(part)) {
        part->ids[alive] = fmx_store_next_id(store);
        put_message(store, shard, shard + 1, part->end++, part->ids[alive]);
    } else {
        fmx_store_drop_message(store, shard, part->ids[0]);
        memmove(part->ids, part->ids + 1, (alive - 1) * sizeof(part->ids[0]));
        part->first++;
    }
}

static void report_to_parent(void *user, uint32_t shard, uint64_t sequence)
{
    struct crash_report report = {.shard = shard, .sequence = sequence};

    if (write(crash_pipe, &report, sizeof(report)) != sizeof(report)) {
        _exit(4);
    }
    on_committed(user, shard, sequence);
}

static void crash_child(struct part *parts, uint64_t seed)
{
    struct fmx_store_options options = {.path = path,
                                        .shards_count = CRASH_PARTS,
                                        .commit_wait_us = 100,
                                        .on_committed = report_to_parent,
                                        .user = committed};
    struct fmx_prng prng = {.state = seed};
    struct fmx_store *store = NULL;
    uint64_t posted[CRASH_PARTS] = {1, 1};

    memset(committed, 0, sizeof(committed));
    if (fmx_store_open(&options, &store, error, sizeof(error)) != FMX_OK) {
        fprintf(stderr, "%s\n", error);
        _exit(3);
    }
    (void)fmx_store_next_id(store); /* 1 and 2 are the sessions', when the file is new */
    (void)fmx_store_next_id(store);
    put_session(store, 0, 1, "a");
    put_session(store, 1, 2, "b");
    for (;;) {
        uint32_t shard = (uint32_t)fmx_prng_below(&prng, CRASH_PARTS);
        for (uint64_t count = 1 + fmx_prng_below(&prng, 30); count > 0; count--) {
            crash_step(store, shard, &parts[shard]);
            posted[shard]++;
        }
        fmx_store_flush(store, shard);
        if (posted[shard] > BEHIND_MAX) {
            await(store, shard, posted[shard] - BEHIND_MAX);
        }
    }
}

/* False: it is not as it was put. */
static bool number_of(const struct fmx_payload *payload, uint64_t *out_number)
{
    memcpy(out_number, payload->bytes + payload->topic_bytes + payload->props_bytes,
           sizeof(*out_number));
    struct fmx_payload *wanted = message(*out_number, payload->store_id);
    size_t bytes = fmx_payload_bytes(wanted);
    bool same = fmx_payload_bytes(payload) == bytes &&
                memcmp(payload->bytes, wanted->bytes, bytes - sizeof(*wanted)) == 0;
    fmx_payload_give(wanted);
    return same;
}

static bool crash_session(void *user, const struct fmx_store_session *session)
{
    (void)user;
    return session->id <= CRASH_PARTS;
}

static void crash_message(void *user, uint64_t session, struct fmx_payload *payload)
{
    struct part *part = (struct part *)user + (session - 1);
    uint64_t alive = part->end - part->first;
    uint64_t number;
    bool same = number_of(payload, &number);

    if (alive == 0) {
        part->first = part->end = number;
    }
    if (!same || number != part->end || alive > ALIVE_MAX ||
        (alive > 0 && payload->store_id <= part->ids[alive - 1])) {
        part->has_gap = true;
    } else {
        part->ids[alive] = payload->store_id;
        part->end++;
    }
    fmx_payload_give(payload);
}

/* Hears some reports, lets the child do a little more, kills it, and hears what is left. */
static bool crash_once(const struct part *parts, uint64_t seed, uint64_t reported[CRASH_PARTS])
{
    struct fmx_prng prng = {.state = ~seed};
    uint64_t wait_for = fmx_prng_below(&prng, 10);
    struct part mine[CRASH_PARTS];
    struct crash_report report;
    int ends[2];
    int result = 0;

    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        crash_pipe = ends[1];
        memcpy(mine, parts, sizeof(mine));
        crash_child(mine, seed);
        _exit(5);
    }
    close(ends[1]);
    if (seed % 7 == 0) { /* perhaps while it opens the file */
        for (uint64_t turns = fmx_prng_below(&prng, 2000); turns > 0; turns--) {
            sched_yield();
        }
        kill(child, SIGKILL);
    }
    for (uint64_t heard = 0; read(ends[0], &report, sizeof(report)) == sizeof(report); heard++) {
        reported[report.shard] = report.sequence;
        if (heard == wait_for) {
            for (uint64_t turns = fmx_prng_below(&prng, 300); turns > 0; turns--) {
                sched_yield();
            }
            kill(child, SIGKILL);
        }
    }
    close(ends[0]);
    return waitpid(child, &result, 0) == child && WIFSIGNALED(result) &&
           WTERMSIG(result) == SIGKILL;
}

/* Which operation of the child's is the last that the file holds? UINT64_MAX: none fits. */
static uint64_t last_of(const struct part *before, const struct part *after)
{
    struct part part = {.first = before->first, .end = before->end};

    for (uint64_t sequence = 1; part.end <= after->end; sequence++) {
        if (part.first == after->first && part.end == after->end) {
            return sequence;
        }
        if (comes_a_put(&part)) {
            part.end++;
        } else {
            part.first++;
        }
    }
    return UINT64_MAX;
}

static void crash_check(struct part *parts, uint64_t seed, const uint64_t reported[CRASH_PARTS])
{
    struct part found[CRASH_PARTS] = {0};
    struct fmx_store_load load = {
        .user = found, .on_session = crash_session, .on_message = crash_message};
    struct fmx_store *store = NULL;

    FMX_SEED_ASSERT(seed, try_open(&store, 500) == FMX_OK);
    FMX_SEED_ASSERT(seed, fmx_store_read(store, &load, now_ns, error, sizeof(error)) == FMX_OK);
    for (unsigned i = 0; i < CRASH_PARTS; i++) {
        FMX_SEED_ASSERT(seed, !found[i].has_gap);
        uint64_t last = last_of(&parts[i], &found[i]);
        FMX_SEED_ASSERT(seed, last != UINT64_MAX);
        FMX_SEED_ASSERT(seed, last >= reported[i]);
        parts[i] = found[i];
    }
    close_store(store);
}

static void what_was_reported_survives_kill(void)
{
    struct part parts[CRASH_PARTS];

    for (uint64_t seed = 1; seed <= CRASH_ROUNDS; seed++) {
        uint64_t reported[CRASH_PARTS] = {0};
        if (seed % 10 == 1) { /* else it goes on with what the last one left */
            new_path();
            memset(parts, 0, sizeof(parts));
        }
        FMX_SEED_ASSERT(seed, crash_once(parts, seed, reported));
        crash_check(parts, seed, reported);
    }
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(the_file_holds_what_a_plain_model_holds),
    FMX_TEST_CASE(what_was_reported_survives_kill),
};

int main(int argc, char **argv)
{
    return run_cases("store_crash", cases, sizeof cases / sizeof cases[0], argc, argv);
}
