/*
 * fleet_rrpc — answers to the calls and requests of others
 *
 * Why it is so:   what is answered says itself where: a call by its own topic, a request of 5.0 by
 *                 its Response Topic. So no client has to be asked who it is. All answers of a team
 *                 wait equally long; so those that wait are a plain queue, in blocks of bytes that
 *                 are filled at one end and emptied at the other, and one timer waits for the first
 *                 of them. That is two copies and, mostly, no allocation for each
 * Words:          call: a message of the server's on a topic of calls that somebody waits for;
 *                 request: any other message with a Response Topic; answer: what we publish
 * Invariants:     (1) due times do not decrease from first to last  (2) the timer is armed while
 *                 anything waits, and no turn sends more than ANSWERS_PER_TURN of a team's
 * Memory:         blocks of CHUNK_BYTES, or of one larger answer; the last one emptied is kept
 * Threads:        owning shard
 * Limits:         calls.pending_max over all shards, PENDING_BYTES_MAX in each; what is beyond, or
 *                 larger than the server takes, is counted and not answered. What came on a
 *                 connection that has gone, or that its client has vanished from, is forgotten. An
 *                 answer that finds window or queue full waits once more
 * Not here:       how a call is delivered: the server; requests of ours: fleet_request.c
 */
#include "engine/roles/fleet_keep.h"
#include "engine/roles/fleet_request.h"

#include "proto/encode.h"
#include "proto/limits.h"

#include <stdlib.h>

#define CHUNK_BYTES       65536u
#define PENDING_BYTES_MAX ((size_t)64 << 20)
#define ANSWERS_PER_TURN  4096u
#define AGAIN_NS          FMX_NS_PER_MS /* no room for it, and answers do not wait otherwise */

#define SYSTEM_PREFIX "/sys/"
#define CUSTOM_PREFIX "/ext/rrpc/"
#define REQUEST       "/rrpc/request/"
#define RESPONSE      "/rrpc/response/"

struct chunk {
    struct chunk *next;
    uint32_t begin;
    uint32_t end;
    uint32_t capacity;
    uint64_t words[]; /* `begin`, `end` and `capacity` count bytes of them */
};

/* Answers that wait for their time: first in, first out, since all of a crew wait equally long. */
struct fmx_fleet_answers {
    struct chunk *first;
    struct chunk *last;
    uint32_t count;
    uint32_t count_max;
    size_t bytes;
    struct fmx_timer timer; /* armed for the first of them */
};

/* An answer that waits; what it is made of follows it, in the order of `bytes`. */
enum { TOPIC, PAYLOAD, CORRELATION, USER, PARTS };

struct waiting {
    uint64_t due_ns;
    struct fmx_session_id to;
    uint32_t user_count;
    uint8_t qos;
    bool has_correlation;
    uint32_t bytes[PARTS];
};

/* The same in pieces, wherever they are. */
struct answer {
    fmx_slice parts[PARTS];
    uint32_t user_count;
    uint8_t qos;
    bool has_correlation;
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

static void make_packet(const struct answer *answer, struct fmx_packet *packet)
{
    struct fmx_publish *publish = &packet->publish;

    *packet = (struct fmx_packet){.kind = FMX_PUBLISH};
    publish->topic = answer->parts[TOPIC];
    publish->payload = answer->parts[PAYLOAD];
    publish->qos = answer->qos;
    publish->props.raw = answer->parts[USER];
    publish->props.user_count = answer->user_count;
    if (answer->has_correlation) {
        publish->props.present |= FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA);
        publish->props.correlation_data = answer->parts[CORRELATION];
    }
}

/* False: the window, or the queue, is full. */
static bool send_answer(struct fmx_conn *conn, const struct answer *answer)
{
    const struct fmx_fleet_client *client = fmx_fleet_client_of(conn);
    enum fmx_version version = (enum fmx_version)conn->session.version;
    struct fmx_packet packet;

    if (conn->state != FMX_CONN_OPEN || client == NULL) {
        return true;
    }
    struct fmx_crew_counters *counters = &client->crew->counters;
    make_packet(answer, &packet);
    packet.publish.qos = answer->qos <= conn->session.peer_qos_max ? answer->qos : 0;
    bool is_qos1 = packet.publish.qos > 0;
    if (fmx_conn_is_full(conn) ||
        (is_qos1 && (!fmx_fleet_keep_has_room(client) || !fmx_conn_make_window(conn)))) {
        return false;
    }
    size_t bytes = fmx_encode_bytes(&packet, version);
    if (bytes == 0 || (is_qos1 && !fmx_fleet_keep_takes_answer(client, bytes)) ||
        fmx_session_publish(&conn->session, &packet.publish, bytes, FMX_FLEET_TAG_ANSWER) !=
            FMX_OK) {
        fmx_count(&counters->calls_over_bound, 1);
        return true;
    }
    if (!fmx_fleet_keep(conn, &packet.publish, FMX_FLEET_TAG_ANSWER, 0, 0)) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return true;
    }
    fmx_conn_send(conn, &packet);
    fmx_count(&counters->calls_answered, 1);
    return true;
}

