/*
 * fleet_gaps — sets of numbers that are missing, as ranges; many sets out of one pool
 *
 * Why it is so:   mostly a receiver misses nothing, now and then one number, sometimes a run; and a
 *                 number may come back from however far behind. So a set costs nothing until it has
 *                 a range, and finding one costs the logarithm of how many there are: a server that
 *                 leaves out every other number must not make us slow. A treap does that in few
 *                 lines, without parents and without balances to keep
 * Words:          range: numbers next to one another; rank: what its place draws, for all time
 * Invariants:     (1) ranges of a set are apart, and in order from left to right  (2) no range
 *                 ranks above the one that it hangs from, so the depth is that of a random tree
 * Memory:         20 bytes for each range, in chunks that are given back at the end
 * Threads:        owning shard
 * Limits:         bytes_max; 2^32 − 2 ranges
 */
#include "engine/roles/fleet_gaps.h"

#include "engine/index.h"
#include <assert.h>
#include <fleetmux/private/assert.h>
#include <stdlib.h>

#define NONE         FMX_GAPS_NONE
#define CHUNK_RANGES 4096u

struct fmx_gap {
    uint32_t first_low;
    uint32_t end_low;
    uint16_t first_high;
    uint16_t end_high;
    uint32_t left; /* of a free one: the next, plus 1 */
    uint32_t right;
};

static_assert(sizeof(struct fmx_gap) == 20, "a range is small");

/* ── ranges ── */

static struct fmx_gap *gap_at(const struct fmx_gaps *gaps, uint32_t place)
{
    return &gaps->chunks[place / CHUNK_RANGES][place % CHUNK_RANGES];
}

static uint64_t first_of(const struct fmx_gap *gap)
{
    return (uint64_t)gap->first_high << 32 | gap->first_low;
}

static uint64_t end_of(const struct fmx_gap *gap)
{
    return (uint64_t)gap->end_high << 32 | gap->end_low;
}

static void set_first(struct fmx_gap *gap, uint64_t first)
{
    gap->first_low = (uint32_t)first;
    gap->first_high = (uint16_t)(first >> 32);
}

static void set_end(struct fmx_gap *gap, uint64_t end)
{
    gap->end_low = (uint32_t)end;
    gap->end_high = (uint16_t)(end >> 32);
}

static uint64_t rank_of(const struct fmx_gaps *gaps, uint32_t place)
{
    return fmx_index_mix(gaps->seed + place);
}

/* ── the pool ── */

static bool add_chunk(struct fmx_gaps *gaps)
{
    size_t bytes = CHUNK_RANGES * sizeof(struct fmx_gap) + sizeof(*gaps->chunks);

    if (gaps->bytes + bytes > gaps->bytes_max ||
        gaps->chunks_count >= UINT32_MAX / CHUNK_RANGES - 1) {
        return false;
    }
    struct fmx_gap **chunks =
        realloc(gaps->chunks, (gaps->chunks_count + (size_t)1) * sizeof(*chunks));
    if (chunks == NULL) {
        return false;
    }
    gaps->chunks = chunks;
    struct fmx_gap *chunk = malloc(CHUNK_RANGES * sizeof(*chunk));
    if (chunk == NULL) {
        return false;
    }
    gaps->chunks[gaps->chunks_count++] = chunk;
    gaps->bytes += bytes;
    return true;
}

static uint32_t room_of(const struct fmx_gaps *gaps)
{
    return gaps->free_count + (gaps->chunks_count * CHUNK_RANGES - gaps->used);
}

bool fmx_gaps_reserve(struct fmx_gaps *gaps, uint32_t ranges)
{
    return room_of(gaps) >= ranges || (add_chunk(gaps) && room_of(gaps) >= ranges);
}

static uint32_t take_place(struct fmx_gaps *gaps)
{
    if (gaps->free_count == 0) {
        FMX_ASSERT(gaps->used < gaps->chunks_count * CHUNK_RANGES);
        return gaps->used++;
    }
    uint32_t place = gaps->free - 1;
    gaps->free = gap_at(gaps, place)->left;
    gaps->free_count--;
    return place;
}

static void give_place(struct fmx_gaps *gaps, uint32_t place)
{
    gap_at(gaps, place)->left = gaps->free;
    gaps->free = place + 1;
    gaps->free_count++;
}

void fmx_gaps_close(struct fmx_gaps *gaps)
{
    for (uint32_t i = 0; i < gaps->chunks_count; i++) {
        free(gaps->chunks[i]);
    }
    free(gaps->chunks);
    *gaps = (struct fmx_gaps){.seed = gaps->seed, .bytes_max = gaps->bytes_max};
}

/* ── the tree ── */

/* Parts a tree into what is before the number and what is from it on. */
static void part(const struct fmx_gaps *gaps, uint32_t tree, uint64_t number, uint32_t *before,
                 uint32_t *from)
{
    while (tree != NONE) {
        struct fmx_gap *gap = gap_at(gaps, tree);
        if (first_of(gap) < number) {
            *before = tree;
            before = &gap->right;
            tree = gap->right;
        } else {
            *from = tree;
            from = &gap->left;
            tree = gap->left;
        }
    }
    *before = NONE;
    *from = NONE;
}

