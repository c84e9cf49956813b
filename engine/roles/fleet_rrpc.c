/*
 * fleet_rrpc — answers to calls
 *
 * Why it is so:   a call is answered from its own topic, so no client has to be asked who it is.
 *                 All answers wait equally long; so those that wait are a plain queue, in blocks of
 *                 bytes that are filled at one end and emptied at the other, and one timer waits
 *                 for the first of them. That is two copies and, mostly, no allocation a call
 * Words:          call: a request of the server's that somebody waits for; answer: what we publish
 * Invariants:     (1) due times do not decrease from first to last  (2) the timer is armed while
 *                 anything waits, and no turn sends more than ANSWERS_PER_TURN of them
 * Memory:         blocks of CHUNK_BYTES, or of one larger answer; the last one emptied is kept
 * Threads:        owning shard
 * Limits:         calls.pending_max over all shards, PENDING_BYTES_MAX in each; what is beyond, or
 *                 larger than the server takes, is counted and not answered. A call whose
 *                 connection has gone is forgotten
 * Not here:       how a call is delivered: the server
 */
#include "engine/roles/fleet.h"

#include "proto/encode.h"
#include "proto/limits.h"

#include <stdlib.h>

#define CHUNK_BYTES       65536u
#define PENDING_BYTES_MAX ((size_t)64 << 20)
#define ANSWERS_PER_TURN  4096u

#define SYSTEM_PREFIX "/sys/"
#define CUSTOM_PREFIX "/ext/rrpc/"
#define REQUEST       "/rrpc/request/"
#define RESPONSE      "/rrpc/response/"

struct fmx_fleet_chunk {
    struct fmx_fleet_chunk *next;
    uint32_t begin;
    uint32_t end;
    uint32_t capacity;
    uint64_t words[]; /* `begin`, `end` and `capacity` count bytes of them */
};

/* An answer that waits; topic and payload follow it. */
struct waiting {
    uint64_t due_ns;
    struct fmx_session_id to;
    uint32_t topic_bytes;
    uint32_t payload_bytes;
};

/* ── topics ── */

static bool begins_with(fmx_slice text, const char *prefix)
{
    size_t bytes = strlen(prefix);

    return text.bytes > bytes && memcmp(text.data, prefix, bytes) == 0;
}

/* The end of the level that begins at `at`. */
static const uint8_t *level_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;

    return slash != NULL ? slash : end;
}

/* /ext/rrpc/ID/TOPIC */
static bool is_custom(fmx_slice topic)
{
    const uint8_t *id = topic.data + strlen(CUSTOM_PREFIX);
    const uint8_t *end = topic.data + topic.bytes;
    const uint8_t *slash = level_end(id, end);

    return slash > id && end - slash > 1;
}

/* /sys/PK/DN/rrpc/request/ID, with its last words exchanged */
static fmx_slice system_answer(fmx_slice topic, uint8_t *out)
{
    const uint8_t *end = topic.data + topic.bytes;
    const uint8_t *product = level_end(topic.data + strlen(SYSTEM_PREFIX), end);
    const uint8_t *device = product < end ? level_end(product + 1, end) : end;
    fmx_slice rest = {.data = device, .bytes = (size_t)(end - device)};
    struct fmx_writer writer = fmx_writer_of(out, FMX_TEMPLATE_BYTES_MAX);

    if (!begins_with(rest, REQUEST)) {
        return (fmx_slice){0};
    }
    fmx_slice id = {.data = device + strlen(REQUEST), .bytes = rest.bytes - strlen(REQUEST)};
    if (level_end(id.data, end) != end) {
        return (fmx_slice){0};
    }
    fmx_write_bytes(&writer,
                    (fmx_slice){.data = topic.data, .bytes = (size_t)(device - topic.data)});
    fmx_write_bytes(&writer, fmx_slice_of(RESPONSE));
    fmx_write_bytes(&writer, id);
    return writer.failed ? (fmx_slice){0}
                         : (fmx_slice){.data = out, .bytes = (size_t)(writer.at - out)};
}

fmx_slice fmx_fleet_answer_topic(fmx_slice topic, uint8_t *out)
{
    if (begins_with(topic, CUSTOM_PREFIX) && is_custom(topic)) {
        return topic;
    }
    return begins_with(topic, SYSTEM_PREFIX) ? system_answer(topic, out) : (fmx_slice){0};
}

/* ── answering ── */

static void send_answer(struct fmx_conn *conn, fmx_slice topic, fmx_slice payload)
{
    struct fmx_fleet_counters *counters = &fmx_fleet_of(conn->shard)->counters;
    enum fmx_version version = (enum fmx_version)conn->session.version;
    struct fmx_packet packet = {.kind = FMX_PUBLISH,
                                .publish = {.topic = topic, .payload = payload}};
    size_t bytes = fmx_encode_bytes(&packet, version);

    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    if (bytes == 0 || fmx_session_publish(&conn->session, &packet.publish, bytes, 0) != FMX_OK) {
        fmx_count(&counters->calls_over_bound, 1);
        return;
    }
    fmx_conn_send(conn, &packet);
    fmx_count(&counters->calls_answered, 1);
}

/* ── waiting ── */

