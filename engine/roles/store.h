/*
 * store.h — persistent sessions on disk: their subscriptions, and QoS 1 messages for the absent
 *
 * The homes of sessions (directory.h) hold everything in memory and work from there; the store is
 * their journal: what was committed is there again after the process was killed. Each shard appends
 * operations to its own batch and hands it over once a turn; one thread (the store's) takes the
 * batches of all shards, carries them out in one SQLite transaction, commits, and says so. Nothing
 * here ever blocks a shard.
 *
 *     shard    post … post  flush                                      on_committed(sequence)
 *                             │                                            ▲
 *     thread                  └──► take all, BEGIN … COMMIT (one sync) ────┘
 *
 * The promise: the file always holds, of each shard, all operations up to some sequence number and
 * none after it, and never fewer than on_committed has named: after kill -9, and after power loss
 * as far as the disk tells the truth. If the disk refuses (full, broken) it is tried again for
 * about two seconds; then the store has failed and stays so until it is opened anew: nothing more
 * is written or reported, every operation is counted in `failures`, fmx_store_is_full is true.
 */
#ifndef ENGINE_ROLES_STORE_H
#define ENGINE_ROLES_STORE_H

#include "engine/payload.h"

struct fmx_store;

/* A session as it stands on disk. */
struct fmx_store_session {
    uint64_t id;       /* from fmx_store_next_id, not 0 */
    fmx_slice key;     /* whose it is: client id, or the device's key */
    uint32_t expiry_s; /* UINT32_MAX: never */
    uint32_t flags;    /* the gateway's: uninterpreted */
    uint64_t away_ms;  /* UNIX time since when its client is away; 0: it is connected */
};

/*
 * Called on the store's thread after a commit, once for each shard that had a part in it: of this
 * shard, all up to `sequence` is on disk. The next commit waits until it returns.
 */
typedef void fmx_store_committed(void *user, uint32_t shard, uint64_t sequence);

struct fmx_store_options {
    const char *path; /* FILE; beside it FILE-wal, FILE-shm (SQLite's) and FILE-lock */
    uint32_t shards_count;
    uint32_t commit_wait_us; /* how long a first operation waits for company, 0 … 100,000 (500) */
    fmx_store_committed *on_committed;
    void (*on_failed)(void *user); /* on the store's thread, once: nothing more will be committed */
    void *user;
};

/*
 * Opens or makes the file and starts the thread. FMX_OK; FMX_SYS_FILE (cannot be read or written,
 * in use by another gateway, damaged, not a store), FMX_E_OPTION (made by a newer version, or a
 * wait out of range), FMX_SYS_THREAD, FMX_LIMIT_MEMORY; with words in `error`. Every page is looked
 * at, and messages that have expired are removed.
 */
enum fmx_status fmx_store_open(const struct fmx_store_options *options,
                               struct fmx_store **out_store, char *error,
                               size_t error_bytes) FMX_MUST_USE;

/* Commits all that was posted, reports it, then ends the thread. No shard runs any more. */
void fmx_store_close(struct fmx_store *store);

/* What a load reports; each may be called any number of times, a session before what it has. */
struct fmx_store_load {
    void *user;
    /* False: this session is not wanted, and nothing of it follows. */
    bool (*on_session)(void *user, const struct fmx_store_session *session);
    void (*on_subscription)(void *user, uint64_t session, fmx_slice filter, uint8_t options);
    /* In the order of their numbers. Takes over the payload, whose store_id is set; its expiry is
       on the clock of `now_ns`; its publisher (`from`) is nobody. */
    void (*on_message)(void *user, uint64_t session, struct fmx_payload *payload);
};

/*
 * Reads all that is in the file. Any thread, several at once, before any operation is posted.
 * Expired messages are left out. Lengths and properties are checked; whether a filter is one is
 * not. FMX_OK, FMX_SYS_FILE (damaged, cannot be read), FMX_LIMIT_MEMORY. `now_ns`: the shard's
 * clock.
 */
enum fmx_status fmx_store_read(struct fmx_store *store, const struct fmx_store_load *load,
                               uint64_t now_ns, char *error, size_t error_bytes) FMX_MUST_USE;

/* A number for a session or a message: above all that were in the file, never given twice. Any
   thread. */
uint64_t fmx_store_next_id(struct fmx_store *store);

/*
 * Operations, each on its shard's thread. They are carried out in the order of the calls of one
 * shard; different shards are about different sessions. Each returns its sequence number
 * (1, 2, 3 …), which on_committed will reach; 0: memory ran out or the store has failed, the
 * operation is lost and counted.
 */

/* Adds it, or changes the one with this number. Another one with this key goes, with all it has. */
uint64_t fmx_store_put_session(struct fmx_store *store, uint32_t shard,
                               const struct fmx_store_session *session);
/* With its subscriptions and messages. */
uint64_t fmx_store_drop_session(struct fmx_store *store, uint32_t shard, uint64_t session);
uint64_t fmx_store_subscribe(struct fmx_store *store, uint32_t shard, uint64_t session,
                             fmx_slice filter, uint8_t options);
uint64_t fmx_store_unsubscribe(struct fmx_store *store, uint32_t shard, uint64_t session,
                               fmx_slice filter);
/*
 * Copies the message. Its number (payload->store_id, not 0) is put once and dropped once, in this
 * order on one shard: the two of them may meet before the disk, and then neither is written.
 */
uint64_t fmx_store_put_message(struct fmx_store *store, uint32_t shard, uint64_t session,
                               const struct fmx_payload *payload, uint64_t now_ns);
uint64_t fmx_store_drop_message(struct fmx_store *store, uint32_t shard, uint64_t message);

/*
 * Once a turn, on the shard's thread: hands over what was posted. Cheap if that is nothing. Of very
 * much (256 KiB) the first part has gone already.
 */
void fmx_store_flush(struct fmx_store *store, uint32_t shard);

/*
 * Do so many bytes (64 MiB) wait for the disk that no more messages should be stored? Or has the
 * store failed? Any thread. Advice: what is posted all the same is taken while there is memory.
 */
bool fmx_store_is_full(const struct fmx_store *store);

/* NULL; or, once the store has failed, words for the log, which live as long as it. Any thread. */
const char *fmx_store_failure(const struct fmx_store *store);

/* Counters; any thread. */
struct fmx_store_stats {
    uint64_t commits;
    uint64_t operations;
    uint64_t failures; /* operations lost: memory, or the disk refused */
    uint64_t waiting_bytes_now;
    uint64_t commit_ns_longest;
};

void fmx_store_stats(const struct fmx_store *store, struct fmx_store_stats *out_stats);

#endif
