/*
 * registry_file.h — the open registry file, as registry*.c and the keeper of devices.h use it
 *
 * One handle is one connection of SQLite and belongs to one thread at a time. Every public call
 * notes where its caller wants words (fmx_registry_begin_call); everything below it fails with
 * fmx_registry_say or fmx_registry_fail, which write there.
 */
#ifndef ENGINE_ROLES_REGISTRY_FILE_H
#define ENGINE_ROLES_REGISTRY_FILE_H

#include <fleetmux/registry.h>
#include <sqlite3.h>

#define FMX_REGISTRY_APPLICATION_ID  0x464d5852 /* "FMXR" */
#define FMX_REGISTRY_VERSION         1
#define FMX_REGISTRY_BUSY_MS         5000
#define FMX_REGISTRY_CHANGES_MAX     16384 /* rows of the log that are kept */
#define FMX_REGISTRY_TOPICS_MAX      1024  /* of one product */
#define FMX_REGISTRY_TOPIC_BYTES_MAX 126
#define FMX_REGISTRY_NAME_BYTES_MAX  128 /* of a product, for people */
#define FMX_REGISTRY_KEY_BYTES_MAX   64  /* the longer of product key and device name */
#define FMX_REGISTRY_SECRET_BYTES    32  /* of one that is made, in digits */
#define FMX_REGISTRY_STATEMENTS_MAX  48

/* What a row of the log says. The rows of one edit stand in the order in which it was made. */
enum fmx_registry_change {
    FMX_CHANGE_PRODUCT = 1,      /* look at the product again: new, or other limits, topics, … */
    FMX_CHANGE_PRODUCT_GONE = 2, /* deleted or disabled: the same, and end its sessions */
    FMX_CHANGE_DEVICE = 3,       /* look at the device again */
    FMX_CHANGE_DEVICE_GONE = 4,  /* deleted or disabled: the same, and end its session */
    FMX_CHANGE_ALL = 5,          /* look at everything again */
};

struct fmx_registry {
    sqlite3 *db;
    char *path;
    char *error; /* of the running call */
    size_t error_bytes;
    int busy_ms;
    bool is_editing; /* between fmx_registry_edit and fmx_registry_commit or …_undo */
    /* Prepared statements by the address of their text: literals only. */
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } cached[FMX_REGISTRY_STATEMENTS_MAX];
    uint32_t cached_count;
    /* Results that a caller reads until its next call. */
    char product_key[FMX_REGISTRY_KEY_BYTES_MAX + 1];
    char device_name[FMX_REGISTRY_KEY_BYTES_MAX + 1];
    char secret[FMX_REGISTRY_KEY_BYTES_MAX + 1];
    char name[FMX_REGISTRY_NAME_BYTES_MAX + 1];
};

/* fmx_registry_open with a patience of its own (tests). */
enum fmx_status fmx_registry_open_within(const char *path, int busy_ms,
                                         struct fmx_registry **out_registry, char *error,
                                         size_t error_bytes) FMX_MUST_USE;

void fmx_registry_begin_call(struct fmx_registry *registry, char *error, size_t error_bytes);

/* Writes words for the caller and returns `status`. */
enum fmx_status fmx_registry_say(struct fmx_registry *registry, enum fmx_status status,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Says what SQLite complains of and what to do about it. FMX_SYS_FILE or FMX_LIMIT_MEMORY. */
enum fmx_status fmx_registry_fail(struct fmx_registry *registry);

/* ── statements ── */

/*
 * A statement with its arguments bound, by letters: t const char * (NULL is NULL), s fmx_slice as
 * text, i int64_t. Give it back. NULL: words were said, and fmx_registry_fail's status is in
 * `out_status`.
 */
sqlite3_stmt *fmx_registry_query(struct fmx_registry *registry, enum fmx_status *out_status,
                                 const char *sql, const char *letters, ...);

/* The next row. FMX_OK, FMX_END, or as fmx_registry_fail. */
enum fmx_status fmx_registry_step(struct fmx_registry *registry,
                                  sqlite3_stmt *statement) FMX_MUST_USE;

void fmx_registry_give(struct fmx_registry *registry, sqlite3_stmt *statement);

/* Query, step to the end, give. FMX_OK or as fmx_registry_fail. */
enum fmx_status fmx_registry_run(struct fmx_registry *registry, const char *sql,
                                 const char *letters, ...) FMX_MUST_USE;

/* The first column of the first row, or `otherwise` if there is no row. */
enum fmx_status fmx_registry_number(struct fmx_registry *registry, int64_t otherwise,
                                    int64_t *out_number, const char *sql, const char *letters,
                                    ...) FMX_MUST_USE;

/* Column as text; never NULL. Valid until the next step. */
const char *fmx_registry_text(sqlite3_stmt *statement, int column);
fmx_slice fmx_registry_slice(sqlite3_stmt *statement, int column);

/* ── transactions ── */

/* Begins an edit: nobody else writes from here on. FMX_OK or as fmx_registry_fail. */
enum fmx_status fmx_registry_edit(struct fmx_registry *registry) FMX_MUST_USE;

/* Adds a row to the log of changes; within an edit. */
enum fmx_status fmx_registry_log(struct fmx_registry *registry, enum fmx_registry_change change,
                                 const char *product_key, const char *device_name) FMX_MUST_USE;

/* Ends an edit: commits if `status` is FMX_OK, else undoes it. Returns how it ended. */
enum fmx_status fmx_registry_end_edit(struct fmx_registry *registry,
                                      enum fmx_status status) FMX_MUST_USE;

/* Ends whatever transaction there is, undoing it. The error's words stay. */
void fmx_registry_undo(struct fmx_registry *registry);

/* ── fields ── */

/* FMX_OK, or FMX_E_ARGUMENT and words that name the field. */
enum fmx_status fmx_registry_check_product_key(struct fmx_registry *registry,
                                               const char *product_key) FMX_MUST_USE;
enum fmx_status fmx_registry_check_device_name(struct fmx_registry *registry,
                                               const char *device_name) FMX_MUST_USE;
enum fmx_status fmx_registry_check_secret(struct fmx_registry *registry,
                                          const char *secret) FMX_MUST_USE;

/* The product's id. FMX_OK; `none` if there is none, with words; or as fmx_registry_fail. */
enum fmx_status fmx_registry_product_id(struct fmx_registry *registry, const char *product_key,
                                        enum fmx_status none, int64_t *out_id) FMX_MUST_USE;

/* Reads a product's overrides. FMX_OK, or FMX_SYS_FILE (one that is unknown, or out of range). */
enum fmx_status fmx_registry_read_limits(struct fmx_registry *registry, int64_t product_id,
                                         struct fmx_limits_override *out_limits) FMX_MUST_USE;

/* Writes random hex digits, lower case, and a terminator. */
void fmx_registry_make_secret(char *out, size_t digits);

/* Now, in milliseconds of UNIX time. */
int64_t fmx_registry_now_ms(void);

#endif
