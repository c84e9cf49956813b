/*
 * router — the subscriptions of one shard: topic filter → receivers
 *
 * Why it is so:   nearly all filters of a fleet are exact, one for each device, and nearly all
 *                 topics match just one of them. So an exact filter is found by one hash look-up of
 *                 the whole topic, and where a single route matches its list is handed out as it
 *                 lies. Only filters with a wildcard stand in a trie as well, and it is walked only
 *                 if there are any. A trie for all of them would cost a cache miss for every level.
 * Words:          route: one distinct filter and the list of its subscriptions. wide route: one
 *                 with so many that its receivers are looked up in `members`. local: without
 *                 FMX_SUB_REMOTE. to gather: to collect the lists of several routes into one
 * Invariants:     (1) a route has a subscription; with the last one it goes (2) a receiver stands
 *                 in a route's list once, and subscription and list entry point at one another
 *                 (3) every route is in `routes` under the hash of its filter; one with a wildcard
 *                 also in the trie  (4) `members` holds the subscriptions of wide routes and no
 *                 others (5) a receiver's chain is linked both ways; its head belongs to the caller
 *                 (6) whatever an add needs is reserved before anything is changed
 * Memory:         a subscription 24 bytes, a route 128 (a filter of 77 bytes and two list entries
 *                 included) and 13 to 26 in `routes`; so a device with one filter of its own costs
 *                 some 170. Each further subscription to a filter: 24, and 12 to 48 in the list,
 *                 and 13 to 26 in `members`. All of it shrinks again
 * Threads:        owning shard only
 * Limits:         2^24 routes and subscriptions each; FMX_LIMIT_MEMORY beyond. Removing any
 *                 subscription is one look-up, however popular its filter. Hashes are seeded: a
 *                 peer cannot choose topics that make them collide
 * Not here:       filters with wildcards: trie.c; how many a session may have, and how deep: the
 *                 roles; No Local: whoever delivers
 */
#include "engine/router.h"

#include "engine/slab.h"
#include "engine/text.h"
#include "engine/trie.h"
#include "proto/limits.h"
#include "proto/topic.h"
#include <assert.h>
#include <fleetmux/private/assert.h>
#include <stdlib.h>

#define NONE           UINT32_MAX
#define INLINE_MATCHES 2u  /* list entries inside a route */
#define TEXT_BYTES     77u /* filters up to this length lie inside their route */
#define WIDE_FROM      9u  /* a list of so many is not searched any more, but looked up … */
#define NARROW_FROM    4u  /* … until it has become this short */
#define SCRATCH_MIN    64u
#define LAST_BYTES     128u /* a topic up to this length is remembered with its receivers */

struct subscription {
    struct fmx_slot slot;
    uint32_t route;
    uint32_t position; /* in the route's list */
    uint32_t next;     /* of the same receiver */
    uint32_t previous;
};

struct route {
    struct fmx_slot slot;
    uint32_t count;
    uint32_t capacity;    /* INLINE_MATCHES: the list lies in the route */
    uint32_t local_count; /* subscriptions without FMX_SUB_REMOTE */
    uint32_t node;        /* in the trie; NONE: an exact filter */
    union {
        struct fmx_match here[INLINE_MATCHES];
        struct fmx_match *list;
    } matches;
    uint16_t filter_bytes;
    bool is_wide;
    uint8_t filter[TEXT_BYTES];
};

static_assert(sizeof(struct subscription) == 24, "small things in great numbers");
static_assert(sizeof(struct route) == 128, "two cache lines");
static_assert(FMX_STRING_BYTES_MAX <= UINT16_MAX, "lengths fit their fields");

/* Where a receiver stands in the gathered list; of a former gathering if the epoch is another. */
struct seen {
    uint32_t receiver;
    uint32_t position;
    uint32_t epoch;
};

struct fmx_router {
    uint64_t topic_seed;
    uint64_t member_seed;
    struct fmx_index routes;  /* hash of filter → route */
    struct fmx_index members; /* hash of route and receiver → subscription */
    struct fmx_slab route_slab;
    struct fmx_slab subscription_slab;
    struct fmx_trie trie; /* filters with wildcards → route */

