/*
 * store_file — the SQLite file of the store: lock, format, one transaction for many operations
 *
 * Why it is so:   SQLite gives what is hard to get right alone: a commit that is whole or not there
 *                 after any kind of death. It is slow per transaction and quick inside one, so all
 *                 that waits goes into one. The write-ahead log (WAL) needs one sync for a commit;
 *                 synchronous=FULL makes it before the commit is reported
 * Invariants:     (1) at most one process, and one store in it, has the file: whoever holds the
 *                 flock on FILE-lock. SQLite's own locks are for one transaction and would let two
 *                 gateways take turns. The lock file stays when the store is closed: to remove it
 *                 would let a third gateway lock a name that a second still holds
 *                 (2) a file of somebody else is never written to: its application id is looked at
 *                 first
 *                 (3) a session's key stands once; nothing belongs to a session that is not there,
 *                 save what is posted after its session was dropped, and that goes at the next open
 * Format:         application id 0x666D7873 ("fmxs"), user version 1; numbers are SQLite's signed
 *                 64 bits; times are UNIX milliseconds. The file does not shrink: pages that got
 *                 free are used again
 * Memory:         SQLite's page cache, and the names
 * Threads:        the one that has opened it, then the store's
 * Limits:         SQLite's own: 2^63 numbers, values of 10^9 bytes
 * Not here:       reading it all at start: store_read.c; when and how often to write: store.c
 */
#include "engine/roles/store_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fleetmux/private/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x666D7873
#define USER_VERSION   1

static const char schema[] =
    "CREATE TABLE session (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,"
    " expiry_s INTEGER NOT NULL, flags INTEGER NOT NULL, away_ms INTEGER NOT NULL);"
    "CREATE TABLE subscription (session INTEGER NOT NULL, filter BLOB NOT NULL,"
    " options INTEGER NOT NULL, PRIMARY KEY (session, filter)) WITHOUT ROWID;"
    "CREATE TABLE message (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, qos INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, topic BLOB NOT NULL, props BLOB NOT NULL,"
    " payload BLOB NOT NULL);"
    "CREATE INDEX message_session ON message (session);"
    "CREATE INDEX message_expires ON message (expires_ms) WHERE expires_ms > 0;";

/* secure_delete is Debian's default and would write zeros over all that is dropped. */
static const char settings[] = "PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 4000;"
                               "PRAGMA journal_size_limit = 67108864;"
                               "PRAGMA cache_size = -16384;"
                               "PRAGMA secure_delete = OFF;";

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_FIND_KEY,
    STATEMENT_PUT_SESSION,
    STATEMENT_DROP_SESSION,
    STATEMENT_SUBSCRIBE,
    STATEMENT_UNSUBSCRIBE,
    STATEMENT_UNSUBSCRIBE_ALL,
    STATEMENT_PUT_MESSAGE,
    STATEMENT_DROP_MESSAGE,
    STATEMENT_DROP_MESSAGES,
    STATEMENTS_COUNT,
};

static const char *const statement_texts[STATEMENTS_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_FIND_KEY] = "SELECT id FROM session WHERE key = ?1 AND id <> ?2",
    [STATEMENT_PUT_SESSION] =
        "INSERT INTO session (id, key, expiry_s, flags, away_ms) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (id) DO UPDATE SET key = excluded.key, expiry_s = excluded.expiry_s,"
        " flags = excluded.flags, away_ms = excluded.away_ms",
    [STATEMENT_DROP_SESSION] = "DELETE FROM session WHERE id = ?1",
    [STATEMENT_SUBSCRIBE] =
        "INSERT OR REPLACE INTO subscription (session, filter, options) VALUES (?1, ?2, ?3)",
    [STATEMENT_UNSUBSCRIBE] = "DELETE FROM subscription WHERE session = ?1 AND filter = ?2",
    [STATEMENT_UNSUBSCRIBE_ALL] = "DELETE FROM subscription WHERE session = ?1",
    [STATEMENT_PUT_MESSAGE] =
        ("INSERT OR REPLACE INTO message (id, session, qos, expires_ms, topic, props, payload)"
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
    [STATEMENT_DROP_MESSAGE] = "DELETE FROM message WHERE id = ?1",
    [STATEMENT_DROP_MESSAGES] = "DELETE FROM message WHERE session = ?1",
};