static size_t waiting_bytes(size_t topic_bytes, size_t payload_bytes)
{
    size_t bytes = sizeof(struct waiting) + topic_bytes + payload_bytes;

    return (bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
}

static struct waiting *first_waiting(const struct fmx_fleet_answers *answers)
{
    struct fmx_fleet_chunk *chunk = answers->first;

    return (struct waiting *)(void *)((uint8_t *)chunk->words + chunk->begin);
}

/* Room at the end of the last chunk, or in a new one. NULL: no memory. */
static struct waiting *add_waiting(struct fmx_fleet_answers *answers, size_t bytes)
{
    struct fmx_fleet_chunk *chunk = answers->last;

    if (chunk == NULL || chunk->capacity - chunk->end < bytes) {
        size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = malloc(sizeof(*chunk) + capacity);
        if (chunk == NULL) {
            return NULL;
        }
        *chunk = (struct fmx_fleet_chunk){.capacity = (uint32_t)capacity};
        if (answers->count == 0) { /* an empty one is not to be looked at first */
            free(answers->first);
            answers->first = answers->last = NULL;
        }
        if (answers->last != NULL) {
            answers->last->next = chunk;
        } else {
            answers->first = chunk;
        }
        answers->last = chunk;
    }
    struct waiting *waiting = (struct waiting *)(void *)((uint8_t *)chunk->words + chunk->end);
    chunk->end += (uint32_t)bytes;
    answers->bytes += bytes;
    answers->count++;
    return waiting;
}

/* The first one has gone. An emptied chunk goes too, unless the next answer can begin in it. */
static void drop_first(struct fmx_fleet_answers *answers)
{
    struct fmx_fleet_chunk *chunk = answers->first;
    const struct waiting *waiting = first_waiting(answers);
    size_t bytes = waiting_bytes(waiting->topic_bytes, waiting->payload_bytes);

    chunk->begin += (uint32_t)bytes;
    answers->bytes -= bytes;
    answers->count--;
    if (chunk->begin < chunk->end) {
        return;
    }
    if (chunk->next == NULL && chunk->capacity == CHUNK_BYTES) {
        chunk->begin = chunk->end = 0;
        return;
    }
    answers->first = chunk->next;
    answers->last = chunk->next == NULL ? NULL : answers->last;
    free(chunk);
}

static bool wait_for(struct fmx_conn *conn, fmx_slice topic, fmx_slice payload)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    struct fmx_fleet_answers *answers = &fleet->answers;
    uint64_t delay_ns = fleet->fleet->plan.calls.delay_ms * FMX_NS_PER_MS;
    size_t bytes = waiting_bytes(topic.bytes, payload.bytes);

    if (answers->count >= answers->count_max || answers->bytes + bytes > PENDING_BYTES_MAX) {
        return false;
    }
    struct waiting *waiting = add_waiting(answers, bytes);
    if (waiting == NULL) {
        return false;
    }
    *waiting = (struct waiting){.due_ns = conn->shard->now_ns + delay_ns,
                                .to = fmx_conn_id(conn),
                                .topic_bytes = (uint32_t)topic.bytes,
                                .payload_bytes = (uint32_t)payload.bytes};
    uint8_t *at = (uint8_t *)(waiting + 1);
    memcpy(at, topic.data, topic.bytes);
    if (payload.bytes > 0) {
        memcpy(at + topic.bytes, payload.data, payload.bytes);
    }
    if (answers->count == 1) {
        fmx_wheel_arm(&conn->shard->wheel, &answers->timer, waiting->due_ns);
    }
    return true;
}

void fmx_fleet_answers_due(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet_answers *answers = &fleet->answers;
    struct fmx_shard *shard = fleet->shard;

    for (unsigned i = 0; i < ANSWERS_PER_TURN && answers->count > 0; i++) {
        const struct waiting *waiting = first_waiting(answers);
        if (waiting->due_ns > shard->now_ns) {
            break;
        }
        struct fmx_conn *conn = fmx_shard_find(shard, waiting->to);
        if (conn != NULL) {
            const uint8_t *at = (const uint8_t *)(waiting + 1);
            send_answer(
                conn, (fmx_slice){.data = at, .bytes = waiting->topic_bytes},
                (fmx_slice){.data = at + waiting->topic_bytes, .bytes = waiting->payload_bytes});
        }
        drop_first(answers);
    }
    if (answers->count > 0) {
        fmx_wheel_arm(&shard->wheel, &answers->timer, first_waiting(answers)->due_ns);
    }
}

void fmx_fleet_answers_close(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet_chunk *chunk = fleet->answers.first;

    while (chunk != NULL) {
        struct fmx_fleet_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

/* ── calls ── */

bool fmx_fleet_on_call(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    const struct fmx_fleet_calls *calls = &fleet->fleet->plan.calls;
    uint8_t out[FMX_TEMPLATE_BYTES_MAX];

    if (calls->answer == FMX_FLEET_ANSWER_OFF) {
        return false;
    }
    fmx_slice topic = fmx_fleet_answer_topic(publish->topic, out);
    if (topic.bytes == 0) {
        return false;
    }
    fmx_slice payload = calls->answer == FMX_FLEET_ANSWER_FIXED ? calls->payload : publish->payload;
    fmx_count(&fleet->counters.calls_received, 1);
    if (calls->answer == FMX_FLEET_ANSWER_NEVER) {
        return true;
    }
    if (calls->delay_ms == 0) {
        send_answer(conn, topic, payload);
    } else if (!wait_for(conn, topic, payload)) {
        fmx_count(&fleet->counters.calls_over_bound, 1);
    }
    return true;
}