    /* One match: the route found first, or NULL; as soon as there is a second, the gathered list.
     */
    const struct route *found;
    struct fmx_match *gathered;

    /* The last match, which is the next one's too as long as nothing changes. */
    const struct fmx_match *last_matches;
    size_t last_count;
    uint32_t last_bytes; /* 0: there is none */
    uint8_t last_topic[LAST_BYTES];

    struct seen *seen;
    uint32_t gathered_count;
    uint32_t gathered_capacity; /* `seen` has twice as many */
    uint32_t epoch;
    bool is_cut;
    uint64_t cut_count;
};

/* ---- small things -------------------------------------------------------------------------- */

static struct route *route_at(const struct fmx_router *router, uint32_t route)
{
    return fmx_slab_at(&router->route_slab, route);
}

static struct subscription *subscription_at(const struct fmx_router *router, uint32_t subscription)
{
    return fmx_slab_at(&router->subscription_slab, subscription);
}

static bool is_inline(const struct route *route)
{
    return route->capacity == INLINE_MATCHES;
}

static const struct fmx_match *matches_of(const struct route *route)
{
    return is_inline(route) ? route->matches.here : route->matches.list;
}

static struct fmx_match *matches_to_change(struct route *route)
{
    return is_inline(route) ? route->matches.here : route->matches.list;
}

static fmx_slice filter_of(const struct route *route)
{
    return fmx_text_of(route->filter, TEXT_BYTES, route->filter_bytes);
}

static bool is_local(uint8_t options)
{
    return (options & FMX_SUB_REMOTE) == 0;
}

static uint64_t member_hash(const struct fmx_router *router, uint32_t route, uint32_t receiver)
{
    return fmx_index_mix(((uint64_t)route << 32 | receiver) ^ router->member_seed);
}

static uint64_t hash_of_filter(const struct fmx_router *router, fmx_slice filter)
{
    return fmx_topic_hash(filter, router->topic_seed);
}

/* ---- routes -------------------------------------------------------------------------------- */

static struct route *find_route(const struct fmx_router *router, fmx_slice filter)
{
    uint64_t hash = hash_of_filter(router, filter);
    uint32_t probe = UINT32_MAX;

    for (;;) {
        uint32_t found = fmx_index_find(&router->routes, hash, &probe);
        if (found == FMX_INDEX_NONE) {
            return NULL;
        }
        struct route *route = route_at(router, found);
        __builtin_prefetch(route->filter + TEXT_BYTES - 1); /* the other line of the route */
        if (fmx_slice_equal(filter_of(route), filter)) {
            return route;
        }
    }
}

static void give_route(struct fmx_router *router, struct route *route)
{
    fmx_text_drop(route->filter, TEXT_BYTES, route->filter_bytes);
    if (!is_inline(route)) {
        free(route->matches.list);
    }
    fmx_slab_give(&router->route_slab, route);
}

static struct route *take_route(struct fmx_router *router, fmx_slice filter)
{
    struct route *route = fmx_slab_take(&router->route_slab);

    if (route == NULL) {
        return NULL;
    }
    if (!fmx_text_keep(route->filter, TEXT_BYTES, filter)) {
        fmx_slab_give(&router->route_slab, route);
        return NULL;
    }
    route->filter_bytes = (uint16_t)filter.bytes;
    route->capacity = INLINE_MATCHES;
    route->node = NONE;
    return route;
}

/* A route without subscriptions yet, which the caller adds or drops; NULL if memory ran out. */
static struct route *add_route(struct fmx_router *router, fmx_slice filter)
{
    struct route *route = NULL;

    if (fmx_index_reserve(&router->routes, 1) == FMX_OK) {
        route = take_route(router, filter);
    }
    if (route == NULL) {
        return NULL;
    }
    if (fmx_topic_has_wildcard(filter) &&
        fmx_trie_put(&router->trie, filter, route->slot.index, &route->node) != FMX_OK) {
        give_route(router, route);
        return NULL;
    }
    enum fmx_status status =
        fmx_index_put(&router->routes, hash_of_filter(router, filter), route->slot.index);
    FMX_ASSERT(status == FMX_OK); /* reserved above */
    return route;
}

