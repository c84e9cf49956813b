/*
 * trie.h — filters with wildcards as a tree of levels: topic → the values of all that match
 *
 * A value is a 32-bit number of the caller's, one for each distinct filter.
 */
#ifndef ENGINE_TRIE_H
#define ENGINE_TRIE_H

#include "engine/index.h"
#include "engine/slab.h"
#include "proto/topic.h"
#include <fleetmux/error.h>

#define FMX_TRIE_NONE UINT32_MAX

struct fmx_trie_level;
struct fmx_trie_visit;

struct fmx_trie {
    uint64_t seed;
    struct fmx_index edges; /* hash of parent and level → node */
    struct fmx_slab nodes;
    uint32_t root;
    uint32_t depth_max; /* `levels` has room for one more, `stack` for two */

    /* The match that is going on. */
    struct fmx_topic_walk walk;
    struct fmx_trie_level *levels; /* of the topic, as far as they were needed */
    struct fmx_trie_visit *stack;
    uint32_t levels_count;
    uint32_t stack_count;
    uint32_t waiting; /* a value found together with the last one, or FMX_TRIE_NONE */
    bool is_hidden;   /* the topic begins with `$` */
};

/* The seed has to be one that peers cannot guess. FMX_OK or FMX_LIMIT_MEMORY. */
enum fmx_status fmx_trie_open(struct fmx_trie *trie, uint64_t seed) FMX_MUST_USE;

/* Releases the trie with all its filters. All zero is harmless. */
void fmx_trie_close(struct fmx_trie *trie);

/*
 * Puts a valid filter that is not there yet (asserted). `out_node` says where it stands until it is
 * removed. FMX_OK or FMX_LIMIT_MEMORY (nothing changed).
 */
enum fmx_status fmx_trie_put(struct fmx_trie *trie, fmx_slice filter, uint32_t value,
                             uint32_t *out_node) FMX_MUST_USE;

/* Removes a filter, which stands at `node` with this value (asserted). */
void fmx_trie_remove(struct fmx_trie *trie, fmx_slice filter, uint32_t node, uint32_t value);

bool fmx_trie_is_empty(const struct fmx_trie *trie);

/*
 * Begins a match of a valid topic name; it ends with the last value, the next match or the next
 * change. The topic is borrowed until then.
 */
void fmx_trie_begin(struct fmx_trie *trie, fmx_slice topic);

/* The value of the next filter that matches, each once; FMX_TRIE_NONE: no more. Cannot fail. */
uint32_t fmx_trie_next(struct fmx_trie *trie);

/* The value of a filter that stands at `node`, or FMX_TRIE_NONE. */
uint32_t fmx_trie_value(const struct fmx_trie *trie, fmx_slice filter, uint32_t node);

/* Bytes held, but for levels too long for their node. */
size_t fmx_trie_bytes(const struct fmx_trie *trie);

/* Asserts the invariants (debug builds and tests). */
void fmx_trie_check(const struct fmx_trie *trie);

#endif
