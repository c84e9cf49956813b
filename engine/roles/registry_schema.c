/*
 * registry_schema — the registry's file: made, opened, checked; statements and transactions on it
 *
 * Why it is so:   management and gateways are different processes, and a change must be whole or
 *                 not at all for both. SQLite in WAL mode gives that: readers are never blocked, a
 *                 writer only by another writer, and a commit survives a power cut
 * Words:          edit: a transaction that writes; log: the table `change`, by which a running
 *                 gateway learns what it has to look at again
 * Invariants:     (1) every edit adds its row to the log in the same transaction
 *                 (2) the log's numbers have no gaps: a reader that misses one knows it
 *                 (3) a product's id is never used again, so that a device can outlive its product
 *                 in somebody's memory without being taken for another's
 * Memory:         a handle owns its connection, its statements and the texts of its last result
 * Threads:        one at a time for each handle
 * Limits:         a writer waits 5 s for another one; FMX_REGISTRY_CHANGES_MAX rows in the log
 * Not here:       products and devices: registry.c, registry_find.c; many at once:
 *                 registry_import.c; the gateway's memory of it all: devices.c
 */
#include "engine/roles/registry_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fleetmux/private/assert.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

/* File mode of a new registry: it holds secrets. SQLite gives its side files the same. */
#define FILE_MODE 0600

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE product("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " product_key TEXT NOT NULL UNIQUE,"
    " secret TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " status INTEGER NOT NULL,"
    " registration INTEGER NOT NULL);"
    "CREATE TABLE product_limit("
    " product INTEGER NOT NULL REFERENCES product(id),"
    " name TEXT NOT NULL,"
    " value INTEGER NOT NULL,"
    " PRIMARY KEY(product, name)) WITHOUT ROWID;"
    "CREATE TABLE topic_class("
    " product INTEGER NOT NULL REFERENCES product(id),"
    " topic TEXT NOT NULL,"
    " permission INTEGER NOT NULL,"
    " PRIMARY KEY(product, topic)) WITHOUT ROWID;"
    "CREATE TABLE device("
    " product INTEGER NOT NULL REFERENCES product(id),"
    " name TEXT NOT NULL,"
    " secret TEXT NOT NULL,"
    " status INTEGER NOT NULL,"
    " added_ms INTEGER NOT NULL,"
    " activated_ms INTEGER NOT NULL,"
    " token TEXT,"
    " token_client_id TEXT,"
    " PRIMARY KEY(product, name)) WITHOUT ROWID;"
    "CREATE TABLE change("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " kind INTEGER NOT NULL,"
    " product TEXT NOT NULL,"
    " device TEXT NOT NULL);"
    "PRAGMA application_id = " TEXT(
        FMX_REGISTRY_APPLICATION_ID) ";"
                                     "PRAGMA user_version = " TEXT(FMX_REGISTRY_VERSION) ";"
                                                                                         "COMMIT;";

#define TABLES_COUNT 5

/* ── words ── */

void fmx_registry_begin_call(struct fmx_registry *registry, char *error, size_t error_bytes)
{
    registry->error = error;
    registry->error_bytes = error_bytes;
    if (error_bytes > 0) {
        error[0] = '\0';
    }
}

enum fmx_status fmx_registry_say(struct fmx_registry *registry, enum fmx_status status,
                                 const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (registry->error_bytes > 0) {
        vsnprintf(registry->error, registry->error_bytes, format, arguments);
    }
    va_end(arguments);
    return status;
}

enum fmx_status fmx_registry_fail(struct fmx_registry *registry)
{
    const char *path = registry->path;
    int code = sqlite3_errcode(registry->db);

    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return fmx_registry_say(registry, FMX_LIMIT_MEMORY, "%s: memory ran out", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fmx_registry_say(registry, FMX_SYS_FILE,
                                "%s: locked by another program for more than %d ms; try again when "
                                "it is done ('fuser %s' names it)",
                                path, registry->busy_ms, path);
    case SQLITE_NOTADB:
        return fmx_registry_say(registry, FMX_SYS_FILE,
                                "%s: not a registry, or damaged at its beginning; name a file made "
                                "by 'fleetmux registry create', or restore a copy",
                                path);
    case SQLITE_CORRUPT:
        return fmx_registry_say(registry, FMX_SYS_FILE,
                                "%s: damaged (%s); restore a copy, or save what can be read with "
                                "'sqlite3 %s .recover'",
                                path, sqlite3_errmsg(registry->db), path);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return fmx_registry_say(registry, FMX_SYS_FILE,
                                "%s: cannot be opened for writing (%s); check who may write to the "
                                "file and to its folder",
                                path, sqlite3_errmsg(registry->db));
    case SQLITE_FULL:
        return fmx_registry_say(
            registry, FMX_SYS_FILE,
            "%s: the disk is full; nothing was changed, make room and try again", path);
    default:
        return fmx_registry_say(registry, FMX_SYS_FILE, "%s: %s", path,
                                sqlite3_errmsg(registry->db));
    }
}

/* ── statements ── */

static sqlite3_stmt *prepare(struct fmx_registry *registry, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    for (uint32_t i = 0; i < registry->cached_count; i++) {
        statement = registry->cached[i].statement;
        if (registry->cached[i].sql == sql && !sqlite3_stmt_busy(statement)) {
            return statement;
        }
    }
    bool is_kept = registry->cached_count < FMX_REGISTRY_STATEMENTS_MAX;
    if (sqlite3_prepare_v3(registry->db, sql, -1, is_kept ? SQLITE_PREPARE_PERSISTENT : 0,
                           &statement, NULL) != SQLITE_OK) {
        return NULL;
    }
    if (is_kept) {
        registry->cached[registry->cached_count].sql = sql;
        registry->cached[registry->cached_count++].statement = statement;
    }
    return statement;
}

void fmx_registry_give(struct fmx_registry *registry, sqlite3_stmt *statement)
{
    for (uint32_t i = 0; i < registry->cached_count; i++) {
        if (registry->cached[i].statement == statement) {
            sqlite3_reset(statement); /* its status was told by the step */
            sqlite3_clear_bindings(statement);
            return;
        }
    }
    sqlite3_finalize(statement);
}

static int bind_one(sqlite3_stmt *statement, int at, char letter, va_list *arguments)
{
    if (letter == 'i') {
        return sqlite3_bind_int64(statement, at, va_arg(*arguments, int64_t));
    }
    if (letter == 's') {
        fmx_slice text = va_arg(*arguments, fmx_slice);
        return sqlite3_bind_text(statement, at, text.bytes > 0 ? (const char *)text.data : "",
                                 (int)text.bytes, SQLITE_STATIC);
    }
    FMX_ASSERT(letter == 't');
    return sqlite3_bind_text(statement, at, va_arg(*arguments, const char *), -1, SQLITE_STATIC);
}

static sqlite3_stmt *query(struct fmx_registry *registry, enum fmx_status *out_status,
                           const char *sql, const char *letters, va_list *arguments)
{
    sqlite3_stmt *statement = prepare(registry, sql);

    *out_status = FMX_OK;
    if (statement == NULL) {
        *out_status = fmx_registry_fail(registry);
        return NULL;
    }
    for (int i = 0; letters[i] != '\0'; i++) {
        if (bind_one(statement, i + 1, letters[i], arguments) != SQLITE_OK) {
            *out_status = fmx_registry_fail(registry);
            fmx_registry_give(registry, statement);
            return NULL;
        }
    }
    return statement;
}

sqlite3_stmt *fmx_registry_query(struct fmx_registry *registry, enum fmx_status *out_status,
                                 const char *sql, const char *letters, ...)
{
    va_list arguments;

    va_start(arguments, letters);
    sqlite3_stmt *statement = query(registry, out_status, sql, letters, &arguments);
    va_end(arguments);
    return statement;
}

enum fmx_status fmx_registry_step(struct fmx_registry *registry, sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);

    return result == SQLITE_ROW    ? FMX_OK
           : result == SQLITE_DONE ? FMX_END
                                   : fmx_registry_fail(registry);
}