static void drop_route(struct fmx_router *router, struct route *route)
{
    FMX_ASSERT(route->count == 0);
    fmx_index_remove(&router->routes, hash_of_filter(router, filter_of(route)), route->slot.index);
    if (route->node != NONE) {
        fmx_trie_remove(&router->trie, filter_of(route), route->node, route->slot.index);
    }
    give_route(router, route);
}

/* ---- a route's list ------------------------------------------------------------------------ */

/* Moves the list to an array of this capacity, or into the route. False if memory ran out. */
static bool resize_list(struct route *route, uint32_t capacity)
{
    struct fmx_match *old = is_inline(route) ? NULL : route->matches.list;
    struct fmx_match *list = route->matches.here;

    FMX_ASSERT(route->count <= capacity);
    if (capacity > INLINE_MATCHES) {
        list = realloc(old, capacity * sizeof *list);
        if (list == NULL) {
            return false;
        }
        if (old == NULL) {
            memcpy(list, route->matches.here, sizeof route->matches.here);
        }
        route->matches.list = list;
    } else if (old != NULL) {
        memcpy(list, old, route->count * sizeof *list);
        free(old);
    }
    route->capacity = capacity;
    return true;
}

static void shrink_list(struct route *route)
{
    if (!is_inline(route) && route->count <= route->capacity / 4) {
        (void)resize_list(route, route->capacity / 2); /* if not, it stays too large */
    }
}

static uint64_t member_hash_at(const struct fmx_router *router, const struct route *route,
                               uint32_t position)
{
    return member_hash(router, route->slot.index, matches_of(route)[position].receiver);
}

static void put_member(struct fmx_router *router, const struct route *route, uint32_t position)
{
    enum fmx_status status =
        fmx_index_put(&router->members, member_hash_at(router, route, position),
                      matches_of(route)[position].subscription);

    FMX_ASSERT(status == FMX_OK); /* reserved by reserve_entry */
}

static void remove_member(struct fmx_router *router, const struct route *route, uint32_t position)
{
    fmx_index_remove(&router->members, member_hash_at(router, route, position),
                     matches_of(route)[position].subscription);
}

/* Room for one more, so that add_entry cannot fail. */
static bool reserve_entry(struct fmx_router *router, struct route *route)
{
    uint32_t count = route->count + 1;

    if (count > route->capacity && !resize_list(route, route->capacity * 2)) {
        return false;
    }
    if (count < WIDE_FROM) {
        return true;
    }
    return fmx_index_reserve(&router->members, route->is_wide ? 1 : count) == FMX_OK;
}

static void add_entry(struct fmx_router *router, struct route *route, struct fmx_match match)
{
    uint32_t from = route->is_wide ? route->count : 0;

    matches_to_change(route)[route->count] = match;
    route->count++;
    route->local_count += is_local(match.options);
    route->is_wide = route->is_wide || route->count >= WIDE_FROM;
    for (uint32_t i = from; route->is_wide && i < route->count; i++) {
        put_member(router, route, i);
    }
}

static void make_narrow(struct fmx_router *router, struct route *route)
{
    for (uint32_t i = 0; i < route->count; i++) {
        remove_member(router, route, i);
    }
    route->is_wide = false;
}

/* The last entry moves into the gap; its subscription learns of it (2). */
static void remove_entry(struct fmx_router *router, struct route *route, uint32_t position)
{
    struct fmx_match *matches = matches_to_change(route);

    FMX_ASSERT(position < route->count);
    if (route->is_wide) {
        remove_member(router, route, position);
    }
    route->count--;
    route->local_count -= is_local(matches[position].options);
    matches[position] = matches[route->count];
    if (position < route->count) {
        subscription_at(router, matches[position].subscription)->position = position;
    }
    if (route->is_wide && route->count <= NARROW_FROM) {
        make_narrow(router, route);
    }
    shrink_list(route);
}

static uint32_t find_member(const struct fmx_router *router, const struct route *route,
                            uint32_t receiver)
{
    uint64_t hash = member_hash(router, route->slot.index, receiver);
    uint32_t probe = UINT32_MAX;

    for (;;) {
        uint32_t found = fmx_index_find(&router->members, hash, &probe);
        if (found == FMX_INDEX_NONE) {
            return NONE;
        }
        const struct subscription *subscription = subscription_at(router, found);
        if (subscription->route == route->slot.index &&
            matches_of(route)[subscription->position].receiver == receiver) {
            return subscription->position;
        }
    }
}

