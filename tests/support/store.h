/*
 * store.h — a store in a folder of its own, what it reports, and what its file holds as text
 *
 * What the file holds is written out, a line for each thing, and compared with the text of a model.
 */
#ifndef FMX_TESTS_SUPPORT_STORE_H
#define FMX_TESTS_SUPPORT_STORE_H

#include "engine/roles/store.h"
#include "proto/limits.h"
#include "tests/support/run.h"
#include "tests/support/temporary.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SHARDS 3u

static const uint64_t now_ns = 5000 * FMX_NS_PER_S;

static char folder[FMX_TEMPORARY_BYTES];
static char path[FMX_TEMPORARY_FILE_BYTES];
static char error[512];

/* ── files ── */

static inline void new_path(void)
{
    static unsigned count;

    snprintf(path, sizeof(path), "%s/%u.store", folder, ++count);
}

static inline void remove_files(void)
{
    char command[FMX_TEMPORARY_BYTES + 16];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command) != 0) {
        fprintf(stderr, "%s stays\n", folder);
    }
}

/* ── commits ── */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t committed[SHARDS];
static unsigned reports;
static bool went_back;  /* a sequence was reported that is not above the last */
static bool hold_back;  /* reports wait */
static bool is_waiting; /* one does */

static inline void on_committed(void *user, uint32_t shard, uint64_t sequence)
{
    pthread_mutex_lock(&lock);
    went_back = went_back || user != committed || sequence <= committed[shard];
    committed[shard] = sequence;
    reports++;
    is_waiting = hold_back;
    pthread_cond_broadcast(&changed);
    while (hold_back) {
        pthread_cond_wait(&changed, &lock);
    }
    is_waiting = false;
    pthread_mutex_unlock(&lock);
}