enum fmx_status fmx_registry_run(struct fmx_registry *registry, const char *sql,
                                 const char *letters, ...)
{
    enum fmx_status status;
    va_list arguments;

    va_start(arguments, letters);
    sqlite3_stmt *statement = query(registry, &status, sql, letters, &arguments);
    va_end(arguments);
    if (statement == NULL) {
        return status;
    }
    do {
        status = fmx_registry_step(registry, statement);
    } while (status == FMX_OK);
    fmx_registry_give(registry, statement);
    return status == FMX_END ? FMX_OK : status;
}

enum fmx_status fmx_registry_number(struct fmx_registry *registry, int64_t otherwise,
                                    int64_t *out_number, const char *sql, const char *letters, ...)
{
    enum fmx_status status;
    va_list arguments;

    *out_number = otherwise;
    va_start(arguments, letters);
    sqlite3_stmt *statement = query(registry, &status, sql, letters, &arguments);
    va_end(arguments);
    if (statement == NULL) {
        return status;
    }
    status = fmx_registry_step(registry, statement);
    if (status == FMX_OK) {
        *out_number = sqlite3_column_int64(statement, 0);
    }
    fmx_registry_give(registry, statement);
    return status == FMX_END ? FMX_OK : status;
}

const char *fmx_registry_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text == NULL ? "" : text;
}