/* ── waiting ── */

static size_t waiting_bytes(const uint32_t bytes_of[PARTS])
{
    size_t bytes = sizeof(struct waiting);

    for (unsigned i = 0; i < PARTS; i++) {
        bytes += bytes_of[i];
    }
    return (bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
}

/* Its pieces, where they lie behind it. */
static struct answer answer_of(const struct waiting *waiting)
{
    const uint8_t *at = (const uint8_t *)(waiting + 1);
    struct answer answer = {.user_count = waiting->user_count,
                            .qos = waiting->qos,
                            .has_correlation = waiting->has_correlation};

    for (unsigned i = 0; i < PARTS; i++) {
        answer.parts[i] = (fmx_slice){.data = at, .bytes = waiting->bytes[i]};
        at += waiting->bytes[i];
    }
    return answer;
}

static struct waiting *first_waiting(const struct fmx_fleet_answers *answers)
{
    struct chunk *chunk = answers->first;

    return (struct waiting *)(void *)((uint8_t *)chunk->words + chunk->begin);
}

/* Room at the end of the last chunk, or in a new one. NULL: no memory. */
static struct waiting *add_waiting(struct fmx_fleet_answers *answers, size_t bytes)
{
    struct chunk *chunk = answers->last;

    if (chunk == NULL || chunk->capacity - chunk->end < bytes) {
        size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = malloc(sizeof(*chunk) + capacity);
        if (chunk == NULL) {
            return NULL;
        }
        *chunk = (struct chunk){.capacity = (uint32_t)capacity};
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
    struct chunk *chunk = answers->first;
    const struct waiting *waiting = first_waiting(answers);
    size_t bytes = waiting_bytes(waiting->bytes);

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

/* Of all teams of a shard. */
static size_t pending_bytes(const struct fmx_fleet_shard *fleet)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < fleet->fleet->teams_count; i++) {
        bytes += fleet->answers[i].bytes;
    }
    return bytes;
}

static bool wait_for(struct fmx_conn *conn, const struct answer *answer)
{
    struct fmx_fleet_shard *fleet = fmx_fleet_of(conn->shard);
    const struct fmx_fleet_team *team = fmx_fleet_crew_of(conn)->team;
    struct fmx_fleet_answers *answers = &fleet->answers[team->group];
    uint64_t delay_ns = team->plan.calls.delay_ms * FMX_NS_PER_MS;
    struct waiting head = {.due_ns = conn->shard->now_ns + (delay_ns > 0 ? delay_ns : AGAIN_NS),
                           .to = fmx_conn_id(conn),
                           .user_count = answer->user_count,
                           .qos = answer->qos,
                           .has_correlation = answer->has_correlation};

    for (unsigned i = 0; i < PARTS; i++) {
        head.bytes[i] = (uint32_t)answer->parts[i].bytes;
    }
    size_t bytes = waiting_bytes(head.bytes);
    if (answers->count >= answers->count_max || pending_bytes(fleet) + bytes > PENDING_BYTES_MAX) {
        return false;
    }
    struct waiting *waiting = add_waiting(answers, bytes);
    if (waiting == NULL) {
        return false;
    }
    *waiting = head;
    uint8_t *at = (uint8_t *)(waiting + 1);
    for (unsigned i = 0; i < PARTS; i++) {
        if (answer->parts[i].bytes > 0) {
            memcpy(at, answer->parts[i].data, answer->parts[i].bytes);
            at += answer->parts[i].bytes;
        }
    }
    if (answers->count == 1) {
        fmx_wheel_arm(&conn->shard->wheel, &answers->timer, waiting->due_ns);
    }
    return true;
}

static void wait_or_count(struct fmx_conn *conn, const struct answer *answer)
{
    if (!wait_for(conn, answer)) {
        fmx_count(&fmx_fleet_crew_of(conn)->counters.calls_over_bound, 1);
    }
}

/* The first one's time has come. Where it has to wait again, its copy is the last one then. */
static void send_first(struct fmx_fleet_shard *fleet, struct fmx_fleet_answers *answers)
{
    struct fmx_conn *conn = fmx_shard_find(fleet->shard, first_waiting(answers)->to);

    if (conn != NULL) {
        struct answer answer = answer_of(first_waiting(answers));
        if (!send_answer(conn, &answer)) {
            answers->count_max++; /* it goes in a moment */
            wait_or_count(conn, &answer);
            answers->count_max--;
        }
    }
    drop_first(answers);
}

void fmx_fleet_answers_due(struct fmx_fleet_shard *fleet, struct fmx_timer *timer)
{
    struct fmx_fleet_answers *answers =
        (struct fmx_fleet_answers *)((char *)timer - offsetof(struct fmx_fleet_answers, timer));

    for (unsigned i = 0; i < ANSWERS_PER_TURN && answers->count > 0; i++) {
        if (first_waiting(answers)->due_ns > fleet->shard->now_ns) {
            break;
        }
        send_first(fleet, answers);
    }
    if (answers->count > 0) {
        fmx_wheel_arm(&fleet->shard->wheel, timer, first_waiting(answers)->due_ns);
    }
}

bool fmx_fleet_answers_open(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet *whole = fleet->fleet;
    uint32_t shards_count = fleet->shard->shards_count;

    fleet->answers = calloc(whole->teams_count + 1u, sizeof(*fleet->answers));
    if (fleet->answers == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < whole->teams_count; i++) {
        struct fmx_fleet_answers *answers = &fleet->answers[i];
        uint32_t pending_max = whole->teams[i].plan.calls.pending_max;
        answers->count_max = (pending_max + shards_count - 1) / shards_count;
        answers->timer.kind = FMX_TIMER_ROLE;
        answers->timer.sub_kind = FMX_FLEET_TIMER_ANSWERS;
    }
    return true;
}

static void close_chunks(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void fmx_fleet_answers_close(struct fmx_fleet_shard *fleet)
{
    for (uint32_t i = 0; fleet->answers != NULL && i < fleet->fleet->teams_count; i++) {
        close_chunks(fleet->answers[i].first);
    }
    free(fleet->answers);
    fleet->answers = NULL;
}

/* ── calls and requests ── */

/* What a request wants back with its answer. */
static void take_properties(const struct fmx_publish *request, struct answer *answer)
{
    answer->parts[TOPIC] = request->props.response_topic;
    answer->qos = request->qos;
    answer->has_correlation = fmx_props_has(&request->props, FMX_PROP_CORRELATION_DATA);
    if (answer->has_correlation) {
        answer->parts[CORRELATION] = request->props.correlation_data;
    }
    if (fmx_props_has(&request->props, FMX_PROP_USER_PROPERTY)) {
        answer->parts[USER] = request->props.raw;
        answer->user_count = request->props.user_count;
    }
}

bool fmx_fleet_on_call(struct fmx_conn *conn, const struct fmx_publish *publish)
{
    const struct fmx_fleet_crew *crew = fmx_fleet_crew_of(conn);
    const struct fmx_fleet_calls *calls = &crew->team->plan.calls;
    struct fmx_crew_counters *counters = &fmx_fleet_crew_of(conn)->counters;
    struct answer answer = {0};
    uint8_t out[FMX_TEMPLATE_BYTES_MAX];

    if (calls->answer == FMX_FLEET_ANSWER_OFF || fmx_fleet_client_of(conn) == NULL) {
        return false;
    }
    answer.parts[TOPIC] = fmx_fleet_answer_topic(publish->topic, out);
    if (answer.parts[TOPIC].bytes == 0 && fmx_props_has(&publish->props, FMX_PROP_RESPONSE_TOPIC)) {
        take_properties(publish, &answer);
    }
    if (answer.parts[TOPIC].bytes == 0) {
        return false;
    }
    answer.parts[PAYLOAD] =
        calls->answer == FMX_FLEET_ANSWER_FIXED ? calls->payload : publish->payload;
    fmx_count(&counters->calls_received, 1);
    if (calls->answer == FMX_FLEET_ANSWER_NEVER) {
        return true;
    }
    if (calls->delay_ms > 0 || !send_answer(conn, &answer)) {
        wait_or_count(conn, &answer);
    }
    return true;
}
