/*
 * slab — slots with generations: grows in chunks, gives empty chunks back
 *
 * Why it is so:   a session's address must not move while the kernel and timers know it, a stale
 *                 name of it must be recognised, and what a storm of connections took must be given
 *                 back. So slots come in chunks of 256; the lowest free index is taken first, which
 *                 empties the high chunks as soon as the crowd leaves. Free slots are bits and not
 *                 a list through the slots themselves: a free slot's memory is never read, and the
 *                 lowest one is found with three bit scans however full the slab is.
 * Words:          open chunk: one with a free slot, its memory there or not; mapped: its memory is
 *                 there; spare: the memory of one empty chunk, kept for the next that is mapped
 * Invariants:     (1) a chunk is open exactly if its bit is set in `open`, and a word of `open` is
 *                 not zero exactly if its bit is set in `open_words`  (2) a chunk without a taken
 *                 slot is not mapped, unless it is worn (5)  (3) slots `fresh` and above have not
 *                 been taken since the chunk was mapped; all below were  (4) no generation that a
 *                 slot of the chunk ever had is above `top`; a chunk mapped anew begins above the
 *                 `top` of its former life, hence no pair of index and generation comes twice
 *                 (5) a chunk whose `top` has come to the last generation is worn: its slots begin
 *                 at 1 again, each from its own memory, so it is not released any more
 * Memory:         owns the descriptors (56 bytes for 256 slots, for as many as may ever exist;
 *                 those never reached are never touched, so their pages cost nothing) and the
 *                 chunks
 * Threads:        owning shard only
 * Limits:         slots_max up to 2^24, from the caller; take answers NULL there
 * Not here:       session ids made of shard, index and generation: engine/op.h
 */
#include "engine/slab.h"

#include <assert.h>
#include <fleetmux/private/assert.h>
#include <stdlib.h>

#define CHUNK_WORDS    (FMX_SLAB_CHUNK_SLOTS / 64)
#define SLOT_ALIGNMENT 64u

struct fmx_slab_chunk {
    uint8_t *slots;              /* NULL: not mapped */
    uint64_t taken[CHUNK_WORDS]; /* a bit per slot */
    uint32_t floor;              /* generations up to here belong to former lives */
    uint32_t top;                /* highest generation given so far */
    uint16_t used;
    uint16_t fresh;
    uint16_t capacity; /* of the last chunk; 0: FMX_SLAB_CHUNK_SLOTS */
};

static_assert(sizeof(struct fmx_slab_chunk) == 56, "a quarter of a byte for each slot");
static_assert(FMX_SLAB_CHUNKS_MAX % (64 * 64) == 0, "open_words covers all of open");

