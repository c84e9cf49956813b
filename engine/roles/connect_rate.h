/*
 * connect_rate.h — what of a client's rates outlives its connections, at its home: CONNECTs a
 * minute, and how empty its buckets were
 */
#ifndef ENGINE_ROLES_CONNECT_RATE_H
#define ENGINE_ROLES_CONNECT_RATE_H

#include "engine/role.h"

struct fmx_connect_rate_entry {
    uint64_t hash;    /* of the client's key; 0: free */
    uint64_t full_ns; /* when its bucket of CONNECTs is full again */
    struct fmx_rate_memory rates;
};

/* All zero is an empty table. */
struct fmx_connect_rate {
    struct fmx_connect_rate_entry *entries;
    uint32_t capacity; /* power of two, or 0 */
    uint32_t used;
};

/*
 * May this client connect now? Takes a token of its bucket, which holds `per_minute` and is filled
 * in a minute. Without memory for a new entry the answer is yes.
 */
bool fmx_connect_rate_allows(struct fmx_connect_rate *table, uint64_t hash, uint32_t per_minute,
                             uint64_t now_ns);

/* Its connection has ended. Without memory nothing is remembered. */
void fmx_connect_rate_remember(struct fmx_connect_rate *table, uint64_t hash,
                               const struct fmx_rate_memory *rates, uint64_t now_ns);
struct fmx_rate_memory fmx_connect_rate_recall(const struct fmx_connect_rate *table, uint64_t hash);

void fmx_connect_rate_wipe(struct fmx_connect_rate *table);

#endif