static inline void await(struct fmx_store *store, uint32_t shard, uint64_t sequence)
{
    fmx_store_flush(store, shard);
    pthread_mutex_lock(&lock);
    while (committed[shard] < sequence) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static inline void set_hold_back(bool hold)
{
    pthread_mutex_lock(&lock);
    hold_back = hold;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Until a report does wait. */
static inline void await_held_back(void)
{
    pthread_mutex_lock(&lock);
    while (!is_waiting) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static inline enum fmx_status try_open(struct fmx_store **out_store, uint32_t commit_wait_us)
{
    struct fmx_store_options options = {.path = path,
                                        .shards_count = SHARDS,
                                        .commit_wait_us = commit_wait_us,
                                        .on_committed = on_committed,
                                        .user = committed};

    memset(committed, 0, sizeof(committed));
    reports = 0;
    went_back = false;
    error[0] = '\0';
    return fmx_store_open(&options, out_store, error, sizeof(error));
}

static inline struct fmx_store *open_store(void)
{
    struct fmx_store *store = NULL;
    enum fmx_status status = try_open(&store, 500);

    if (status != FMX_OK) {
        fprintf(stderr, "%s\n", error);
    }
    CU_ASSERT_EQUAL_FATAL(status, FMX_OK);
    return store;
}

static inline void close_store(struct fmx_store *store)
{
    fmx_store_close(store);
    CU_ASSERT_FALSE(went_back);
}

/* ── the file as text ── */

struct text {
    char *data;
    size_t bytes;
    size_t capacity;
    char only; /* sessions whose key begins so; 0: all */
};

static inline void say(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void say(struct text *text, const char *format, ...)
{
    char line[256];
    va_list arguments;

    va_start(arguments, format);
    size_t bytes = (size_t)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (text->bytes + bytes >= text->capacity) {
        text->capacity = text->capacity * 2 + sizeof(line);
        text->data = realloc(text->data, text->capacity);
    }
    memcpy(text->data + text->bytes, line, bytes + 1);
    text->bytes += bytes;
}

static inline void say_session(struct text *text, uint64_t id, fmx_slice key, uint32_t expiry_s,
                               uint32_t flags, uint64_t away_ms)
{
    say(text, "session %" PRIu64 " '%.*s' %u %u %" PRIu64 "\n", id, (int)key.bytes,
        (const char *)key.data, expiry_s, flags, away_ms);
}

static inline void say_subscription(struct text *text, uint64_t session, fmx_slice filter,
                                    uint8_t options)
{
    say(text, "  %" PRIu64 " subscribes '%.*s' %u\n", session, (int)filter.bytes,
        (const char *)filter.data, options);
}

static inline void say_message(struct text *text, uint64_t session, uint64_t id,
                               const struct fmx_payload *payload)
{
    size_t bytes = (size_t)payload->topic_bytes + payload->props_bytes + payload->payload_bytes;
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ payload->bytes[i]) * 1099511628211u;
    }
    say(text, "  %" PRIu64 " has %" PRIu64 ": qos %u, %u+%u+%u bytes %" PRIx64 "%s\n", session, id,
        payload->qos, payload->topic_bytes, payload->props_bytes, payload->payload_bytes, hash,
        payload->expires_ns != 0 ? ", expires" : "");
}

static inline bool read_session(void *user, const struct fmx_store_session *session)
{
    struct text *text = user;

    if (text->only != 0 && (session->key.bytes == 0 || session->key.data[0] != text->only)) {
        return false;
    }
    say_session(text, session->id, session->key, session->expiry_s, session->flags,
                session->away_ms);
    return true;
}

static inline void read_subscription(void *user, uint64_t session, fmx_slice filter,
                                     uint8_t options)
{
    say_subscription(user, session, filter, options);
}

static inline void read_message(void *user, uint64_t session, struct fmx_payload *payload)
{
    say_message(user, session, payload->store_id, payload);
    fmx_payload_give(payload);
}

static inline enum fmx_status read_text(struct fmx_store *store, struct text *text)
{
    struct fmx_store_load load = {.user = text,
                                  .on_session = read_session,
                                  .on_subscription = read_subscription,
                                  .on_message = read_message};

    say(text, "%s", "");
    return fmx_store_read(store, &load, now_ns, error, sizeof(error));
}

static inline bool is_same(const struct text *found, const struct text *wanted)
{
    bool same =
        found->bytes == wanted->bytes && memcmp(found->data, wanted->data, found->bytes) == 0;

    if (!same) {
        fprintf(stderr, "found:\n%swanted:\n%s", found->data, wanted->data);
    }
    return same;
}

/* Is this what the file holds? Frees the model's text. */
static inline void expect(struct fmx_store *store, struct text *wanted)
{
    struct text found = {0};

    say(wanted, "%s", "");
    CU_ASSERT_EQUAL(read_text(store, &found), FMX_OK);
    CU_ASSERT(is_same(&found, wanted));
    free(found.data);
    free(wanted->data);
    *wanted = (struct text){0};
}

/* ── things to store ── */

static inline struct fmx_payload *message(uint64_t number, uint64_t id)
{
    uint8_t bytes[400];
    struct fmx_publish publish = {.topic =
                                      fmx_slice_of(number % 2 == 0 ? "t" : "some/longer/topic"),
                                  .payload = {bytes, 8 + number * 7 % (sizeof(bytes) - 8)},
                                  .qos = (uint8_t)(number % 2)};

    memset(bytes, (int)(number % 251), sizeof(bytes));
    memcpy(bytes, &number, sizeof(number));
    if (number % 3 == 0) {
        publish.props.present =
            FMX_PROP_BIT(FMX_PROP_CONTENT_TYPE) | FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA);
        publish.props.content_type = fmx_slice_of("text/plain");
        publish.props.correlation_data = (fmx_slice){bytes, number % 50};
    }
    if (number % 5 == 0) {
        static const uint8_t raw[] = {38, 0, 1, 'k', 0, 2, 'v', 'w'};
        publish.props.raw = (fmx_slice){raw, sizeof(raw)};
        publish.props.user_count = 1;
    }
    struct fmx_payload *payload = fmx_payload_make(&publish, (struct fmx_session_id){99}, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    payload->store_id = id;
    return payload;
}

static inline uint64_t put_message(struct fmx_store *store, uint32_t shard, uint64_t session,
                                   uint64_t number, uint64_t id)
{
    struct fmx_payload *payload = message(number, id);
    uint64_t sequence = fmx_store_put_message(store, shard, session, payload, now_ns);

    fmx_payload_give(payload);
    return sequence;
}

static inline void say_numbered(struct text *text, uint64_t session, uint64_t number, uint64_t id)
{
    struct fmx_payload *payload = message(number, id);

    say_message(text, session, id, payload);
    fmx_payload_give(payload);
}

static inline uint64_t put_session(struct fmx_store *store, uint32_t shard, uint64_t id,
                                   const char *key)
{
    struct fmx_store_session session = {
        .id = id, .key = fmx_slice_of(key), .expiry_s = 60, .flags = 5, .away_ms = 7};

    return fmx_store_put_session(store, shard, &session);
}

static inline void say_plain_session(struct text *text, uint64_t id, const char *key)
{
    say_session(text, id, fmx_slice_of(key), 60, 5, 7);
}

/* ── the program ── */

static inline int run_cases(const char *suite, const struct fmx_test_case *cases, size_t count,
                            int argc, char **argv)
{
    fmx_temporary_path(folder, sizeof(folder), "test_store.XXXXXX");
    if (mkdtemp(folder) == NULL) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return 1;
    }
    int result = fmx_test_main(suite, cases, count, argc, argv);
    remove_files();
    return result;
}

#endif
