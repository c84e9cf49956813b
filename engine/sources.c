/*
 * sources — how many of something each source address has now
 *
 * Memory:         24 bytes an address that has any, and its place in the index
 * Threads:        one
 * Limits:         as many addresses as a slab has slots
 * Not here:       what is counted: conn_tls.c
 */
#include "engine/sources.h"

#include <fleetmux/private/assert.h>

struct source {
    struct fmx_slot slot; /* first, set by the slab */
    uint64_t key;         /* of an IPv4 address its 32 bits, of IPv6 the first 64 */
    uint32_t count;
    bool is_v6;
};

enum fmx_status fmx_sources_open(struct fmx_sources *sources, uint64_t seed)
{
    sources->seed = seed;
    return fmx_slab_open(&sources->slab, sizeof(struct source), FMX_SLAB_SLOTS_MAX);
}

void fmx_sources_close(struct fmx_sources *sources)
{
    fmx_index_close(&sources->index);
    fmx_slab_close(&sources->slab);
}

static uint64_t key_of(const struct sockaddr_in6 *name)
{
    uint64_t key;

    if (name->sin6_family != AF_INET6) {
        return ((const struct sockaddr_in *)name)->sin_addr.s_addr;
    }
    memcpy(&key, &name->sin6_addr, sizeof(key));
    return key;
}

static uint64_t hash_of(const struct fmx_sources *sources, uint64_t key, bool is_v6)
{
    return fmx_index_mix(key ^ sources->seed) + is_v6;
}

static struct source *find(struct fmx_sources *sources, uint64_t key, bool is_v6)
{
    uint32_t probe = UINT32_MAX;
    uint32_t at;

    while ((at = fmx_index_find(&sources->index, hash_of(sources, key, is_v6), &probe)) !=
           FMX_INDEX_NONE) {
        struct source *source = fmx_slab_at(&sources->slab, at);
        if (source->key == key && source->is_v6 == is_v6) {
            return source;
        }
    }
    return NULL;
}

static struct source *make(struct fmx_sources *sources, uint64_t key, bool is_v6)
{
    struct source *source = fmx_slab_take(&sources->slab);

    if (source == NULL) {
        return NULL;
    }
    source->key = key;
    source->is_v6 = is_v6;
    if (fmx_index_put(&sources->index, hash_of(sources, key, is_v6), source->slot.index) !=
        FMX_OK) {
        fmx_slab_give(&sources->slab, source);
        return NULL;
    }
    return source;
}

uint32_t fmx_sources_take(struct fmx_sources *sources, const struct sockaddr_in6 *name,
                          uint32_t max)
{
    bool is_v6 = name->sin6_family == AF_INET6;
    uint64_t key = key_of(name);
    struct source *source = find(sources, key, is_v6);

    if (source == NULL) {
        source = make(sources, key, is_v6);
    }
    if (source == NULL || source->count >= max) {
        return 0;
    }
    source->count++;
    return source->slot.index + 1;
}

void fmx_sources_give(struct fmx_sources *sources, uint32_t number)
{
    if (number == 0) {
        return;
    }
    struct source *source = fmx_slab_at(&sources->slab, number - 1);
    FMX_ASSERT(source->count > 0);
    if (--source->count == 0) {
        fmx_index_remove(&sources->index, hash_of(sources, source->key, source->is_v6),
                         source->slot.index);
        fmx_slab_give(&sources->slab, source);
    }
}