/* The position of a receiver in a route's list, or NONE. */
static uint32_t find_entry(const struct fmx_router *router, const struct route *route,
                           uint32_t receiver)
{
    if (route->is_wide) {
        return find_member(router, route, receiver);
    }
    for (uint32_t i = 0; i < route->count; i++) {
        if (matches_of(route)[i].receiver == receiver) {
            return i;
        }
    }
    return NONE;
}

/* ---- subscriptions ------------------------------------------------------------------------- */

static void chain(struct fmx_router *router, struct subscription *subscription, uint32_t *head)
{
    subscription->next = *head;
    subscription->previous = NONE;
    if (*head != NONE) {
        subscription_at(router, *head)->previous = subscription->slot.index;
    }
    *head = subscription->slot.index;
}

static void unchain(struct fmx_router *router, const struct subscription *subscription,
                    uint32_t *head)
{
    if (subscription->next != NONE) {
        subscription_at(router, subscription->next)->previous = subscription->previous;
    }
    if (subscription->previous != NONE) {
        subscription_at(router, subscription->previous)->next = subscription->next;
    } else {
        FMX_ASSERT(*head == subscription->slot.index);
        *head = subscription->next;
    }
}

static bool subscribe(struct fmx_router *router, struct route *route, struct fmx_match match,
                      uint32_t *head)
{
    struct subscription *subscription = fmx_slab_take(&router->subscription_slab);

    if (subscription == NULL) {
        return false;
    }
    if (!reserve_entry(router, route)) {
        fmx_slab_give(&router->subscription_slab, subscription);
        return false;
    }
    subscription->route = route->slot.index;
    subscription->position = route->count;
    match.subscription = subscription->slot.index;
    add_entry(router, route, match);
    chain(router, subscription, head);
    return true;
}

static void free_scratch(struct fmx_router *router)
{
    free(router->gathered);
    free(router->seen);
    router->gathered = NULL;
    router->seen = NULL;
    router->gathered_capacity = 0;
    router->epoch = 0;
}

/* Frees what a peak of matches took, once so much can never be gathered any more. */
static void shrink_scratch(struct fmx_router *router)
{
    if (router->gathered_capacity > SCRATCH_MIN &&
        router->gathered_capacity / 8 > router->subscription_slab.used) {
        free_scratch(router);
    }
}

/* Returns whether it was the filter's last local one. */
static bool unsubscribe(struct fmx_router *router, struct subscription *subscription,
                        uint32_t *head)
{
    struct route *route = route_at(router, subscription->route);
    bool was_local = is_local(matches_of(route)[subscription->position].options);
    bool is_last = was_local && route->local_count == 1;

    router->last_bytes = 0;
    unchain(router, subscription, head);
    remove_entry(router, route, subscription->position);
    fmx_slab_give(&router->subscription_slab, subscription);
    if (route->count == 0) {
        drop_route(router, route);
    }
    shrink_scratch(router);
    return is_last;
}

static void replace_options(struct route *route, uint32_t position, uint8_t options)
{
    struct fmx_match *match = &matches_to_change(route)[position];

    FMX_ASSERT(is_local(match->options) == is_local(options));
    match->options = options;
}

