/*
 * router.h — the subscriptions of one shard: topic filter → receivers
 *
 * A receiver is a 32-bit number whose meaning is the caller's (a session's slot, an absent session,
 * another shard); each kind has a range of its own. Each subscription has an id; a receiver's
 * subscriptions are chained, so that all of them can be removed without a search. With trie.h, the
 * only module of the engine that knows what a topic means.
 */
#ifndef ENGINE_ROUTER_H
#define ENGINE_ROUTER_H

#include "engine/index.h"
#include <fleetmux/error.h>

#define FMX_SUBSCRIPTION_NONE UINT32_MAX

/*
 * Options of one subscription, as far as delivery needs them. A "QoS" of FMX_SUB_DENIED is no
 * subscription but its opposite: it says no where nothing else of the receiver says yes.
 */
enum {
    FMX_SUB_QOS_MASK = 3,
    FMX_SUB_DENIED = 3,
    FMX_SUB_NO_LOCAL = 1 << 2,
    FMX_SUB_REMOTE = 1 << 4, /* the receiver is another shard */
};

struct fmx_match {
    uint32_t receiver;
    uint32_t subscription;
    uint8_t options; /* where several filters match: the highest QoS, and the flags of that one */
};

struct fmx_router;

/*
 * Filters and topics are chosen by peers: the seed has to be one that they cannot guess. FMX_OK or
 * FMX_LIMIT_MEMORY.
 */
enum fmx_status fmx_router_open(struct fmx_router **out_router, uint64_t hash_seed) FMX_MUST_USE;

/* Releases the router with all its subscriptions. NULL is harmless. */
void fmx_router_close(struct fmx_router *router);

/*
 * Adds a subscription of `receiver` to a valid filter, which is copied. `head` is the head of the
 * receiver's chain (FMX_SUBSCRIPTION_NONE when it has none) and is updated. If the receiver has
 * this very filter already, its options are replaced: `out_existed`. `out_first`: the filter now
 * has its first subscription without FMX_SUB_REMOTE (so other shards have to hear of it).
 * FMX_SUB_REMOTE goes with the receiver and is the same in all its subscriptions (asserted).
 * FMX_OK or FMX_LIMIT_MEMORY (nothing changed).
 */
enum fmx_status fmx_router_add(struct fmx_router *router, fmx_slice filter, uint32_t receiver,
                               uint8_t options, uint32_t *head, bool *out_existed,
                               bool *out_first) FMX_MUST_USE;

/* Has the receiver a subscription to this very filter, and with which options? */
bool fmx_router_has(const struct fmx_router *router, fmx_slice filter, uint32_t receiver,
                    uint8_t *out_options);

/*
 * Removes the receiver's subscription to this filter. False if there is none. `out_last`: it was
 * the filter's last one without FMX_SUB_REMOTE.
 */
bool fmx_router_remove(struct fmx_router *router, fmx_slice filter, uint32_t receiver,
                       uint32_t *head, bool *out_last);

/*
 * Removes the first subscription of a chain: the way to remove all of a receiver. Before it is
 * gone, its filter is copied to `filter_out` (65,535 bytes of room), so that others can be told if
 * `out_last`. False if the chain is empty.
 */
bool fmx_router_remove_head(struct fmx_router *router, uint32_t *head, uint8_t *filter_out,
                            size_t *out_filter_bytes, bool *out_last);

/* Walks a chain: the filter and options of a subscription, and the next one. */
uint32_t fmx_router_next(const struct fmx_router *router, uint32_t subscription,
                         fmx_slice *out_filter, uint8_t *out_options);

/*
 * Who gets a message with this valid topic name: each receiver once, in no particular order. The
 * list lives until the router is next changed or asked. Returns its length. Where memory for the
 * list runs out it is cut short, and counted.
 */
size_t fmx_router_match(struct fmx_router *router, fmx_slice topic,
                        const struct fmx_match **out_matches);

/* How many lists were cut short. */
uint64_t fmx_router_cut_count(const struct fmx_router *router);

/* Walks all filters that have a subscription without FMX_SUB_REMOTE. `cursor` begins at 0. */
bool fmx_router_next_filter(const struct fmx_router *router, uint32_t *cursor,
                            fmx_slice *out_filter);

uint32_t fmx_router_subscriptions_count(const struct fmx_router *router);

/* Bytes held for filters, subscriptions and scratch, but for filters too long for their slot. */
size_t fmx_router_bytes(const struct fmx_router *router);

/* Asserts the invariants (debug builds and tests). */
void fmx_router_check(const struct fmx_router *router);

#endif