static_assert((unsigned)STATEMENTS_COUNT == FMX_STORE_STATEMENTS, "the header has room for each");

/* ── opening ── */

/* Makes the file if there is none, and finds out its real name. */
static enum fmx_status find_path(struct fmx_store_file *file, const char *path, char *error,
                                 size_t error_bytes)
{
    struct stat about;

    /* Only a file that is new is opened here: closing a descriptor ends all locks that this
       process has on its file, SQLite's too. */
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    } else if (errno != EEXIST) {
        snprintf(error, error_bytes, "the store '%s' cannot be made: %s", path, strerror(errno));
        return FMX_SYS_FILE;
    }
    file->path = realpath(path, NULL);
    if (file->path == NULL || stat(file->path, &about) != 0) {
        snprintf(error, error_bytes, "the store '%s' cannot be opened: %s", path, strerror(errno));
        return FMX_SYS_FILE;
    }
    if (!S_ISREG(about.st_mode)) {
        snprintf(error, error_bytes, "the store '%s' is not a file", path);
        return FMX_SYS_FILE;
    }
    return FMX_OK;
}

static void say_who_has_it(int lock_fd, const char *path, char *error, size_t error_bytes)
{
    char process[24] = "";
    ssize_t count = pread(lock_fd, process, sizeof(process) - 1, 0);

    process[count > 0 ? count : 0] = '\0';
    process[strspn(process, "0123456789")] = '\0';
    snprintf(error, error_bytes,
             "the store '%s' is in use by another gateway (process %s); each needs a store of its "
             "own",
             path, process[0] != '\0' ? process : "unknown");
}

static enum fmx_status lock(struct fmx_store_file *file, char *error, size_t error_bytes)
{
    size_t name_bytes = strlen(file->path) + sizeof("-lock");
    char *name = malloc(name_bytes);

    if (name == NULL) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    snprintf(name, name_bytes, "%s-lock", file->path);
    file->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file->lock_fd < 0) {
        snprintf(error, error_bytes, "the store's lock '%s' cannot be opened: %s", name,
                 strerror(errno));
        free(name);
        return FMX_SYS_FILE;
    }
    free(name);
    if (flock(file->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        say_who_has_it(file->lock_fd, file->path, error, error_bytes);
        return FMX_SYS_FILE;
    }
    if (ftruncate(file->lock_fd, 0) != 0 || dprintf(file->lock_fd, "%ld\n", (long)getpid()) < 0) {
        /* The number is only for the words above. */
    }
    return FMX_OK;
}

/* Words for what SQLite has just refused. */
static enum fmx_status refused(const struct fmx_store_file *file, char *error, size_t error_bytes)
{
    int code = file->db == NULL ? SQLITE_NOMEM : sqlite3_errcode(file->db);

    if (code == SQLITE_NOMEM) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    if (code == SQLITE_NOTADB) {
        snprintf(error, error_bytes, "'%s' is not a store: it is some other kind of file",
                 file->path);
    } else if (code == SQLITE_CORRUPT) {
        snprintf(error, error_bytes, "the store '%s' is damaged: %s", file->path,
                 sqlite3_errmsg(file->db));
    } else if (code == SQLITE_BUSY) {
        snprintf(error, error_bytes, "the store '%s' is in use by another program", file->path);
    } else {
        snprintf(error, error_bytes, "the store '%s' cannot be used: %s", file->path,
                 sqlite3_errmsg(file->db));
    }
    return FMX_SYS_FILE;
}