fmx_slice fmx_registry_slice(sqlite3_stmt *statement, int column)
{
    const uint8_t *data = sqlite3_column_text(statement, column);

    return (fmx_slice){.data = data, .bytes = (size_t)sqlite3_column_bytes(statement, column)};
}

/* ── transactions ── */

enum fmx_status fmx_registry_edit(struct fmx_registry *registry)
{
    FMX_ASSERT(!registry->is_editing);
    enum fmx_status status = fmx_registry_run(registry, "BEGIN IMMEDIATE", "");
    registry->is_editing = status == FMX_OK;
    return status;
}

enum fmx_status fmx_registry_log(struct fmx_registry *registry, enum fmx_registry_change change,
                                 const char *product_key, const char *device_name)
{
    FMX_ASSERT(registry->is_editing);
    enum fmx_status status =
        fmx_registry_run(registry, "INSERT INTO change(kind, product, device) VALUES(?, ?, ?)",
                         "itt", (int64_t)change, product_key, device_name);
    if (status != FMX_OK) {
        return status;
    }
    return fmx_registry_run(registry,
                            "DELETE FROM change WHERE seq <= last_insert_rowid() "
                            "- " TEXT(FMX_REGISTRY_CHANGES_MAX),
                            "");
}

void fmx_registry_undo(struct fmx_registry *registry)
{
    registry->is_editing = false;
    if (sqlite3_get_autocommit(registry->db) == 0) {
        (void)sqlite3_exec(registry->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

enum fmx_status fmx_registry_end_edit(struct fmx_registry *registry, enum fmx_status status)
{
    FMX_ASSERT(registry->is_editing);
    if (status == FMX_OK) {
        status = fmx_registry_run(registry, "COMMIT", "");
    }
    if (status != FMX_OK) {
        fmx_registry_undo(registry);
    }
    registry->is_editing = false;
    return status;
}

/* ── making and opening ── */

void fmx_registry_close(struct fmx_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    for (uint32_t i = 0; i < registry->cached_count; i++) {
        sqlite3_finalize(registry->cached[i].statement);
    }
    sqlite3_close_v2(registry->db);
    free(registry->path);
    free(registry);
}

/* Connects without looking into the file. */
static enum fmx_status connect_to(const char *path, int busy_ms, struct fmx_registry **out_registry,
                                  char *error, size_t error_bytes)
{
    struct fmx_registry *registry = calloc(1, sizeof(*registry));
    struct fmx_registry failing = {.error = error, .error_bytes = error_bytes};

    *out_registry = NULL;
    if (registry == NULL || (registry->path = strdup(path)) == NULL) {
        free(registry);
        return fmx_registry_say(&failing, FMX_LIMIT_MEMORY, "%s: memory ran out", path);
    }
    registry->busy_ms = busy_ms;
    fmx_registry_begin_call(registry, error, error_bytes);
    if (sqlite3_open_v2(path, &registry->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        sqlite3_busy_timeout(registry->db, busy_ms) != SQLITE_OK) {
        enum fmx_status status = fmx_registry_fail(registry);
        fmx_registry_close(registry);
        return status;
    }
    *out_registry = registry;
    return FMX_OK;
}

static enum fmx_status make_schema(struct fmx_registry *registry)
{
    enum fmx_status status = fmx_registry_run(registry, "PRAGMA journal_mode = WAL", "");

    if (status == FMX_OK && sqlite3_exec(registry->db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        status = fmx_registry_fail(registry);
    }
    return status;
}

enum fmx_status fmx_registry_create(const char *path, char *error, size_t error_bytes)
{
    struct fmx_registry failing = {.error = error, .error_bytes = error_bytes};
    struct fmx_registry *registry = NULL;
    int file = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, FILE_MODE);

    if (file < 0 && errno == EEXIST) {
        return fmx_registry_say(&failing, FMX_SYS_FILE,
                                "%s: exists already and is left as it is; choose another name",
                                path);
    }
    if (file < 0) {
        return fmx_registry_say(&failing, FMX_SYS_FILE,
                                "%s: cannot be made (%s); check the folder and who may write to it",
                                path, strerror(errno));
    }
    close(file);
    enum fmx_status status = connect_to(path, FMX_REGISTRY_BUSY_MS, &registry, error, error_bytes);
    if (status == FMX_OK) {
        status = make_schema(registry);
    }
    fmx_registry_close(registry);
    if (status != FMX_OK) {
        unlink(path);
    }
    return status;
}

/* Is this ours, of a version that we know, and whole as far as a glance tells? */
static enum fmx_status check_file(struct fmx_registry *registry)
{
    int64_t application = 0, version = 0, tables = 0;
    enum fmx_status status =
        fmx_registry_number(registry, 0, &application, "PRAGMA application_id", "");

    if (status == FMX_OK && application != FMX_REGISTRY_APPLICATION_ID) {
        return fmx_registry_say(registry, FMX_SYS_FILE,
                                "%s: not a registry of fleetmux; name a file made by 'fleetmux "
                                "registry create'",
                                registry->path);
    }
    if (status == FMX_OK) {
        status = fmx_registry_number(registry, 0, &version, "PRAGMA user_version", "");
    }
    if (status == FMX_OK && version > FMX_REGISTRY_VERSION) {
        return fmx_registry_say(registry, FMX_E_OPTION,
                                "%s: made by a newer fleetmux (format %lld, this one knows %d); "
                                "use that version or a newer one",
                                registry->path, (long long)version, FMX_REGISTRY_VERSION);
    }
    if (status == FMX_OK) {
        status = fmx_registry_number(registry, 0, &tables,
                                     "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND "
                                     "name IN ('product', 'product_limit', 'topic_class', 'device',"
                                     " 'change')",
                                     "");
    }
    if (status == FMX_OK && (version != FMX_REGISTRY_VERSION || tables != TABLES_COUNT)) {
        return fmx_registry_say(registry, FMX_SYS_FILE,
                                "%s: damaged (%lld of %d tables are there); restore a copy",
                                registry->path, (long long)tables, TABLES_COUNT);
    }
    return status;
}

static enum fmx_status settle_in(struct fmx_registry *registry)
{
    static const char *const pragmas[] = {
        "PRAGMA journal_mode = WAL", /* it is; unless somebody has changed it */
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA cache_size = -32768",           /* KiB, as far as there are pages */
        "PRAGMA journal_size_limit = 16777216", /* after an import the disk is given back */
        "PRAGMA wal_autocheckpoint = 1000",
    };
    enum fmx_status status = FMX_OK;

    for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]) && status == FMX_OK; i++) {
        status = fmx_registry_run(registry, pragmas[i], "");
    }
    return status;
}

enum fmx_status fmx_registry_open_within(const char *path, int busy_ms,
                                         struct fmx_registry **out_registry, char *error,
                                         size_t error_bytes)
{
    struct fmx_registry failing = {.error = error, .error_bytes = error_bytes};
    struct stat about;

    *out_registry = NULL;
    if (stat(path, &about) != 0 && errno == ENOENT) {
        return fmx_registry_say(&failing, FMX_SYS_FILE,
                                "%s: there is no such file; make one with 'fleetmux registry "
                                "create %s'",
                                path, path);
    }
    enum fmx_status status = connect_to(path, busy_ms, out_registry, error, error_bytes);
    if (status == FMX_OK) {
        status = check_file(*out_registry);
    }
    if (status == FMX_OK) {
        status = settle_in(*out_registry);
    }
    if (status != FMX_OK) {
        fmx_registry_close(*out_registry);
        *out_registry = NULL;
    }
    return status;
}

enum fmx_status fmx_registry_open(const char *path, struct fmx_registry **out_registry, char *error,
                                  size_t error_bytes)
{
    return fmx_registry_open_within(path, FMX_REGISTRY_BUSY_MS, out_registry, error, error_bytes);
}
