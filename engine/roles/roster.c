/*
 * roster — products and devices in memory: one thread changes them, shards read without a lock
 *
 * Why it is so:   a shard asks at each CONNECT and must not wait for whoever adds devices; the
 *                 registry changes rarely and from one thread. So items never change: another one
 *                 is made and its address stored in the old one's slot, and a reader meets the one
 *                 or the other, whole. A million devices have to fit beside a million sessions: a
 *                 slot is the item's address alone, and hex digits are packed
 * Words:          owner: the id of a device's product, 0 for products; tag: 16 bits of the hash in
 *                 the upper bits of a slot, so that a search looks at an item of another name once
 *                 in 65,536 times; dead: a slot whose item was removed; it stays used until the
 *                 next table, or else a search that has passed it would miss what stands behind it
 *                 retired: taken out, but perhaps still being read
 * Invariants:     (1) at most 3 of 4 slots are used or dead, so a search ends
 *                 (2) a name stands in a table once
 *                 (3) what is retired can be found by no reader that enters from then on
 * Memory:         owns tables and items. 48 to 64 B for a device of 16 characters and 32 digits and
 *                 11 to 22 B for its slot; some 11 B more while a table grows
 * Threads:        enter, find, leave: any reader, each by its own number; the rest: the writer
 * Limits:         addresses of 48 bits (every Linux gives out those unless asked for more); 2^40
 *                 items. The writer waits for a reader that was stopped while inside; a reader
 *                 waits for nobody
 * Not here:       where items come from: devices_keeper.c
 *
 * Memory order, each with its reason:
 *   turn      seq_cst at entering, and so are the loads of `published` and of slots, the stores to
 *             both, and the writer's look at `turn`: either the writer sees the reader inside, or
 *             the reader sees what the writer stored before it looked. That is a store followed by
 *             a load on both sides, which nothing weaker orders; and a fence is not understood by
 *             ThreadSanitizer
 *   turn      release at leaving, acquire by the writer: all that was read had been read before it
 *             is freed
 *   published, slots   the same stores also publish (release) what they point to
 *   devices, bytes     relaxed: figures for people, written by one thread
 */
#include "engine/roles/roster.h"

#include "proto/topic.h"

#include <fleetmux/private/assert.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define CAPACITY_MIN   16u
#define DEAD           ((uintptr_t)1)
#define ADDRESS_BITS   48
#define ADDRESS_MASK   (((uintptr_t)1 << ADDRESS_BITS) - 1)
#define SPINS_MAX      64u
#define NAP_NS         50000
#define PRODUCT_ALIGNS _Alignof(struct fmx_item_product)

static_assert(sizeof(uintptr_t) == 8, "a slot is an address and a tag");

/* ── items ── */

static int digit_of(uint8_t letter)
{
    return letter >= '0' && letter <= '9'   ? letter - '0'
           : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                                            : -1;
}

static bool is_hex(fmx_slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (digit_of(text.data[i]) < 0) {
            return false;
        }
    }
    return text.bytes % 2 == 0;
}

/* Bytes of a text of that many, as it is kept. */
static size_t kept_bytes(uint8_t text_bytes, bool is_packed)
{
    return is_packed ? text_bytes / 2u : text_bytes;
}

static uint8_t *keep(uint8_t *at, fmx_slice text, bool is_packed)
{
    if (!is_packed) {
        if (text.bytes > 0) {
            memcpy(at, text.data, text.bytes);
        }
        return at + text.bytes;
    }
    for (size_t i = 0; i < text.bytes; i += 2) {
        *at++ = (uint8_t)(digit_of(text.data[i]) << 4 | digit_of(text.data[i + 1]));
    }
    return at;
}

