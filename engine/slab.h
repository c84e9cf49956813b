/*
 * slab.h — slots with generations: grows in chunks, gives empty chunks back
 */
#ifndef ENGINE_SLAB_H
#define ENGINE_SLAB_H

#include <fleetmux/error.h>

#define FMX_SLAB_CHUNK_SLOTS    256u
#define FMX_SLAB_SLOTS_MAX      (1u << 24)
#define FMX_SLAB_CHUNKS_MAX     (FMX_SLAB_SLOTS_MAX / FMX_SLAB_CHUNK_SLOTS)
#define FMX_SLAB_SLOT_BYTES_MAX (1u << 20)
#define FMX_GENERATION_MASK     0x3fffffffu /* 30 bits; 0 is never used */

/* The first field of what lives in a slot. Set by the slab, read by all. */
struct fmx_slot {
    uint32_t index;
    uint32_t generation; /* 1 … FMX_GENERATION_MASK while taken */
};

struct fmx_slab_chunk;

struct fmx_slab {
    struct fmx_slab_chunk *chunks; /* one descriptor per chunk that may ever exist */
    void *spare;                   /* memory of the chunk that became empty last, or NULL */
    uint32_t chunks_count;
    uint32_t chunks_reached; /* those above have never been mapped */
    uint32_t slot_bytes;
    uint32_t slots_max;
    uint32_t used;
    uint64_t open_words[FMX_SLAB_CHUNKS_MAX / 64 / 64]; /* a bit: that word of `open` is not 0 */
    uint64_t *open;                                     /* a bit: that chunk has a free slot */
};

/*
 * slot_bytes from sizeof(struct fmx_slot) up, rounded up to 64; below 64, to 8, for small things in
 * great numbers. FMX_OK or FMX_LIMIT_MEMORY.
 */
enum fmx_status fmx_slab_open(struct fmx_slab *slab, uint32_t slot_bytes,
                              uint32_t slots_max) FMX_MUST_USE;

/* Releases all chunks; every slot has been given back (asserted). All zero is harmless. */
void fmx_slab_close(struct fmx_slab *slab);

/*
 * A zeroed slot with its index and a generation that this index has not had before (until 2^30 have
 * passed). NULL if slots_max are taken or memory ran out. Always the lowest free index, so that
 * what a peak took can be given back. The address stays valid until the slot is given back.
 */
void *fmx_slab_take(struct fmx_slab *slab);

/* Gives a slot back. A chunk that has become empty is released, but for one kept in reserve. */
void fmx_slab_give(struct fmx_slab *slab, void *slot);

/* The taken slot with this index and generation, or NULL. Any numbers may be asked for. */
void *fmx_slab_find(const struct fmx_slab *slab, uint32_t index, uint32_t generation);

/* The taken slot with this index, whatever its generation, or NULL. */
void *fmx_slab_peek(const struct fmx_slab *slab, uint32_t index);

/* The taken slot with this index; asserted. */
void *fmx_slab_at(const struct fmx_slab *slab, uint32_t index);

/*
 * Walks the taken slots by index: `cursor` begins at 0; NULL at the end. Slots may be given back
 * and taken meanwhile.
 */
void *fmx_slab_next(const struct fmx_slab *slab, uint32_t *cursor);

/* Bytes of slots held now, in use or not (descriptors not counted). */
size_t fmx_slab_bytes(const struct fmx_slab *slab);

/* Asserts the invariants (debug builds and tests). */
void fmx_slab_check(const struct fmx_slab *slab);

#endif
