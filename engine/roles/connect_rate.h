/*
 * connect_rate.h — CONNECTs a minute of one client, counted at its home also while it is away
 */
#ifndef ENGINE_ROLES_CONNECT_RATE_H
#define ENGINE_ROLES_CONNECT_RATE_H

#include "engine/index.h"

struct fmx_connect_rate_entry {
    uint64_t hash;    /* of the client's key; 0: free */
    uint64_t full_ns; /* when its bucket is full again */
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

void fmx_connect_rate_wipe(struct fmx_connect_rate *table);

#endif