static uint8_t unpack(const uint8_t *at, uint8_t text_bytes, bool is_packed, uint8_t *out)
{
    for (size_t i = 0; i < text_bytes; i++) {
        out[i] = is_packed ? (uint8_t) "0123456789abcdef"[at[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15]
                           : at[i];
    }
    return text_bytes;
}

static size_t secret_kept(const struct fmx_item *item)
{
    return kept_bytes(item->secret_bytes, (item->flags & FMX_ITEM_PACKED_SECRET) != 0);
}

/* Bytes of the part that products and devices have in common. */
static size_t common_bytes(const struct fmx_item *item)
{
    return sizeof(*item) + item->name_bytes + secret_kept(item) +
           kept_bytes(item->token_bytes, (item->flags & FMX_ITEM_PACKED_TOKEN) != 0);
}

size_t fmx_item_write(union fmx_item_room *room, const struct fmx_item_fields *fields)
{
    struct fmx_item *item = &room->item;
    bool secret_is_hex = is_hex(fields->secret), token_is_hex = is_hex(fields->token);

    FMX_ASSERT(fields->name.bytes <= 64 && fields->secret.bytes <= 64 && fields->token.bytes <= 64);
    *item = (struct fmx_item){.owner = fields->owner,
                              .name_bytes = (uint8_t)fields->name.bytes,
                              .secret_bytes = (uint8_t)fields->secret.bytes,
                              .token_bytes = (uint8_t)fields->token.bytes,
                              .flags = fields->flags};
    item->flags |= (uint8_t)((secret_is_hex ? FMX_ITEM_PACKED_SECRET : 0) |
                             (token_is_hex ? FMX_ITEM_PACKED_TOKEN : 0));
    uint8_t *at = room->bytes + sizeof(*item);
    at = keep(at, fields->name, false);
    at = keep(at, fields->secret, secret_is_hex);
    at = keep(at, fields->token, token_is_hex);
    return (size_t)(at - room->bytes);
}

static size_t product_offset(const struct fmx_item *item)
{
    return (common_bytes(item) + PRODUCT_ALIGNS - 1) / PRODUCT_ALIGNS * PRODUCT_ALIGNS;
}

struct fmx_item *fmx_item_make_product(const struct fmx_item_fields *fields,
                                       const struct fmx_item_product *more,
                                       const struct fmx_topic_info *topics)
{
    union fmx_item_room room;
    size_t common = fmx_item_write(&room, fields);
    size_t offset = product_offset(&room.item);
    size_t topics_bytes = more->topics_count * sizeof(*topics);
    struct fmx_item *item = calloc(1, offset + sizeof(*more) + topics_bytes);

    if (item != NULL) {
        uint8_t *at = (uint8_t *)item;
        memcpy(at, &room, common);
        memcpy(at + offset, more, sizeof(*more));
        if (topics_bytes > 0) {
            memcpy(at + offset + offsetof(struct fmx_item_product, topics), topics, topics_bytes);
        }
    }
    return item;
}

size_t fmx_item_bytes(const struct fmx_item *item)
{
    if (item->owner != FMX_ROSTER_PRODUCTS) {
        return common_bytes(item);
    }
    return product_offset(item) + sizeof(struct fmx_item_product) +
           fmx_item_product(item)->topics_count * sizeof(struct fmx_topic_info);
}

fmx_slice fmx_item_name(const struct fmx_item *item)
{
    return (fmx_slice){.data = item->bytes, .bytes = item->name_bytes};
}

const struct fmx_item_product *fmx_item_product(const struct fmx_item *item)
{
    FMX_ASSERT(item->owner == FMX_ROSTER_PRODUCTS);
    return (const struct fmx_item_product *)(const void *)((const uint8_t *)item +
                                                           product_offset(item));
}

uint8_t fmx_item_secret(const struct fmx_item *item, uint8_t out[FMX_SECRET_BYTES_MAX])
{
    return unpack(item->bytes + item->name_bytes, item->secret_bytes,
                  (item->flags & FMX_ITEM_PACKED_SECRET) != 0, out);
}

uint8_t fmx_item_token(const struct fmx_item *item, uint8_t out[FMX_SECRET_BYTES_MAX])
{
    return unpack(item->bytes + item->name_bytes + secret_kept(item), item->token_bytes,
                  (item->flags & FMX_ITEM_PACKED_TOKEN) != 0, out);
}

bool fmx_item_equal(const struct fmx_item *a, const struct fmx_item *b)
{
    size_t bytes = common_bytes(a);

    if (bytes != common_bytes(b) || memcmp(a, b, bytes) != 0) {
        return false;
    }
    if (a->owner != FMX_ROSTER_PRODUCTS) {
        return true;
    }
    const struct fmx_item_product *more = fmx_item_product(a), *other = fmx_item_product(b);
    return more->id == other->id && more->topics_count == other->topics_count &&
           memcmp(&more->limits, &other->limits, sizeof(more->limits)) == 0 &&
           memcmp(more->topics, other->topics, more->topics_count * sizeof(more->topics[0])) == 0;
}

void fmx_item_drop(struct fmx_item *item)
{
    if (item != NULL) {
        explicit_bzero(item, fmx_item_bytes(item));
        free(item);
    }
}

/* ── tables ── */

static uint64_t hash_of(const struct fmx_roster *roster, uint32_t owner, fmx_slice name)
{
    return fmx_topic_hash(name, roster->seed + owner * UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t hash_of_item(const struct fmx_roster *roster, const struct fmx_item *item)
{
    return hash_of(roster, item->owner, fmx_item_name(item));
}

static struct fmx_item *item_in(uintptr_t slot)
{
    return slot <= DEAD ? NULL : (struct fmx_item *)(slot & ADDRESS_MASK);
}

static uintptr_t slot_of(const struct fmx_item *item, uint64_t hash)
{
    FMX_ASSERT(((uintptr_t)item & ~ADDRESS_MASK) == 0);
    return (uintptr_t)item | (uintptr_t)(hash >> ADDRESS_BITS) << ADDRESS_BITS;
}

static uintptr_t load(const struct fmx_roster_table *table, uint64_t at)
{
    return atomic_load_explicit(&table->slots[at], memory_order_seq_cst);
}

static void store(struct fmx_roster_table *table, uint64_t at, uintptr_t slot)
{
    atomic_store_explicit(&table->slots[at], slot, memory_order_seq_cst);
}

static struct fmx_roster_table *make_table(uint64_t capacity)
{
    struct fmx_roster_table *table =
        calloc(1, sizeof(*table) + (size_t)capacity * sizeof(table->slots[0]));

    if (table != NULL) {
        table->mask = capacity - 1;
    }
    return table;
}

/* The slot that holds this name, and what is in it; 0 with the slot where the search ended. */
static uintptr_t search(const struct fmx_roster_table *table, uint32_t owner, fmx_slice name,
                        uint64_t hash, uint64_t *out_at)
{
    uint64_t at = hash & table->mask;
    uintptr_t slot;

    while ((slot = load(table, at)) != 0) {
        if (slot > DEAD && slot >> ADDRESS_BITS == hash >> ADDRESS_BITS) {
            const struct fmx_item *item = item_in(slot);
            if (item->owner == owner && fmx_slice_equal(fmx_item_name(item), name)) {
                break;
            }
        }
        at = (at + 1) & table->mask;
    }
    *out_at = at;
    return slot;
}

/* Puts an item of a name that is not there into the first slot that is free. */
static void insert(struct fmx_roster_draft *draft, const struct fmx_item *item, uint64_t hash)
{
    struct fmx_roster_table *table = draft->table;
    uint64_t at = hash & table->mask;

    while (load(table, at) > DEAD) {
        at = (at + 1) & table->mask;
    }
    draft->dead -= load(table, at) == DEAD;
    draft->used++;
    draft->devices += item->owner != FMX_ROSTER_PRODUCTS;
    store(table, at, slot_of(item, hash));
}

static uint64_t capacity_of(const struct fmx_roster_draft *draft)
{
    return draft->table == NULL ? 0 : draft->table->mask + 1;
}

static bool has_room(const struct fmx_roster_draft *draft)
{
    return draft->used + draft->dead + 1 <= capacity_of(draft) / 4 * 3;
}

/* Copies the slots of one table into a new one of another capacity. NULL: no memory. */
static struct fmx_roster_table *rehash(const struct fmx_roster *roster,
                                       const struct fmx_roster_draft *draft, uint64_t capacity)
{
    struct fmx_roster_draft bigger = {.table = make_table(capacity)};

    for (uint64_t at = 0; bigger.table != NULL && at < capacity_of(draft); at++) {
        struct fmx_item *item = item_in(load(draft->table, at));
        if (item != NULL) {
            insert(&bigger, item, hash_of_item(roster, item));
        }
    }
    return bigger.table;
}

/* The capacity that a full table should have instead: doubled, unless the dead have filled it. */
static uint64_t next_capacity(const struct fmx_roster_draft *draft)
{
    uint64_t capacity = capacity_of(draft);

    return draft->used + 1 > capacity / 2 ? capacity * 2 : capacity;
}

/* ── what was taken out ── */

static size_t footprint(void *memory)
{
    return memory == NULL ? 0 : malloc_usable_size(memory) + sizeof(size_t); /* and malloc's own */
}

static void count_bytes(struct fmx_roster *roster, size_t more, size_t less)
{
    uint64_t bytes = atomic_load_explicit(&roster->bytes, memory_order_relaxed);

    atomic_store_explicit(&roster->bytes, bytes + more - less, memory_order_relaxed);
}

static void publish_counts(struct fmx_roster *roster)
{
    atomic_store_explicit(&roster->devices, roster->now.devices, memory_order_relaxed);
}

/* Waits until every reader that is inside now has left. */
static void wait_for_readers(struct fmx_roster *roster)
{
    for (uint32_t i = 0; i < roster->readers_count; i++) {
        _Atomic uint64_t *turn = &roster->readers[i].turn;
        uint64_t inside = atomic_load_explicit(turn, memory_order_seq_cst);
        for (uint32_t spins = 0; inside % 2 == 1; spins++) {
            struct timespec nap = {.tv_nsec = NAP_NS};
            if (atomic_load_explicit(turn, memory_order_seq_cst) != inside) {
                break;
            }
            if (spins < SPINS_MAX) {
                sched_yield();
            } else {
                nanosleep(&nap, NULL);
            }
        }
    }
}

/* Tables are marked by their lowest bit: items have secrets to wipe. */
static void release(struct fmx_roster *roster, void *retired)
{
    bool is_table = ((uintptr_t)retired & 1) != 0;
    void *memory = (uint8_t *)retired - is_table;

    count_bytes(roster, 0, footprint(memory));
    if (is_table) {
        free(memory);
    } else {
        fmx_item_drop(memory);
    }
}

void fmx_roster_reclaim(struct fmx_roster *roster)
{
    if (roster->retired_count == 0) {
        return;
    }
    wait_for_readers(roster);
    for (uint32_t i = 0; i < roster->retired_count; i++) {
        release(roster, roster->retired[i]);
    }
    roster->retired_count = 0;
}

static void retire(struct fmx_roster *roster, void *memory)
{
    roster->retired[roster->retired_count++] = memory;
    if (roster->retired_count == FMX_ROSTER_RETIRED_MAX) {
        fmx_roster_reclaim(roster);
    }
}

static void retire_table(struct fmx_roster *roster, struct fmx_roster_table *table)
{
    if (table != NULL) {
        retire(roster, (uint8_t *)table + 1);
    }
}

/* ── the roster ── */

enum fmx_status fmx_roster_open(struct fmx_roster *roster, uint32_t readers_count)
{
    memset(roster, 0, sizeof(*roster));
    FMX_ASSERT(getrandom(&roster->seed, sizeof(roster->seed), 0) == sizeof(roster->seed));
    roster->readers_count = readers_count;
    roster->readers = aligned_alloc(_Alignof(struct fmx_roster_reader),
                                    (readers_count + 1) * sizeof(*roster->readers));
    roster->now.table = make_table(CAPACITY_MIN);
    if (roster->readers == NULL || roster->now.table == NULL) {
        free(roster->readers);
        free(roster->now.table);
        return FMX_LIMIT_MEMORY;
    }
    for (uint32_t i = 0; i < readers_count; i++) {
        atomic_init(&roster->readers[i].turn, 0);
    }
    count_bytes(roster, footprint(roster->now.table), 0);
    atomic_store_explicit(&roster->published, roster->now.table, memory_order_seq_cst);
    return FMX_OK;
}

void fmx_roster_close(struct fmx_roster *roster)
{
    if (roster->now.table == NULL) {
        return;
    }
    fmx_roster_reclaim(roster);
    for (uint64_t at = 0; at <= roster->now.table->mask; at++) {
        fmx_item_drop(item_in(load(roster->now.table, at)));
    }
    free(roster->now.table);
    free(roster->readers);
    roster->now.table = NULL;
}

void fmx_roster_enter(struct fmx_roster *roster, uint32_t reader)
{
    FMX_ASSERT(reader < roster->readers_count);
    _Atomic uint64_t *turn = &roster->readers[reader].turn;
    uint64_t before = atomic_load_explicit(turn, memory_order_relaxed);
    FMX_ASSERT(before % 2 == 0);
    atomic_store_explicit(turn, before + 1, memory_order_seq_cst);
}

void fmx_roster_leave(struct fmx_roster *roster, uint32_t reader)
{
    _Atomic uint64_t *turn = &roster->readers[reader].turn;
    uint64_t before = atomic_load_explicit(turn, memory_order_relaxed);

    atomic_store_explicit(turn, before + 1, memory_order_release);
}

const struct fmx_item *fmx_roster_find(const struct fmx_roster *roster, uint32_t owner,
                                       fmx_slice name)
{
    const struct fmx_roster_table *table =
        atomic_load_explicit(&roster->published, memory_order_seq_cst);
    uint64_t at;

    return item_in(search(table, owner, name, hash_of(roster, owner, name), &at));
}

/* Shows readers a table of another capacity with the same items. False: no memory. */
static bool move_to(struct fmx_roster *roster, uint64_t capacity)
{
    struct fmx_roster_table *before = roster->now.table;
    struct fmx_roster_table *table = rehash(roster, &roster->now, capacity);

    if (table == NULL) {
        return false;
    }
    roster->now.table = table;
    roster->now.dead = 0;
    count_bytes(roster, footprint(table), 0);
    atomic_store_explicit(&roster->published, table, memory_order_seq_cst);
    retire_table(roster, before);
    return true;
}

enum fmx_status fmx_roster_take(struct fmx_roster *roster, struct fmx_item *item)
{
    uint64_t hash = hash_of_item(roster, item);
    uint64_t at;
    uintptr_t before = search(roster->now.table, item->owner, fmx_item_name(item), hash, &at);

    if (before == 0 && !has_room(&roster->now) && !move_to(roster, next_capacity(&roster->now))) {
        return FMX_LIMIT_MEMORY;
    }
    count_bytes(roster, footprint(item), 0);
    if (before != 0) {
        store(roster->now.table, at, slot_of(item, hash));
        retire(roster, item_in(before));
    } else {
        insert(&roster->now, item, hash);
        publish_counts(roster);
    }
    return FMX_OK;
}

static struct fmx_item *copy_of(const struct fmx_item *item)
{
    size_t bytes = fmx_item_bytes(item);
    struct fmx_item *copy = malloc(bytes);

    if (copy != NULL) {
        memcpy(copy, item, bytes);
    }
    return copy;
}

enum fmx_status fmx_roster_put(struct fmx_roster *roster, const struct fmx_item *item)
{
    const struct fmx_item *before = fmx_roster_find(roster, item->owner, fmx_item_name(item));

    if (before != NULL && fmx_item_equal(before, item)) {
        return FMX_OK;
    }
    struct fmx_item *copy = copy_of(item);
    if (copy == NULL || fmx_roster_take(roster, copy) != FMX_OK) {
        fmx_item_drop(copy);
        return FMX_LIMIT_MEMORY;
    }
    return FMX_OK;
}

static void remove_at(struct fmx_roster *roster, uint64_t at)
{
    struct fmx_item *item = item_in(load(roster->now.table, at));

    store(roster->now.table, at, DEAD);
    roster->now.used--;
    roster->now.dead++;
    roster->now.devices -= item->owner != FMX_ROSTER_PRODUCTS;
    retire(roster, item);
    publish_counts(roster);
}

/* A table that could not be made smaller stays as it is; that is no harm. */
static void shrink(struct fmx_roster *roster)
{
    uint64_t capacity = capacity_of(&roster->now);

    if (capacity > CAPACITY_MIN && roster->now.used < capacity / 8) {
        while (capacity > CAPACITY_MIN && roster->now.used < capacity / 8) {
            capacity /= 2;
        }
        (void)move_to(roster, capacity);
    }
}

bool fmx_roster_remove(struct fmx_roster *roster, uint32_t owner, fmx_slice name)
{
    uint64_t at;

    if (search(roster->now.table, owner, name, hash_of(roster, owner, name), &at) == 0) {
        return false;
    }
    remove_at(roster, at);
    shrink(roster);
    return true;
}

void fmx_roster_purge(struct fmx_roster *roster, uint32_t owner)
{
    for (uint64_t at = 0; at <= roster->now.table->mask; at++) {
        const struct fmx_item *item = item_in(load(roster->now.table, at));
        if (item != NULL && item->owner == owner) {
            remove_at(roster, at);
        }
    }
    shrink(roster);
}

void fmx_roster_each(const struct fmx_roster *roster,
                     void (*each)(void *user, const struct fmx_item *item), void *user)
{
    for (uint64_t at = 0; at <= roster->now.table->mask; at++) {
        const struct fmx_item *item = item_in(load(roster->now.table, at));
        if (item != NULL) {
            each(user, item);
        }
    }
}

/* ── all anew ── */

enum fmx_status fmx_roster_draft_open(struct fmx_roster_draft *draft)
{
    *draft = (struct fmx_roster_draft){.table = make_table(CAPACITY_MIN)};
    return draft->table == NULL ? FMX_LIMIT_MEMORY : FMX_OK;
}

static enum fmx_status draft_add(const struct fmx_roster *roster, struct fmx_roster_draft *draft,
                                 const struct fmx_item *item)
{
    if (!has_room(draft)) {
        struct fmx_roster_table *table = rehash(roster, draft, next_capacity(draft));
        if (table == NULL) {
            return FMX_LIMIT_MEMORY;
        }
        free(draft->table);
        draft->table = table;
    }
    insert(draft, item, hash_of_item(roster, item));
    return FMX_OK;
}

enum fmx_status fmx_roster_draft_take(const struct fmx_roster *roster,
                                      struct fmx_roster_draft *draft, struct fmx_item *item)
{
    const struct fmx_item *before = fmx_roster_find(roster, item->owner, fmx_item_name(item));
    bool is_same = before != NULL && fmx_item_equal(before, item);
    enum fmx_status status = draft_add(roster, draft, is_same ? before : item);

    if (is_same || status != FMX_OK) {
        fmx_item_drop(item);
    }
    return status;
}

enum fmx_status fmx_roster_draft_put(const struct fmx_roster *roster,
                                     struct fmx_roster_draft *draft, const struct fmx_item *item)
{
    const struct fmx_item *before = fmx_roster_find(roster, item->owner, fmx_item_name(item));

    if (before != NULL && fmx_item_equal(before, item)) {
        return draft_add(roster, draft, before);
    }
    struct fmx_item *copy = copy_of(item);
    enum fmx_status status = copy == NULL ? FMX_LIMIT_MEMORY : draft_add(roster, draft, copy);
    if (status != FMX_OK) {
        fmx_item_drop(copy);
    }
    return status;
}

/* The item that stands in the draft under this one's name. */
static struct fmx_item *in_draft(const struct fmx_roster *roster,
                                 const struct fmx_roster_draft *draft, const struct fmx_item *item)
{
    uint64_t at;

    return item_in(
        search(draft->table, item->owner, fmx_item_name(item), hash_of_item(roster, item), &at));
}

void fmx_roster_draft_drop(const struct fmx_roster *roster, struct fmx_roster_draft *draft)
{
    for (uint64_t at = 0; at < capacity_of(draft); at++) {
        struct fmx_item *item = item_in(load(draft->table, at));
        if (item != NULL && in_draft(roster, &roster->now, item) != item) {
            fmx_item_drop(item);
        }
    }
    free(draft->table);
    *draft = (struct fmx_roster_draft){0};
}

void fmx_roster_replace(struct fmx_roster *roster, struct fmx_roster_draft *draft,
                        void (*differs)(void *user, const struct fmx_item *before,
                                        const struct fmx_item *now),
                        void *user)
{
    struct fmx_roster_draft before = roster->now;
    size_t more = footprint(draft->table);

    for (uint64_t at = 0; at <= draft->table->mask; at++) {
        struct fmx_item *item = item_in(load(draft->table, at));
        if (item != NULL && in_draft(roster, &before, item) != item) {
            more += footprint(item);
        }
    }
    count_bytes(roster, more, 0);
    roster->now = *draft;
    *draft = (struct fmx_roster_draft){0};
    publish_counts(roster);
    atomic_store_explicit(&roster->published, roster->now.table, memory_order_seq_cst);
    for (uint64_t at = 0; at <= before.table->mask; at++) {
        struct fmx_item *item = item_in(load(before.table, at));
        const struct fmx_item *now = item == NULL ? NULL : in_draft(roster, &roster->now, item);
        if (item != NULL && now != item) {
            differs(user, item, now);
            retire(roster, item);
        }
    }
    retire_table(roster, before.table);
}