enum fmx_status fmx_router_add(struct fmx_router *router, fmx_slice filter, uint32_t receiver,
                               uint8_t options, uint32_t *head, bool *out_existed, bool *out_first)
{
    FMX_ASSERT(filter.bytes > 0 && filter.bytes <= FMX_STRING_BYTES_MAX);
    struct route *route = find_route(router, filter);
    uint32_t position = route != NULL ? find_entry(router, route, receiver) : NONE;

    *out_existed = position != NONE;
    *out_first = false;
    router->last_bytes = 0;
    if (position != NONE) {
        replace_options(route, position, options);
        return FMX_OK;
    }
    if (route == NULL) {
        route = add_route(router, filter);
    }
    if (route == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    if (!subscribe(router, route, (struct fmx_match){.receiver = receiver, .options = options},
                   head)) {
        if (route->count == 0) {
            drop_route(router, route);
        }
        return FMX_LIMIT_MEMORY;
    }
    *out_first = is_local(options) && route->local_count == 1;
    return FMX_OK;
}

bool fmx_router_has(const struct fmx_router *router, fmx_slice filter, uint32_t receiver,
                    uint8_t *out_options)
{
    const struct route *route = find_route(router, filter);
    uint32_t position = route != NULL ? find_entry(router, route, receiver) : NONE;

    if (position == NONE) {
        return false;
    }
    *out_options = matches_of(route)[position].options;
    return true;
}

bool fmx_router_remove(struct fmx_router *router, fmx_slice filter, uint32_t receiver,
                       uint32_t *head, bool *out_last)
{
    const struct route *route = find_route(router, filter);
    uint32_t position = route != NULL ? find_entry(router, route, receiver) : NONE;

    *out_last = false;
    if (position == NONE) {
        return false;
    }
    uint32_t subscription = matches_of(route)[position].subscription;
    *out_last = unsubscribe(router, subscription_at(router, subscription), head);
    return true;
}

bool fmx_router_remove_head(struct fmx_router *router, uint32_t *head, uint8_t *filter_out,
                            size_t *out_filter_bytes, bool *out_last)
{
    *out_filter_bytes = 0;
    *out_last = false;
    if (*head == NONE) {
        return false;
    }
    struct subscription *subscription = subscription_at(router, *head);
    fmx_slice filter = filter_of(route_at(router, subscription->route));
    memcpy(filter_out, filter.data, filter.bytes);
    *out_filter_bytes = filter.bytes;
    *out_last = unsubscribe(router, subscription, head);
    return true;
}

uint32_t fmx_router_next(const struct fmx_router *router, uint32_t subscription,
                         fmx_slice *out_filter, uint8_t *out_options)
{
    const struct subscription *found = subscription_at(router, subscription);
    const struct route *route = route_at(router, found->route);

    *out_filter = filter_of(route);
    *out_options = matches_of(route)[found->position].options;
    return found->next;
}

/* ---- matching ------------------------------------------------------------------------------ */

/* The place of a receiver in `seen`: where it stands, or where it would. */
static struct seen *find_seen(const struct fmx_router *router, uint32_t receiver)
{
    uint32_t mask = router->gathered_capacity * 2 - 1;
    uint32_t at = (uint32_t)(fmx_index_mix(receiver) >> 32) & mask;

    while (router->seen[at].epoch == router->epoch && router->seen[at].receiver != receiver) {
        at = (at + 1) & mask;
    }
    return &router->seen[at];
}

static void mark_seen(struct fmx_router *router, struct seen *seen, uint32_t position)
{
    seen->receiver = router->gathered[position].receiver;
    seen->position = position;
    seen->epoch = router->epoch;
}

static bool resize_scratch(struct fmx_router *router, uint32_t capacity)
{
    struct seen *seen = calloc((size_t)capacity * 2, sizeof *seen);
    struct fmx_match *gathered =
        seen != NULL ? realloc(router->gathered, capacity * sizeof *gathered) : NULL;

    if (gathered == NULL) {
        free(seen);
        return false;
    }
    free(router->seen);
    router->seen = seen;
    router->gathered = gathered;
    router->gathered_capacity = capacity;
    router->epoch = 1;
    for (uint32_t i = 0; i < router->gathered_count; i++) {
        mark_seen(router, find_seen(router, gathered[i].receiver), i);
    }
    return true;
}

/* Room for `more`. What is gathered never exceeds the subscriptions there are, so 32 bits do. */
static bool reserve_scratch(struct fmx_router *router, uint32_t more)
{
    uint32_t wanted = router->gathered_count + more;
    uint32_t capacity = router->gathered_capacity != 0 ? router->gathered_capacity : SCRATCH_MIN;

    while (capacity < wanted) {
        capacity *= 2;
    }
    return capacity == router->gathered_capacity || resize_scratch(router, capacity);
}

/* The highest QoS counts; a denial only where there is nothing else. */
static int rank(uint8_t options)
{
    int qos = options & FMX_SUB_QOS_MASK;

    return qos == FMX_SUB_DENIED ? -1 : qos;
}

static void gather_match(struct fmx_router *router, const struct fmx_match *match)
{
    struct seen *seen = find_seen(router, match->receiver);

    if (seen->epoch != router->epoch) {
        router->gathered[router->gathered_count] = *match;
        mark_seen(router, seen, router->gathered_count);
        router->gathered_count++;
        return;
    }
    struct fmx_match *former = &router->gathered[seen->position];
    if (rank(match->options) > rank(former->options)) {
        *former = *match;
    }
}

static void gather(struct fmx_router *router, const struct route *route)
{
    if (!reserve_scratch(router, route->count)) {
        router->is_cut = true;
        return;
    }
    for (uint32_t i = 0; i < route->count; i++) {
        gather_match(router, &matches_of(route)[i]);
    }
}

static void begin_gathering(struct fmx_router *router)
{
    if (router->epoch == UINT32_MAX) {
        free_scratch(router); /* and with it all stamps, before they repeat */
    }
    router->epoch++;
    gather(router, router->found);
}

static void find(struct fmx_router *router, const struct route *route)
{
    if (router->found == NULL) {
        router->found = route;
        return;
    }
    if (router->gathered_count == 0) {
        begin_gathering(router);
    }
    gather(router, route);
}

static void find_in_trie(struct fmx_router *router, fmx_slice topic)
{
    uint32_t route;

    fmx_trie_begin(&router->trie, topic);
    while ((route = fmx_trie_next(&router->trie)) != FMX_TRIE_NONE) {
        find(router, route_at(router, route));
    }
}

static size_t match(struct fmx_router *router, fmx_slice topic,
                    const struct fmx_match **out_matches)
{
    router->found = find_route(router, topic);
    router->gathered_count = 0;
    router->is_cut = false;
    if (!fmx_trie_is_empty(&router->trie)) {
        find_in_trie(router, topic);
    }
    router->cut_count += router->is_cut;
    if (router->gathered_count > 0) {
        *out_matches = router->gathered;
        return router->gathered_count;
    }
    *out_matches = router->found != NULL ? matches_of(router->found) : NULL;
    return router->found != NULL ? router->found->count : 0;
}

/* Messages of one publisher come in runs, and a run has one topic. */
size_t fmx_router_match(struct fmx_router *router, fmx_slice topic,
                        const struct fmx_match **out_matches)
{
    FMX_ASSERT(topic.bytes > 0);
    if (topic.bytes != router->last_bytes ||
        memcmp(topic.data, router->last_topic, topic.bytes) != 0) {
        router->last_count = match(router, topic, &router->last_matches);
        router->last_bytes =
            topic.bytes <= LAST_BYTES && !router->is_cut ? (uint32_t)topic.bytes : 0;
        memcpy(router->last_topic, topic.data, router->last_bytes);
    }
    *out_matches = router->last_matches;
    return router->last_count;
}

/* ---- the router ---------------------------------------------------------------------------- */

static bool open_parts(struct fmx_router *router, uint64_t seed)
{
    return fmx_slab_open(&router->route_slab, sizeof(struct route), FMX_SLAB_SLOTS_MAX) == FMX_OK &&
           fmx_slab_open(&router->subscription_slab, sizeof(struct subscription),
                         FMX_SLAB_SLOTS_MAX) == FMX_OK &&
           fmx_trie_open(&router->trie, fmx_index_mix(seed + 1)) == FMX_OK;
}

enum fmx_status fmx_router_open(struct fmx_router **out_router, uint64_t hash_seed)
{
    struct fmx_router *router = calloc(1, sizeof *router);

    *out_router = NULL;
    if (router == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    router->topic_seed = hash_seed;
    router->member_seed = fmx_index_mix(hash_seed + 2);
    if (!open_parts(router, hash_seed)) {
        fmx_router_close(router);
        return FMX_LIMIT_MEMORY;
    }
    *out_router = router;
    return FMX_OK;
}

/* Gives back everything in the slabs, whatever points at it. */
static void give_all(struct fmx_router *router)
{
    void *slot;

    for (uint32_t at = 0; (slot = fmx_slab_next(&router->subscription_slab, &at)) != NULL;) {
        fmx_slab_give(&router->subscription_slab, slot);
    }
    for (uint32_t at = 0; (slot = fmx_slab_next(&router->route_slab, &at)) != NULL;) {
        give_route(router, slot);
    }
}

void fmx_router_close(struct fmx_router *router)
{
    if (router == NULL) {
        return;
    }
    give_all(router);
    fmx_slab_close(&router->subscription_slab);
    fmx_slab_close(&router->route_slab);
    fmx_trie_close(&router->trie);
    fmx_index_close(&router->routes);
    fmx_index_close(&router->members);
    free_scratch(router);
    free(router);
}

bool fmx_router_next_filter(const struct fmx_router *router, uint32_t *cursor,
                            fmx_slice *out_filter)
{
    const struct route *route;

    while ((route = fmx_slab_next(&router->route_slab, cursor)) != NULL) {
        if (route->local_count > 0) {
            *out_filter = filter_of(route);
            return true;
        }
    }
    return false;
}

uint32_t fmx_router_subscriptions_count(const struct fmx_router *router)
{
    return router->subscription_slab.used;
}

uint64_t fmx_router_cut_count(const struct fmx_router *router)
{
    return router->cut_count;
}

static size_t list_bytes(const struct fmx_router *router)
{
    size_t bytes = 0;
    const struct route *route;

    for (uint32_t at = 0; (route = fmx_slab_next(&router->route_slab, &at)) != NULL;) {
        bytes += is_inline(route) ? 0 : route->capacity * sizeof(struct fmx_match);
    }
    return bytes;
}

size_t fmx_router_bytes(const struct fmx_router *router)
{
    size_t entries = (size_t)router->routes.capacity + router->members.capacity;

    return sizeof *router + list_bytes(router) + fmx_trie_bytes(&router->trie) +
           fmx_slab_bytes(&router->route_slab) + fmx_slab_bytes(&router->subscription_slab) +
           entries * sizeof(struct fmx_index_entry) +
           router->gathered_capacity * (sizeof *router->gathered + 2 * sizeof *router->seen);
}

/* ---- invariants ---------------------------------------------------------------------------- */

static void check_entry(const struct fmx_router *router, const struct route *route,
                        uint32_t position)
{
    const struct fmx_match *match = &matches_of(route)[position];
    const struct subscription *subscription = subscription_at(router, match->subscription);

    FMX_ASSERT(subscription->route == route->slot.index);
    FMX_ASSERT(subscription->position == position);
    FMX_ASSERT(find_entry(router, route, match->receiver) == position);
    if (subscription->next != NONE) {
        FMX_ASSERT(subscription_at(router, subscription->next)->previous == match->subscription);
    }
    if (subscription->previous != NONE) {
        FMX_ASSERT(subscription_at(router, subscription->previous)->next == match->subscription);
    }
}

static void check_route(const struct fmx_router *router, const struct route *route)
{
    uint32_t local_count = 0;

    FMX_ASSERT(route->count > 0 && route->count <= route->capacity);
    FMX_ASSERT(find_route(router, filter_of(route)) == route);
    FMX_ASSERT(route->is_wide ? route->count > NARROW_FROM : route->count < WIDE_FROM);
    FMX_ASSERT((route->node != NONE) == fmx_topic_has_wildcard(filter_of(route)));
    if (route->node != NONE) {
        FMX_ASSERT(fmx_trie_value(&router->trie, filter_of(route), route->node) ==
                   route->slot.index);
    }
    for (uint32_t i = 0; i < route->count; i++) {
        check_entry(router, route, i);
        local_count += is_local(matches_of(route)[i].options);
    }
    FMX_ASSERT(local_count == route->local_count);
}

void fmx_router_check(const struct fmx_router *router)
{
    uint32_t subscriptions = 0;
    uint32_t members = 0;
    const struct route *route;

    fmx_trie_check(&router->trie);
    fmx_slab_check(&router->route_slab);
    fmx_slab_check(&router->subscription_slab);
    for (uint32_t at = 0; (route = fmx_slab_next(&router->route_slab, &at)) != NULL;) {
        check_route(router, route);
        subscriptions += route->count;
        members += route->is_wide ? route->count : 0;
    }
    FMX_ASSERT(subscriptions == router->subscription_slab.used);
    FMX_ASSERT(members == router->members.used);
    FMX_ASSERT(router->routes.used == router->route_slab.used);
}