static bool execute(struct fmx_store_file *file, const char *text)
{
    return sqlite3_exec(file->db, text, NULL, NULL, NULL) == SQLITE_OK;
}

/* The one number that a query yields. */
static bool ask_number(struct fmx_store_file *file, const char *text, int64_t *out_number)
{
    sqlite3_stmt *statement = NULL;

    *out_number = 0;
    if (sqlite3_prepare_v2(file->db, text, -1, &statement, NULL) != SQLITE_OK) {
        return false;
    }
    bool has_row = sqlite3_step(statement) == SQLITE_ROW;
    if (has_row) {
        *out_number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return has_row;
}

/* SQLite's look at every page. False: `error` has words. */
static bool is_whole(struct fmx_store_file *file, char *error, size_t error_bytes)
{
    sqlite3_stmt *statement = NULL;
    bool whole = false;

    if (sqlite3_prepare_v2(file->db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *words = (const char *)sqlite3_column_text(statement, 0);
        whole = words != NULL && strcmp(words, "ok") == 0;
        if (!whole) {
            snprintf(error, error_bytes, "the store '%s' is damaged: %s", file->path,
                     words != NULL ? words : "it cannot be read");
        }
    } else {
        (void)refused(file, error, error_bytes);
    }
    sqlite3_finalize(statement);
    return whole;
}

static enum fmx_status check_format(struct fmx_store_file *file, bool *out_is_new, char *error,
                                    size_t error_bytes)
{
    int64_t application_id;
    int64_t version;
    int64_t tables;

    if (!ask_number(file, "PRAGMA application_id", &application_id) ||
        !ask_number(file, "PRAGMA user_version", &version) ||
        !ask_number(file, "SELECT count(*) FROM sqlite_schema", &tables)) {
        return refused(file, error, error_bytes);
    }
    *out_is_new = application_id == 0 && version == 0 && tables == 0;
    if (*out_is_new) {
        return FMX_OK;
    }
    if (application_id != APPLICATION_ID || version < 1) {
        snprintf(error, error_bytes,
                 "'%s' is not a store: it is an SQLite file of another application", file->path);
        return FMX_SYS_FILE;
    }
    if (version > USER_VERSION) {
        snprintf(error, error_bytes,
                 "the store '%s' was made by a newer version of fleetmux: its format is %lld, this "
                 "version knows up to %d",
                 file->path, (long long)version, USER_VERSION);
        return FMX_E_OPTION;
    }
    return is_whole(file, error, error_bytes) ? FMX_OK : FMX_SYS_FILE;
}

static bool set_wal(struct fmx_store_file *file)
{
    sqlite3_stmt *statement = NULL;
    bool is_wal = false;

    if (sqlite3_prepare_v2(file->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *mode = (const char *)sqlite3_column_text(statement, 0);
        is_wal = mode != NULL && strcmp(mode, "wal") == 0;
    }
    sqlite3_finalize(statement);
    return is_wal;
}

static bool make_tables(struct fmx_store_file *file)
{
    char marks[96];

    snprintf(marks, sizeof(marks), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, USER_VERSION);
    return execute(file, "BEGIN IMMEDIATE") && execute(file, schema) && execute(file, marks);
}

/* What nobody will ever ask for: it expired while no gateway ran, or its session is gone. */
static bool sweep(struct fmx_store_file *file)
{
    char text[320];

    snprintf(text, sizeof(text),
             "BEGIN IMMEDIATE;"
             "DELETE FROM message WHERE expires_ms > 0 AND expires_ms <= %llu;"
             "DELETE FROM message WHERE session NOT IN (SELECT id FROM session);"
             "DELETE FROM subscription WHERE session NOT IN (SELECT id FROM session);"
             "COMMIT",
             (unsigned long long)fmx_store_unix_ms());
    return execute(file, text);
}

static bool prepare_all(struct fmx_store_file *file)
{
    for (unsigned i = 0; i < FMX_STORE_STATEMENTS; i++) {
        if (sqlite3_prepare_v3(file->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &file->statements[i], NULL) != SQLITE_OK) {
            return false;
        }
    }
    return true;
}

static enum fmx_status open_database(struct fmx_store_file *file, char *error, size_t error_bytes)
{
    int64_t last_id;
    bool is_new = false;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;

    if (sqlite3_open_v2(file->path, &file->db, flags, NULL) != SQLITE_OK) {
        return refused(file, error, error_bytes);
    }
    if (sqlite3_db_readonly(file->db, "main") != 0) {
        snprintf(error, error_bytes, "the store '%s' cannot be written: check its permissions",
                 file->path);
        return FMX_SYS_FILE;
    }
    sqlite3_busy_timeout(file->db, 1000);
    enum fmx_status status = check_format(file, &is_new, error, error_bytes);
    if (status != FMX_OK) {
        return status;
    }
    if (!set_wal(file) || !execute(file, settings) || (is_new && !make_tables(file)) ||
        !ask_number(file,
                    "SELECT max(coalesce((SELECT max(id) FROM session), 0),"
                    " coalesce((SELECT max(id) FROM message), 0))",
                    &last_id) ||
        !sweep(file) || !prepare_all(file)) {
        return refused(file, error, error_bytes);
    }
    file->last_id = (uint64_t)last_id;
    return FMX_OK;
}

enum fmx_status fmx_store_file_open(struct fmx_store_file *file, const char *path, char *error,
                                    size_t error_bytes)
{
    *file = (struct fmx_store_file){.lock_fd = -1};
    enum fmx_status status = find_path(file, path, error, error_bytes);

    if (status == FMX_OK) {
        status = lock(file, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = open_database(file, error, error_bytes);
    }
    if (status != FMX_OK) {
        fmx_store_file_close(file);
    }
    return status;
}

void fmx_store_file_close(struct fmx_store_file *file)
{
    for (unsigned i = 0; i < FMX_STORE_STATEMENTS; i++) {
        sqlite3_finalize(file->statements[i]);
    }
    sqlite3_close(file->db);
    free(file->path);
    if (file->lock_fd >= 0) {
        close(file->lock_fd); /* last: until here nobody else may have the file */
    }
    *file = (struct fmx_store_file){.lock_fd = -1};
}

/* ── operations ── */

static sqlite3_stmt *bind_number(sqlite3_stmt *statement, int at, uint64_t number)
{
    sqlite3_bind_int64(statement, at, (sqlite3_int64)number);
    return statement;
}

/* Borrows: the record outlives the transaction. An empty text is no NULL, for it has an address. */
static void bind_text(sqlite3_stmt *statement, int at, const uint8_t *text, uint32_t bytes)
{
    sqlite3_bind_blob64(statement, at, text, bytes, SQLITE_STATIC);
}

/* Runs what yields no rows. Binding a number, or bytes that are only borrowed, cannot fail. */
static bool run(sqlite3_stmt *statement)
{
    bool done = sqlite3_step(statement) == SQLITE_DONE;

    sqlite3_reset(statement);
    return done;
}

static bool drop_session(struct fmx_store_file *file, uint64_t session)
{
    return run(bind_number(file->statements[STATEMENT_UNSUBSCRIBE_ALL], 1, session)) &&
           run(bind_number(file->statements[STATEMENT_DROP_MESSAGES], 1, session)) &&
           run(bind_number(file->statements[STATEMENT_DROP_SESSION], 1, session));
}

/* The session that has this key under another number goes, with everything of it. */
static bool drop_namesake(struct fmx_store_file *file, const struct fmx_store_record *record,
                          const uint8_t *key)
{
    sqlite3_stmt *find = file->statements[STATEMENT_FIND_KEY];

    bind_text(find, 1, key, record->texts[0]);
    bind_number(find, 2, record->session);
    int code = sqlite3_step(find);
    uint64_t namesake = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    return code == SQLITE_DONE || (code == SQLITE_ROW && drop_session(file, namesake));
}

static bool put_session(struct fmx_store_file *file, const struct fmx_store_record *record,
                        const uint8_t *key)
{
    sqlite3_stmt *put = file->statements[STATEMENT_PUT_SESSION];

    if (!drop_namesake(file, record, key)) {
        return false;
    }
    bind_number(put, 1, record->session);
    bind_text(put, 2, key, record->texts[0]);
    bind_number(put, 3, record->expiry_s);
    bind_number(put, 4, record->flags);
    bind_number(put, 5, record->unix_ms);
    return run(put);
}

static bool put_message(struct fmx_store_file *file, const struct fmx_store_record *record,
                        const uint8_t *topic)
{
    sqlite3_stmt *put = file->statements[STATEMENT_PUT_MESSAGE];

    bind_number(put, 1, record->message);
    bind_number(put, 2, record->session);
    bind_number(put, 3, record->qos);
    bind_number(put, 4, record->unix_ms);
    bind_text(put, 5, topic, record->texts[0]);
    bind_text(put, 6, topic + record->texts[0], record->texts[1]);
    bind_text(put, 7, topic + record->texts[0] + record->texts[1], record->texts[2]);
    return run(put);
}

static bool carry_out(struct fmx_store_file *file, const struct fmx_store_record *record)
{
    const uint8_t *text = (const uint8_t *)(record + 1);
    sqlite3_stmt *statement;

    switch ((enum fmx_store_kind)record->kind) {
    case FMX_STORE_NOTHING:
        return true;
    case FMX_STORE_PUT_SESSION:
        return put_session(file, record, text);
    case FMX_STORE_DROP_SESSION:
        return drop_session(file, record->session);
    case FMX_STORE_SUBSCRIBE:
        statement = bind_number(file->statements[STATEMENT_SUBSCRIBE], 1, record->session);
        bind_text(statement, 2, text, record->texts[0]);
        return run(bind_number(statement, 3, record->qos));
    case FMX_STORE_UNSUBSCRIBE:
        statement = bind_number(file->statements[STATEMENT_UNSUBSCRIBE], 1, record->session);
        bind_text(statement, 2, text, record->texts[0]);
        return run(statement);
    case FMX_STORE_PUT_MESSAGE:
        return put_message(file, record, text);
    case FMX_STORE_DROP_MESSAGE:
        return run(bind_number(file->statements[STATEMENT_DROP_MESSAGE], 1, record->message));
    }
    FMX_UNREACHABLE();
}

static bool carry_out_batch(struct fmx_store_file *file, const struct fmx_store_batch *batch)
{
    for (size_t at = 0; at < batch->bytes;) {
        const struct fmx_store_record *record = (const void *)(batch->records + at);
        if (!carry_out(file, record)) {
            return false;
        }
        at += record->bytes;
    }
    return true;
}

bool fmx_store_file_write(struct fmx_store_file *file, const struct fmx_store_batch *batches)
{
    bool done = run(file->statements[STATEMENT_BEGIN]);

    for (; done && batches != NULL; batches = batches->next) {
        done = carry_out_batch(file, batches);
    }
    if (done && run(file->statements[STATEMENT_COMMIT])) {
        return true;
    }
    file->failure = sqlite3_errcode(file->db);
    snprintf(file->words, sizeof(file->words), "the store '%s' cannot be written: %s", file->path,
             sqlite3_errmsg(file->db));
    /* Some failures have rolled back already, and a rollback of nothing is refused: no harm. */
    (void)execute(file, "ROLLBACK");
    return false;
}

bool fmx_store_file_may_recover(const struct fmx_store_file *file)
{
    return file->failure != SQLITE_CORRUPT && file->failure != SQLITE_NOTADB;
}
