/*
 * store_read — all that is in the file, told to a shard at its start
 *
 * Why it is so:   each shard reads for itself, with a connection of its own, and makes payloads in
 *                 its own memory; so they read at the same time. It says of each session whether it
 *                 wants it, and only then are the session's subscriptions and messages looked at
 * Invariants:     (1) one transaction: what is told stood in the file at one moment
 *                 (2) nothing is told that would break a promise of ours further on: lengths and
 *                 properties are checked as if a peer had sent them, since a file can be damaged in
 *                 ways that SQLite does not see
 * Memory:         payloads, which the caller takes over; SQLite's page cache until it returns
 * Threads:        any, several at once
 * Limits:         the time of a message on disk is that of the wall clock; if it jumps while no
 *                 gateway runs, so do the expiries
 */
#include "engine/roles/store_file.h"

#include "proto/limits.h"
#include "proto/props.h"
#include <stdio.h>

#define LEFT_MS_MAX (UINT32_MAX * 1000ull) /* MQTT's longest expiry */

struct reading {
    const struct fmx_store_load *load;
    sqlite3 *db;
    sqlite3_stmt *sessions;
    sqlite3_stmt *subscriptions;
    sqlite3_stmt *messages;
    uint64_t now_ns;
    uint64_t now_ms; /* the same moment in UNIX time */
    const char *path;
    char *error;
    size_t error_bytes;
};

static enum fmx_status refused(struct reading *reading)
{
    int code = reading->db == NULL ? SQLITE_NOMEM : sqlite3_errcode(reading->db);