static uint32_t round_up(uint32_t bytes, uint32_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static uint32_t chunk_number(const struct fmx_slab *slab, const struct fmx_slab_chunk *chunk)
{
    return (uint32_t)(chunk - slab->chunks);
}

static struct fmx_slot *slot_in(const struct fmx_slab *slab, const struct fmx_slab_chunk *chunk,
                                uint32_t number)
{
    return (struct fmx_slot *)(void *)(chunk->slots + (size_t)number * slab->slot_bytes);
}

static bool is_taken(const struct fmx_slab_chunk *chunk, uint32_t number)
{
    return chunk->taken[number / 64] >> (number % 64) & 1;
}

static bool is_worn(const struct fmx_slab_chunk *chunk)
{
    return chunk->top == FMX_GENERATION_MASK;
}

static size_t chunk_bytes(const struct fmx_slab *slab)
{
    return (size_t)FMX_SLAB_CHUNK_SLOTS * slab->slot_bytes;
}

static void mark_open(struct fmx_slab *slab, uint32_t chunk)
{
    slab->open[chunk / 64] |= 1ull << (chunk % 64);
    slab->open_words[chunk / 64 / 64] |= 1ull << (chunk / 64 % 64);
}

static void mark_full(struct fmx_slab *slab, uint32_t chunk)
{
    uint64_t *word = &slab->open[chunk / 64];

    *word &= ~(1ull << (chunk % 64));
    if (*word == 0) {
        slab->open_words[chunk / 64 / 64] &= ~(1ull << (chunk / 64 % 64));
    }
}

static struct fmx_slab_chunk *lowest_open(const struct fmx_slab *slab)
{
    for (uint32_t i = 0; i < FMX_SLAB_CHUNKS_MAX / 64 / 64; i++) {
        if (slab->open_words[i] != 0) {
            uint32_t word = i * 64 + (uint32_t)__builtin_ctzll(slab->open_words[i]);
            return &slab->chunks[word * 64 + (uint32_t)__builtin_ctzll(slab->open[word])];
        }
    }
    return NULL;
}

static void init_chunks(struct fmx_slab *slab)
{
    uint32_t last = slab->chunks_count - 1;

    for (uint32_t i = 0; i <= last; i++) {
        mark_open(slab, i);
    }
    /* Zero stands for a whole chunk, so that no other descriptor's page is touched. */
    slab->chunks[last].capacity = (uint16_t)(slab->slots_max - last * FMX_SLAB_CHUNK_SLOTS);
}

static uint32_t capacity_of(const struct fmx_slab_chunk *chunk)
{
    return chunk->capacity != 0 ? chunk->capacity : FMX_SLAB_CHUNK_SLOTS;
}

enum fmx_status fmx_slab_open(struct fmx_slab *slab, uint32_t slot_bytes, uint32_t slots_max)
{
    FMX_ASSERT(slot_bytes >= sizeof(struct fmx_slot) && slot_bytes <= FMX_SLAB_SLOT_BYTES_MAX);
    FMX_ASSERT(slots_max > 0 && slots_max <= FMX_SLAB_SLOTS_MAX);
    uint32_t chunks = (slots_max + FMX_SLAB_CHUNK_SLOTS - 1) / FMX_SLAB_CHUNK_SLOTS;

    *slab = (struct fmx_slab){
        .chunks = calloc(chunks, sizeof *slab->chunks),
        .open = calloc((chunks + 63) / 64, sizeof *slab->open),
        .chunks_count = chunks,
        .slot_bytes = round_up(slot_bytes, slot_bytes < SLOT_ALIGNMENT ? 8 : SLOT_ALIGNMENT),
        .slots_max = slots_max,
    };
    if (slab->chunks == NULL || slab->open == NULL) {
        fmx_slab_close(slab);
        return FMX_LIMIT_MEMORY;
    }
    init_chunks(slab);
    return FMX_OK;
}

void fmx_slab_close(struct fmx_slab *slab)
{
    FMX_ASSERT(slab->used == 0);
    for (uint32_t i = 0; i < slab->chunks_reached; i++) {
        free(slab->chunks[i].slots); /* worn ones */
    }
    free(slab->spare);
    free(slab->open);
    free(slab->chunks);
    *slab = (struct fmx_slab){0};
}

static bool map_chunk(struct fmx_slab *slab, struct fmx_slab_chunk *chunk)
{
    FMX_ASSERT(chunk->used == 0 && !is_worn(chunk));
    chunk->slots =
        slab->spare != NULL ? slab->spare : aligned_alloc(SLOT_ALIGNMENT, chunk_bytes(slab));
    if (chunk->slots == NULL) {
        return false;
    }
    slab->spare = NULL;
    chunk->floor = chunk->top;
    chunk->fresh = 0;
    if (slab->chunks_reached <= chunk_number(slab, chunk)) {
        slab->chunks_reached = chunk_number(slab, chunk) + 1;
    }
    return true;
}

static void release_chunk(struct fmx_slab *slab, struct fmx_slab_chunk *chunk)
{
    FMX_ASSERT(chunk->used == 0);
    if (slab->spare == NULL) {
        slab->spare = chunk->slots;
    } else {
        free(chunk->slots);
    }
    chunk->slots = NULL;
}

static uint32_t lowest_free(const struct fmx_slab_chunk *chunk)
{
    uint32_t word = 0;

    while (chunk->taken[word] == UINT64_MAX) {
        word++;
        FMX_ASSERT(word < CHUNK_WORDS);
    }
    return word * 64 + (uint32_t)__builtin_ctzll(~chunk->taken[word]);
}

/* The generation after the one this slot had last; a fresh slot's memory says nothing yet. */
static uint32_t next_generation(const struct fmx_slab *slab, struct fmx_slab_chunk *chunk,
                                uint32_t number)
{
    bool is_fresh = number == chunk->fresh;
    uint32_t last = is_fresh ? chunk->floor : slot_in(slab, chunk, number)->generation;
    uint32_t next = last < FMX_GENERATION_MASK ? last + 1 : 1;

    FMX_ASSERT(number <= chunk->fresh);
    chunk->fresh = (uint16_t)(chunk->fresh + is_fresh);
    chunk->top = next > chunk->top ? next : chunk->top;
    return next;
}

void *fmx_slab_take(struct fmx_slab *slab)
{
    struct fmx_slab_chunk *chunk = lowest_open(slab);

    if (chunk == NULL || (chunk->slots == NULL && !map_chunk(slab, chunk))) {
        return NULL;
    }
    uint32_t number = lowest_free(chunk);
    FMX_ASSERT(number < capacity_of(chunk));
    uint32_t generation = next_generation(slab, chunk, number);
    struct fmx_slot *slot = slot_in(slab, chunk, number);

    memset(slot, 0, slab->slot_bytes);
    slot->index = chunk_number(slab, chunk) * FMX_SLAB_CHUNK_SLOTS + number;
    slot->generation = generation;
    chunk->taken[number / 64] |= 1ull << (number % 64);
    chunk->used++;
    slab->used++;
    if (chunk->used == capacity_of(chunk)) {
        mark_full(slab, chunk_number(slab, chunk));
    }
    return slot;
}

void fmx_slab_give(struct fmx_slab *slab, void *slot)
{
    uint32_t index = ((const struct fmx_slot *)slot)->index;
    uint32_t number = index % FMX_SLAB_CHUNK_SLOTS;

    FMX_ASSERT(fmx_slab_at(slab, index) == slot);
    struct fmx_slab_chunk *chunk = &slab->chunks[index / FMX_SLAB_CHUNK_SLOTS];
    if (chunk->used == capacity_of(chunk)) {
        mark_open(slab, chunk_number(slab, chunk));
    }
    chunk->taken[number / 64] &= ~(1ull << (number % 64));
    chunk->used--;
    slab->used--;
    if (chunk->used == 0 && !is_worn(chunk)) {
        release_chunk(slab, chunk);
    }
}

/* The slot if it is taken, else NULL. */
static struct fmx_slot *taken_slot(const struct fmx_slab *slab, uint32_t index)
{
    uint32_t number = index % FMX_SLAB_CHUNK_SLOTS;

    if (index >= slab->slots_max) {
        return NULL;
    }
    const struct fmx_slab_chunk *chunk = &slab->chunks[index / FMX_SLAB_CHUNK_SLOTS];
    return is_taken(chunk, number) ? slot_in(slab, chunk, number) : NULL;
}

void *fmx_slab_find(const struct fmx_slab *slab, uint32_t index, uint32_t generation)
{
    struct fmx_slot *slot = taken_slot(slab, index);

    return slot != NULL && slot->generation == generation ? slot : NULL;
}

void *fmx_slab_peek(const struct fmx_slab *slab, uint32_t index)
{
    return taken_slot(slab, index);
}

void *fmx_slab_at(const struct fmx_slab *slab, uint32_t index)
{
    struct fmx_slot *slot = taken_slot(slab, index);

    FMX_ASSERT(slot != NULL && slot->index == index);
    return slot;
}

void *fmx_slab_next(const struct fmx_slab *slab, uint32_t *cursor)
{
    while (*cursor < slab->chunks_reached * FMX_SLAB_CHUNK_SLOTS) {
        const struct fmx_slab_chunk *chunk = &slab->chunks[*cursor / FMX_SLAB_CHUNK_SLOTS];
        uint32_t number = *cursor % FMX_SLAB_CHUNK_SLOTS;
        uint64_t bits = chunk->taken[number / 64] >> (number % 64);
        if (bits != 0) {
            number += (uint32_t)__builtin_ctzll(bits);
            *cursor = chunk_number(slab, chunk) * FMX_SLAB_CHUNK_SLOTS + number + 1;
            return slot_in(slab, chunk, number);
        }
        *cursor = chunk->used == 0 ? round_up(*cursor + 1, FMX_SLAB_CHUNK_SLOTS)
                                   : round_up(*cursor + 1, 64);
    }
    return NULL;
}

size_t fmx_slab_bytes(const struct fmx_slab *slab)
{
    size_t chunks = slab->spare != NULL;

    for (uint32_t i = 0; i < slab->chunks_reached; i++) {
        chunks += slab->chunks[i].slots != NULL;
    }
    return chunks * chunk_bytes(slab);
}

static void check_slot(const struct fmx_slab *slab, const struct fmx_slab_chunk *chunk,
                       uint32_t number)
{
    const struct fmx_slot *slot = slot_in(slab, chunk, number);

    FMX_ASSERT(number < chunk->fresh && number < capacity_of(chunk));
    FMX_ASSERT(slot->index == chunk_number(slab, chunk) * FMX_SLAB_CHUNK_SLOTS + number);
    FMX_ASSERT(slot->generation > (is_worn(chunk) ? 0 : chunk->floor));
    FMX_ASSERT(slot->generation <= chunk->top);
}

static void check_chunk(const struct fmx_slab *slab, const struct fmx_slab_chunk *chunk)
{
    uint32_t at = chunk_number(slab, chunk);
    uint32_t used = 0;

    for (uint32_t number = 0; number < FMX_SLAB_CHUNK_SLOTS; number++) {
        if (is_taken(chunk, number)) {
            check_slot(slab, chunk, number);
            used++;
        }
    }
    FMX_ASSERT(used == chunk->used);
    FMX_ASSERT((chunk->slots != NULL) == (used > 0 || is_worn(chunk)));
    FMX_ASSERT((slab->open[at / 64] >> (at % 64) & 1) == (used < capacity_of(chunk)));
}

void fmx_slab_check(const struct fmx_slab *slab)
{
    uint32_t used = 0;

    FMX_ASSERT(slab->chunks_reached <= slab->chunks_count);
    for (uint32_t i = 0; i < slab->chunks_reached; i++) {
        check_chunk(slab, &slab->chunks[i]);
        used += slab->chunks[i].used;
    }
    for (uint32_t word = 0; word < (slab->chunks_count + 63) / 64; word++) {
        FMX_ASSERT((slab->open_words[word / 64] >> (word % 64) & 1) == (slab->open[word] != 0));
    }
    FMX_ASSERT(used == slab->used);
}
