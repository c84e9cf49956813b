/*
 * store_file.h — operations as they travel from the shards to the file, and the file itself
 *
 * Internal to store.c, store_file.c and store_read.c.
 */
#ifndef ENGINE_ROLES_STORE_FILE_H
#define ENGINE_ROLES_STORE_FILE_H

#include "engine/roles/store.h"
#include <sqlite3.h>
#include <stdalign.h>
#include <time.h>

enum fmx_store_kind {
    FMX_STORE_NOTHING, /* was a message that is put and dropped in one transaction, or its drop */
    FMX_STORE_PUT_SESSION,
    FMX_STORE_DROP_SESSION,
    FMX_STORE_SUBSCRIBE,
    FMX_STORE_UNSUBSCRIBE,
    FMX_STORE_PUT_MESSAGE,
    FMX_STORE_DROP_MESSAGE,
};

/* One operation, followed by its texts: key; filter; or topic, properties and payload. */
struct fmx_store_record {
    uint32_t bytes; /* with its texts, a multiple of 8 */
    uint8_t kind;   /* enum fmx_store_kind */
    uint8_t qos;    /* of a message; the options of a subscription */
    uint32_t texts[3];
    uint32_t expiry_s;
    uint32_t flags;
    uint64_t session;
    uint64_t message;
    uint64_t unix_ms; /* away since; expires at, 0: never */
};

/* What one shard has posted between two hand-overs. */
struct fmx_store_batch {
    struct fmx_store_batch *next;
    uint32_t shard;
    uint32_t count; /* operations */
    uint32_t puts;  /* of messages */
    uint32_t drops; /* of messages */
    uint64_t last;  /* sequence of the last operation */
    size_t bytes;
    size_t capacity;
    alignas(8) uint8_t records[];
};

#define FMX_STORE_STATEMENTS 11u

/* The file, open for writing. Its thread is whoever has it; it knows nothing of shards. */
struct fmx_store_file {
    sqlite3 *db;
    sqlite3_stmt *statements[FMX_STORE_STATEMENTS];
    int lock_fd;
    char *path;       /* absolute: SQLite gives meaning to some other names */
    uint64_t last_id; /* the largest number that was in the file when it was opened */
    int failure;      /* of the last write that failed: SQLite's code, and words */
    char words[256];
};

/* As fmx_store_open says. After a failure the file needs no closing. */
enum fmx_status fmx_store_file_open(struct fmx_store_file *file, const char *path, char *error,
                                    size_t error_bytes) FMX_MUST_USE;
void fmx_store_file_close(struct fmx_store_file *file);

/* Carries out all batches in one transaction. False: nothing of it is done; `words` say why. */
bool fmx_store_file_write(struct fmx_store_file *file, const struct fmx_store_batch *batches);

/* After a failed write: may it succeed when it is tried again? */
bool fmx_store_file_may_recover(const struct fmx_store_file *file);

/* As fmx_store_read says, with a connection of its own. */
enum fmx_status fmx_store_file_read(const char *path, const struct fmx_store_load *load,
                                    uint64_t now_ns, char *error, size_t error_bytes) FMX_MUST_USE;

static inline uint64_t fmx_store_unix_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

#endif