    if (code == SQLITE_NOMEM) {
        snprintf(reading->error, reading->error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    snprintf(reading->error, reading->error_bytes, "the store '%s' %s: %s", reading->path,
             code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? "is damaged" : "cannot be read",
             sqlite3_errmsg(reading->db));
    return FMX_SYS_FILE;
}

static enum fmx_status damaged(struct reading *reading, const char *what, sqlite3_int64 number)
{
    snprintf(reading->error, reading->error_bytes,
             "the store '%s' is damaged: %s %lld is not as it was written", reading->path, what,
             (long long)number);
    return FMX_SYS_FILE;
}

static fmx_slice text_at(sqlite3_stmt *statement, int column)
{
    const uint8_t *data = sqlite3_column_blob(statement, column);

    return (fmx_slice){.data = data, .bytes = (size_t)sqlite3_column_bytes(statement, column)};
}

static uint64_t number_at(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

static bool is_text(fmx_slice text)
{
    return text.bytes > 0 && text.bytes <= FMX_STRING_BYTES_MAX;
}

static enum fmx_status read_subscriptions(struct reading *reading, uint64_t session)
{
    sqlite3_stmt *rows = reading->subscriptions;
    int code;

    sqlite3_reset(rows);
    sqlite3_bind_int64(rows, 1, (sqlite3_int64)session);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        fmx_slice filter = text_at(rows, 0);
        uint64_t options = number_at(rows, 1);
        if (!is_text(filter) || options > UINT8_MAX) {
            return damaged(reading, "a subscription of session", (sqlite3_int64)session);
        }
        reading->load->on_subscription(reading->load->user, session, filter, (uint8_t)options);
    }
    return code == SQLITE_DONE ? FMX_OK : refused(reading);
}

/* FMX_LATER: it has expired. */
static enum fmx_status expiry_of(const struct reading *reading, uint64_t unix_ms, uint64_t *out_ns)
{
    *out_ns = 0;
    if (unix_ms == 0) {
        return FMX_OK;
    }
    if (unix_ms <= reading->now_ms || unix_ms > INT64_MAX) {
        return FMX_LATER;
    }
    uint64_t left_ms = unix_ms - reading->now_ms;
    *out_ns = reading->now_ns + (left_ms < LEFT_MS_MAX ? left_ms : LEFT_MS_MAX) * FMX_NS_PER_MS;
    return FMX_OK;
}

static enum fmx_status read_message(struct reading *reading, uint64_t session)
{
    sqlite3_stmt *row = reading->messages;
    uint64_t expires_ns;
    fmx_slice props = text_at(row, 4);
    struct fmx_publish publish = {.topic = text_at(row, 3), .payload = text_at(row, 5)};
    uint64_t qos = number_at(row, 1);

    if (expiry_of(reading, number_at(row, 2), &expires_ns) != FMX_OK) {
        return FMX_OK;
    }
    if (props.bytes > 0) {
        struct fmx_reader reader = fmx_reader_of(props);
        if (fmx_props_read(&reader, FMX_PUBLISH, &publish.props) != FMX_OK ||
            fmx_reader_left(&reader) != 0) {
            return damaged(reading, "message", sqlite3_column_int64(row, 0));
        }
    }
    if (!is_text(publish.topic) || qos > 2 ||
        publish.topic.bytes + props.bytes + publish.payload.bytes > FMX_PACKET_BYTES_MAX) {
        return damaged(reading, "message", sqlite3_column_int64(row, 0));
    }
    publish.qos = (uint8_t)qos;
    struct fmx_payload *payload = fmx_payload_make(&publish, FMX_SESSION_NONE, expires_ns);
    if (payload == NULL) {
        snprintf(reading->error, reading->error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    payload->store_id = number_at(row, 0);
    reading->load->on_message(reading->load->user, session, payload);
    return FMX_OK;
}

static enum fmx_status read_messages(struct reading *reading, uint64_t session)
{
    sqlite3_stmt *rows = reading->messages;
    int code;

    sqlite3_reset(rows);
    sqlite3_bind_int64(rows, 1, (sqlite3_int64)session);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        enum fmx_status status = read_message(reading, session);
        if (status != FMX_OK) {
            return status;
        }
    }
    return code == SQLITE_DONE ? FMX_OK : refused(reading);
}

static enum fmx_status read_session(struct reading *reading)
{
    sqlite3_stmt *row = reading->sessions;
    struct fmx_store_session session = {.id = number_at(row, 0),
                                        .key = text_at(row, 1),
                                        .expiry_s = (uint32_t)number_at(row, 2),
                                        .flags = (uint32_t)number_at(row, 3),
                                        .away_ms = number_at(row, 4)};

    if (session.id == 0 || number_at(row, 2) > UINT32_MAX || number_at(row, 3) > UINT32_MAX) {
        return damaged(reading, "session", sqlite3_column_int64(row, 0));
    }
    if (!reading->load->on_session(reading->load->user, &session)) {
        return FMX_OK;
    }
    enum fmx_status status = read_subscriptions(reading, session.id);
    return status == FMX_OK ? read_messages(reading, session.id) : status;
}

static enum fmx_status read_sessions(struct reading *reading)
{
    int code;

    while ((code = sqlite3_step(reading->sessions)) == SQLITE_ROW) {
        enum fmx_status status = read_session(reading);
        if (status != FMX_OK) {
            return status;
        }
    }
    return code == SQLITE_DONE ? FMX_OK : refused(reading);
}

static bool prepare(struct reading *reading, const char *text, sqlite3_stmt **out_statement)
{
    return sqlite3_prepare_v2(reading->db, text, -1, out_statement, NULL) == SQLITE_OK;
}

static enum fmx_status read_all(struct reading *reading)
{
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;

    if (sqlite3_open_v2(reading->path, &reading->db, flags, NULL) != SQLITE_OK) {
        return refused(reading);
    }
    sqlite3_busy_timeout(reading->db, 1000);
    if (sqlite3_exec(reading->db, "PRAGMA cache_size = -16384; BEGIN", NULL, NULL, NULL) !=
            SQLITE_OK ||
        !prepare(reading, "SELECT id, key, expiry_s, flags, away_ms FROM session ORDER BY id",
                 &reading->sessions) ||
        !prepare(reading,
                 "SELECT filter, options FROM subscription WHERE session = ?1 ORDER BY filter",
                 &reading->subscriptions) ||
        !prepare(reading,
                 "SELECT id, qos, expires_ms, topic, props, payload FROM message"
                 " WHERE session = ?1 ORDER BY id",
                 &reading->messages)) {
        return refused(reading);
    }
    return read_sessions(reading);
}

enum fmx_status fmx_store_file_read(const char *path, const struct fmx_store_load *load,
                                    uint64_t now_ns, char *error, size_t error_bytes)
{
    struct reading reading = {.load = load,
                              .now_ns = now_ns,
                              .now_ms = fmx_store_unix_ms(),
                              .path = path,
                              .error = error,
                              .error_bytes = error_bytes};
    enum fmx_status status = read_all(&reading);

    sqlite3_finalize(reading.sessions);
    sqlite3_finalize(reading.subscriptions);
    sqlite3_finalize(reading.messages);
    sqlite3_close(reading.db);
    return status;
}
