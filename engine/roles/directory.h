/*
 * directory.h — client id → session, on the id's home shard; takeover; what is kept for the absent
 *
 * Every client id has a home: the shard its hash names. Only the home says whose an id is. A
 * session claims its id there before it is admitted, and what a persistent session has (its
 * subscriptions, and while it is away its messages) stays there, wherever its connection is.
 *
 *     session's shard (S)                  home (H)
 *        CLAIM        ───────────────────►  nobody's: CLAIMED at once
 *                                           somebody's: RELEASE to the owner, CLAIMED after
 *        RELEASED CLAIMED ◄─────────────────── with what was kept RELEASE ◄─────────────────── to
 *        the owner: end, hand over RELEASED ───────────────────► exactly one for each RELEASE that
 *        finds its session GONE ───────────────────► the connection ended; not final: RELEASE
 *        follows, and the
 *                                           session's slot stays until it has come
 *        SUBSCRIBE    ───────────────────►  of a session whose state is at home
 *        SUBSCRIBED   ◄───────────────────
 *        DELIVER      ◄───────────────────  a message for it
 *
 * The queue from home to a session's shard keeps order, so RELEASE comes after every DELIVER that
 * was sent before it: nothing is lost and nothing overtakes when a session moves.
 */
#ifndef ENGINE_ROLES_DIRECTORY_H
#define ENGINE_ROLES_DIRECTORY_H

#include "engine/index.h"
#include "engine/roles/backlog.h"
#include "engine/shard.h"

#define FMX_IDENTITY_NONE UINT32_MAX

struct fmx_kept;

/* One client id whose home is this shard. */
struct fmx_identity {
    struct fmx_slot slot; /* first, set by the slab */
    struct fmx_blob *client_id;
    uint64_t hash;
    struct fmx_session_id owner; /* FMX_SESSION_NONE: its client is away */
    uint64_t since_ns;           /* of the owner's claim */
    struct fmx_msg *next_claim;  /* waits for the owner's release; NULL: nobody does */
    struct fmx_kept *kept;       /* NULL: the session ends with its connection */
    bool releasing;              /* RELEASE is on its way to the owner */
    bool is_forgotten;           /* what is kept goes when the owner has let go */
};

/* What home knows of how messages reach a session without a subscription. */
enum {
    FMX_KEPT_AUTO = 1 << 0,   /* every system topic of its own does */
    FMX_KEPT_NOTIFY = 1 << 1, /* error notices do */
    FMX_KEPT_RRPC = 1 << 2,   /* calls on custom topics are wanted */
};

/* The state of a session that may outlive its connection. */
struct fmx_kept {
    uint64_t store_id;      /* of the session on disk; 0: there is no store */
    uint64_t away_ms;       /* UNIX time since when its client is away; 0: it is not */
    uint32_t identity;      /* slot index, for the timer */
    uint32_t subscriptions; /* head of its chain in the router of this shard */
    uint32_t subscriptions_count;
    uint32_t expiry_s;
    uint8_t flags;              /* FMX_KEPT_… */
    struct fmx_timer expiry;    /* armed while its client is away */
    struct fmx_backlog backlog; /* what came while its client was away */
};

/* What the directory's owner does about what is kept. */
struct fmx_directory_events {
    /* The session is given up: its subscriptions go, and what of it is on disk. */
    void (*forget)(struct fmx_shard *shard, struct fmx_kept *kept);
    /* Its client has come, or left (kept->away_ms), or its terms have changed. */
    void (*changed)(struct fmx_shard *shard, struct fmx_identity *identity);
    /* A message handed over by its last connection waits here now. */
    void (*stored)(struct fmx_shard *shard, struct fmx_kept *kept, struct fmx_payload *payload);
    /* What is remembered of the rates of the client whose key has this hash. */
    struct fmx_rate_memory (*recall)(struct fmx_shard *shard, uint64_t hash);
    /* May this claim's client connect now? */
    bool (*may_connect)(struct fmx_shard *shard, const struct fmx_msg *claim);
};

struct fmx_directory {
    struct fmx_shard *shard;
    struct fmx_slab identities;
    struct fmx_index index;
    const struct fmx_directory_events *events;
    uint32_t owned_kept; /* identities that have both an owner and something kept */
};

enum fmx_status fmx_directory_open(struct fmx_directory *directory, struct fmx_shard *shard,
                                   uint32_t identities_max,
                                   const struct fmx_directory_events *events) FMX_MUST_USE;
void fmx_directory_close(struct fmx_directory *directory);

/* Messages of the table above, at home. Owned pointers in the message are taken over. */
void fmx_directory_on_claim(struct fmx_directory *directory, struct fmx_msg *message);
void fmx_directory_on_gone(struct fmx_directory *directory, struct fmx_msg *message);
void fmx_directory_on_released(struct fmx_directory *directory, struct fmx_msg *message);

/* A kept session's expiry is due. */
void fmx_directory_on_expiry(struct fmx_directory *directory, struct fmx_timer *timer);

/* The identity with this key, or NULL. */
struct fmx_identity *fmx_directory_find(struct fmx_directory *directory, uint64_t hash,
                                        fmx_slice key);

/*
 * Before the first claim: a session that was kept when the process last ended. Takes over its key.
 * NULL: no memory.
 */
struct fmx_identity *fmx_directory_restore(struct fmx_directory *directory, struct fmx_blob *key,
                                           uint64_t hash, uint32_t expiry_s, uint64_t away_ms);

/* It has all that is restored of it, and is away from here on. */
void fmx_directory_settle_in(struct fmx_directory *directory, struct fmx_identity *identity);

/*
 * Whose key it is is no more: what is kept of it goes, at once or when its owner, which the caller
 * ends, has let go. The identity may be gone afterwards.
 */
void fmx_directory_forget(struct fmx_directory *directory, struct fmx_identity *identity);

/* Walks all identities; the one returned last may be forgotten. `cursor` begins at 0. */
struct fmx_identity *fmx_directory_next(struct fmx_directory *directory, uint32_t *cursor);

/* The identity in a slot: asserted to be there, or NULL if it is not. */
struct fmx_identity *fmx_directory_at(struct fmx_directory *directory, uint32_t identity);
struct fmx_identity *fmx_directory_peek(struct fmx_directory *directory, uint32_t identity);

#endif
