/*
 * index.h — hash → 32-bit value, open addressing; the caller compares keys
 *
 * A table of (hash tag, value) pairs with linear probing and backward-shift deletion; it holds no
 * keys: find walks the candidates whose tags agree, and the caller looks at each. Grows by
 * doubling, shrinks by halving, so that a peak is given back.
 */
#ifndef ENGINE_INDEX_H
#define ENGINE_INDEX_H

#include <fleetmux/error.h>

#define FMX_INDEX_NONE UINT32_MAX

struct fmx_index_entry {
    uint32_t tag;   /* upper half of the hash */
    uint32_t value; /* FMX_INDEX_NONE: empty */
};

struct fmx_index {
    struct fmx_index_entry *entries;
    uint32_t capacity; /* power of two, or 0 before the first put */
    uint32_t used;
};

/* The hash of a key that is a number: one-to-one and well mixed. Whoever needs a seed adds it. */
static inline uint64_t fmx_index_mix(uint64_t key)
{
    key ^= key >> 31;
    key *= 0xd6e8feb86659fd93u;
    key ^= key >> 32;
    key *= 0xa0761d6478bd642fu;
    return key ^ (key >> 30);
}

/*
 * Makes room for so many more: their puts cannot fail, if nothing is removed before. FMX_OK or
 * FMX_LIMIT_MEMORY (nothing changed).
 */
enum fmx_status fmx_index_reserve(struct fmx_index *index, uint32_t more) FMX_MUST_USE;

/*
 * The next candidate. `probe` begins at UINT32_MAX. FMX_INDEX_NONE: no more. The table may not
 * change during the walk.
 */
uint32_t fmx_index_find(const struct fmx_index *index, uint64_t hash, uint32_t *probe);

/* Puts a value that is not there yet. FMX_OK or FMX_LIMIT_MEMORY (nothing changed). */
enum fmx_status fmx_index_put(struct fmx_index *index, uint64_t hash, uint32_t value) FMX_MUST_USE;

/* Removes a value that is there (asserted). With the last one, the table's memory goes too. */
void fmx_index_remove(struct fmx_index *index, uint64_t hash, uint32_t value);

/* Releases the table; all zero is an empty index. */
void fmx_index_close(struct fmx_index *index);

/* Asserts the invariants (debug builds and tests). */
void fmx_index_check(const struct fmx_index *index);

#endif
