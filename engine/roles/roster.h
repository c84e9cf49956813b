/*
 * roster.h — a hash table that one thread changes and many read without a lock
 *
 * It holds products and devices as items: small records that never change once they are in. The one
 * writer replaces an item by another, and frees what it has taken out after every reader has been
 * outside at least once since.
 */
#ifndef ENGINE_ROLES_ROSTER_H
#define ENGINE_ROLES_ROSTER_H

#include "engine/roles/devices.h"

#include <assert.h>
#include <stdatomic.h>

#define FMX_ROSTER_PRODUCTS    0u         /* the owner of products */
#define FMX_ROSTER_NOBODY      UINT32_MAX /* an owner that nothing has */
#define FMX_ROSTER_RETIRED_MAX 1024u
#define FMX_ITEM_BYTES_MAX     (8u + 3u * 64u) /* of a device */

enum {
    FMX_ITEM_DISABLED = 1 << 0,
    FMX_ITEM_ACTIVATED = 1 << 1,
    FMX_ITEM_PACKED_SECRET = 1 << 2, /* two hex digits a byte */
    FMX_ITEM_PACKED_TOKEN = 1 << 3,
    FMX_ITEM_REGISTRATION_SHIFT = 4, /* two bits: FMX_REGISTER_… */
};

/* A device, or a product, of which there is more behind its bytes. */
struct fmx_item {
    uint32_t owner; /* the product's id, or FMX_ROSTER_PRODUCTS */
    uint8_t name_bytes;
    uint8_t secret_bytes; /* as text */
    uint8_t token_bytes;
    uint8_t flags;
    uint8_t bytes[]; /* name, secret, token; the latter packed if they are lower-case hex */
};

static_assert(sizeof(struct fmx_item) == 8, "it stands before every device");

/* What a product has beside name and secret. */
struct fmx_item_product {
    uint32_t id;
    uint32_t version;
    struct fmx_limits_override limits;
    uint16_t topics_count;
    struct fmx_topic_info topics[];
};

struct fmx_item_fields {
    uint32_t owner;
    uint8_t flags;                 /* without FMX_ITEM_PACKED_… */
    fmx_slice name, secret, token; /* at most 64 bytes each */
};

/* Where a device is made before it is known whether the roster has it already. */
union fmx_item_room {
    struct fmx_item item;
    uint8_t bytes[FMX_ITEM_BYTES_MAX];
};

/* One for each reader, on a cache line of its own. Odd: inside. Written by that reader alone. */
struct fmx_roster_reader {
    _Alignas(64) _Atomic uint64_t turn;
};

struct fmx_roster_table {
    uint64_t mask;
    _Atomic uintptr_t slots[]; /* 0: never used; 1: used before; else tag and item */
};

/* A table that is being filled, and that no reader sees yet. */
struct fmx_roster_draft {
    struct fmx_roster_table *table;
    uint64_t used; /* items */
    uint64_t dead; /* slots used before */
    uint64_t devices;
};

struct fmx_roster {
    _Atomic(struct fmx_roster_table *) published; /* the writer's table, for readers */
    struct fmx_roster_reader *readers;
    uint32_t readers_count;
    uint64_t seed;
    /* the writer's */
    struct fmx_roster_draft now;
    void *retired[FMX_ROSTER_RETIRED_MAX];
    uint32_t retired_count;
    _Atomic uint64_t devices; /* written by the writer, read by anybody, exact when it rests */
    _Atomic uint64_t bytes;
};

/* ── items ── */

/* Writes a device into `room`; returns its bytes. */
size_t fmx_item_write(union fmx_item_room *room, const struct fmx_item_fields *fields);

/* Makes a product: fields, then what `more` and `topics` say. NULL: no memory. */
struct fmx_item *fmx_item_make_product(const struct fmx_item_fields *fields,
                                       const struct fmx_item_product *more,
                                       const struct fmx_topic_info *topics);

size_t fmx_item_bytes(const struct fmx_item *item);
fmx_slice fmx_item_name(const struct fmx_item *item);
const struct fmx_item_product *fmx_item_product(const struct fmx_item *item);

/* Secret and token as text; they return its bytes. */
uint8_t fmx_item_secret(const struct fmx_item *item, uint8_t out[FMX_SECRET_BYTES_MAX]);
uint8_t fmx_item_token(const struct fmx_item *item, uint8_t out[FMX_SECRET_BYTES_MAX]);

/* Do both say the same? Versions of products are not looked at. */
bool fmx_item_equal(const struct fmx_item *a, const struct fmx_item *b);

/* Wipes and frees an item that no roster has had. */
void fmx_item_drop(struct fmx_item *item);

/* ── the roster ── */

enum fmx_status fmx_roster_open(struct fmx_roster *roster, uint32_t readers_count) FMX_MUST_USE;
/* No reader is inside. */
void fmx_roster_close(struct fmx_roster *roster);

/* A reader finds only between these, and what it found lives until it leaves. */
void fmx_roster_enter(struct fmx_roster *roster, uint32_t reader);
void fmx_roster_leave(struct fmx_roster *roster, uint32_t reader);

/* Readers inside, and the writer. NULL: there is none. */
const struct fmx_item *fmx_roster_find(const struct fmx_roster *roster, uint32_t owner,
                                       fmx_slice name);

/* All below: the writer alone. */

/* Puts a copy of a device in, or in the place of the one with its name. */
enum fmx_status fmx_roster_put(struct fmx_roster *roster, const struct fmx_item *item) FMX_MUST_USE;
/* The same with an item that the roster takes over if it says FMX_OK. */
enum fmx_status fmx_roster_take(struct fmx_roster *roster, struct fmx_item *item) FMX_MUST_USE;
/* True: it was there. */
bool fmx_roster_remove(struct fmx_roster *roster, uint32_t owner, fmx_slice name);
/* Removes all that this owner has. */
void fmx_roster_purge(struct fmx_roster *roster, uint32_t owner);

/* Frees what was taken out; waits for readers that are inside. */
void fmx_roster_reclaim(struct fmx_roster *roster);

/* ── all anew ── */

enum fmx_status fmx_roster_draft_open(struct fmx_roster_draft *draft) FMX_MUST_USE;

/* Adds a device with these contents: the very item of the roster if it has an equal one. */
enum fmx_status fmx_roster_draft_put(const struct fmx_roster *roster,
                                     struct fmx_roster_draft *draft,
                                     const struct fmx_item *item) FMX_MUST_USE;
/* A product; taken over, also at failure. */
enum fmx_status fmx_roster_draft_take(const struct fmx_roster *roster,
                                      struct fmx_roster_draft *draft,
                                      struct fmx_item *item) FMX_MUST_USE;
/* Ends a draft that is not wanted. */
void fmx_roster_draft_drop(const struct fmx_roster *roster, struct fmx_roster_draft *draft);

/*
 * Shows the draft to readers in place of what there is, then calls `differs` for each item that was
 * there and is not there any more, with what has come in its place or NULL, and takes it out.
 */
void fmx_roster_replace(struct fmx_roster *roster, struct fmx_roster_draft *draft,
                        void (*differs)(void *user, const struct fmx_item *before,
                                        const struct fmx_item *now),
                        void *user);

/* Walks the items of the roster. */
void fmx_roster_each(const struct fmx_roster *roster,
                     void (*each)(void *user, const struct fmx_item *item), void *user);

#endif