void fmx_gaps_add(struct fmx_gaps *gaps, uint32_t *set, uint64_t first, uint64_t end)
{
    uint32_t place = take_place(gaps);
    uint64_t rank = rank_of(gaps, place);
    struct fmx_gap *added = gap_at(gaps, place);
    uint32_t *link = set;

    FMX_ASSERT(first < end && end >> 48 == 0);
    set_first(added, first);
    set_end(added, end);
    while (*link != NONE && rank_of(gaps, *link) >= rank) {
        struct fmx_gap *gap = gap_at(gaps, *link);
        link = first < first_of(gap) ? &gap->left : &gap->right;
    }
    uint32_t below = *link;
    *link = place;
    part(gaps, below, first, &added->left, &added->right);
}

/* What hangs from the one at `link` takes its place. */
static void remove_at(struct fmx_gaps *gaps, uint32_t *link)
{
    uint32_t place = *link;
    uint32_t left = gap_at(gaps, place)->left;
    uint32_t right = gap_at(gaps, place)->right;

    give_place(gaps, place);
    while (left != NONE && right != NONE) {
        if (rank_of(gaps, left) > rank_of(gaps, right)) {
            *link = left;
            link = &gap_at(gaps, left)->right;
            left = *link;
        } else {
            *link = right;
            link = &gap_at(gaps, right)->left;
            right = *link;
        }
    }
    *link = left != NONE ? left : right;
}

bool fmx_gaps_has(const struct fmx_gaps *gaps, uint32_t set, uint64_t number)
{
    while (set != NONE) {
        const struct fmx_gap *gap = gap_at(gaps, set);
        if (number < first_of(gap)) {
            set = gap->left;
        } else if (number >= end_of(gap)) {
            set = gap->right;
        } else {
            return true;
        }
    }
    return false;
}

void fmx_gaps_take(struct fmx_gaps *gaps, uint32_t *set, uint64_t number)
{
    uint32_t *link = set;
    struct fmx_gap *gap;

    for (;;) {
        FMX_ASSERT(*link != NONE);
        gap = gap_at(gaps, *link);
        if (number < first_of(gap)) {
            link = &gap->left;
        } else if (number >= end_of(gap)) {
            link = &gap->right;
        } else {
            break;
        }
    }
    uint64_t first = first_of(gap);
    uint64_t end = end_of(gap);
    if (end - first == 1) {
        remove_at(gaps, link);
    } else if (number == first) {
        set_first(gap, first + 1);
    } else {
        set_end(gap, number);
        if (number + 1 < end) {
            fmx_gaps_add(gaps, set, number + 1, end);
        }
    }
}

/* What hangs to the left is turned up, until the first range is on top. */
uint64_t fmx_gaps_drain(struct fmx_gaps *gaps, uint32_t *set, uint64_t end, uint64_t *out_beyond)
{
    uint32_t top = *set;
    uint64_t count = 0;

    *out_beyond = 0;
    while (top != NONE) {
        struct fmx_gap *gap = gap_at(gaps, top);
        uint32_t next = gap->left;
        if (next != NONE) {
            gap->left = gap_at(gaps, next)->right;
            gap_at(gaps, next)->right = top;
        } else {
            uint64_t last = end_of(gap) < end ? end_of(gap) : end;
            uint64_t below = last > first_of(gap) ? last - first_of(gap) : 0;
            count += below;
            *out_beyond += end_of(gap) - first_of(gap) - below;
            next = gap->right;
            give_place(gaps, top);
        }
        top = next;
    }
    *set = NONE;
    return count;
}

uint64_t fmx_gaps_count(const struct fmx_gaps *gaps, uint32_t set, uint64_t first, uint64_t end)
{
    uint64_t count = 0;

    while (set != NONE) {
        const struct fmx_gap *gap = gap_at(gaps, set);
        if (end_of(gap) <= first) {
            set = gap->right;
        } else if (first_of(gap) >= end) {
            set = gap->left;
        } else {
            uint64_t from = first_of(gap) > first ? first_of(gap) : first;
            uint64_t last = end_of(gap) < end ? end_of(gap) : end;
            count += last - from + fmx_gaps_count(gaps, gap->left, first, end);
            set = gap->right;
        }
    }
    return count;
}

/* What fmx_gaps_drain does, of one range. */
bool fmx_gaps_pop(struct fmx_gaps *gaps, uint32_t *set, uint64_t *out_first, uint64_t *out_end)
{
    uint32_t top = *set;

    if (top == NONE) {
        return false;
    }
    struct fmx_gap *gap = gap_at(gaps, top);
    for (uint32_t next = gap->left; next != NONE; next = gap->left) {
        gap->left = gap_at(gaps, next)->right;
        gap_at(gaps, next)->right = top;
        top = next;
        gap = gap_at(gaps, top);
    }
    *out_first = first_of(gap);
    *out_end = end_of(gap);
    *set = gap->right;
    give_place(gaps, top);
    return true;
}

/* ── invariants ── */

uint64_t fmx_gaps_check(const struct fmx_gaps *gaps, uint32_t set)
{
    if (set == NONE) {
        return 0;
    }
    const struct fmx_gap *gap = gap_at(gaps, set);
    FMX_ASSERT(set < gaps->used && first_of(gap) < end_of(gap));
    if (gap->left != NONE) {
        FMX_ASSERT(rank_of(gaps, gap->left) <= rank_of(gaps, set));
        FMX_ASSERT(end_of(gap_at(gaps, gap->left)) <= first_of(gap));
    }
    if (gap->right != NONE) {
        FMX_ASSERT(rank_of(gaps, gap->right) <= rank_of(gaps, set));
        FMX_ASSERT(first_of(gap_at(gaps, gap->right)) >= end_of(gap));
    }
    return end_of(gap) - first_of(gap) + fmx_gaps_check(gaps, gap->left) +
           fmx_gaps_check(gaps, gap->right);
}
