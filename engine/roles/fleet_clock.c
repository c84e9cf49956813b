/*
 * fleet_clock — when what is planned is due: a clock whose rate changes over time
 *
 * Why it is so:   people turn the rate while a fleet runs, and stages let it grow. If each flow
 *                 carried its next real time, every change would have to be worked into all of
 *                 them, each at another moment. So flows keep times on this clock, and what a
 *                 change costs is one piece more here, for all of them at the same instant
 * Words:          unit: what the clock counts; piece: a stretch of real time with one straight line
 *                 of rates
 * Invariants:     (1) pieces begin in order, in real time and in units  (2) a piece never changes
 *                 once it is counted; chunks never move
 * Memory:         chunks of 64 pieces, made as needed
 * Threads:        one adds: a piece is stored before the count that covers it (release), and read
 *                 after it (acquire); any read
 * Limits:         262,144 pieces; times to 2^53 ns after a piece began are exact to a unit. A clock
 *                 ends at 2^63 units: in 2.5 hours at a million times the rate, else never
 */
#include "engine/roles/fleet_clock.h"

#include <fleetmux/private/assert.h>
#include <math.h>
#include <stdlib.h>

#define UNITS_MAX (1ull << 63)

static const struct fmx_clock_piece *piece_at(const struct fmx_fleet_clock *clock, uint32_t index)
{
    return &clock->chunks[index / FMX_CLOCK_CHUNK_PIECES][index % FMX_CLOCK_CHUNK_PIECES];
}

static uint32_t count_of(const struct fmx_fleet_clock *clock)
{
    return atomic_load_explicit(&clock->pieces_count, memory_order_acquire);
}

void fmx_clock_close(struct fmx_fleet_clock *clock)
{
    for (uint32_t i = 0; i < FMX_CLOCK_CHUNKS_MAX && clock->chunks[i] != NULL; i++) {
        free(clock->chunks[i]);
        clock->chunks[i] = NULL;
    }
}

/* ── a piece ── */

static double rate_after(const struct fmx_clock_piece *piece, uint64_t passed_ns)
{
    if (piece->span_ns == 0) {
        return piece->rate_begin;
    }
    if (passed_ns >= piece->span_ns) {
        return piece->rate_end;
    }
    return piece->rate_begin +
           (piece->rate_end - piece->rate_begin) * (double)passed_ns / (double)piece->span_ns;
}

/* On the clock. The mean rate of a stretch of a straight line is that of its ends. */
static uint64_t units_at(const struct fmx_clock_piece *piece, uint64_t passed_ns)
{
    uint64_t bent_ns = passed_ns < piece->span_ns ? passed_ns : piece->span_ns;
    double mean = (piece->rate_begin + rate_after(piece, bent_ns)) / 2;
    double rest = piece->span_ns == 0 ? piece->rate_begin : piece->rate_end;

    double units = mean * (double)bent_ns + rest * (double)(passed_ns - bent_ns);
    uint64_t left = UNITS_MAX - piece->begin_units;
    return units < (double)left ? piece->begin_units + (uint64_t)units : UNITS_MAX;
}

/* When so many units have gone by: the root of a line, or of a parabola. Negative: never. */
static double time_of(const struct fmx_clock_piece *piece, double units)
{
    double rate = piece->rate_begin;
    double span = (double)piece->span_ns;
    double whole = (piece->rate_begin + piece->rate_end) / 2 * span;

    if (piece->span_ns > 0 && units > whole) {
        return piece->rate_end > 0 ? span + (units - whole) / piece->rate_end : -1;
    }
    if (piece->span_ns > 0 && piece->rate_end != piece->rate_begin) {
        double slope = (piece->rate_end - piece->rate_begin) / span;
        double root = sqrt(fmax(0, rate * rate + 2 * slope * units));
        return rate + root > 0 ? 2 * units / (rate + root) : 0; /* stable also if it slows down */
    }
    return rate > 0 ? units / rate : units > 0 ? -1 : 0;
}

/* ── adding ── */

static enum fmx_status make_room(struct fmx_fleet_clock *clock, uint32_t index)
{
    uint32_t chunk = index / FMX_CLOCK_CHUNK_PIECES;

    if (chunk >= FMX_CLOCK_CHUNKS_MAX) {
        return FMX_FULL;
    }
    if (clock->chunks[chunk] == NULL) {
        clock->chunks[chunk] = calloc(FMX_CLOCK_CHUNK_PIECES, sizeof(struct fmx_clock_piece));
    }
    return clock->chunks[chunk] != NULL ? FMX_OK : FMX_LIMIT_MEMORY;
}

enum fmx_status fmx_clock_add(struct fmx_fleet_clock *clock, const struct fmx_clock_piece *piece)
{
    uint32_t count = atomic_load_explicit(&clock->pieces_count, memory_order_relaxed);
    enum fmx_status status = make_room(clock, count);

    if (status != FMX_OK) {
        return status;
    }
    uint64_t units = fmx_clock_units(clock, piece->begin_ns);
    FMX_ASSERT(count == 0 || piece->begin_ns >= piece_at(clock, count - 1)->begin_ns);
    FMX_ASSERT(piece->rate_begin >= 0 && piece->rate_end >= 0);
    FMX_ASSERT(piece->begin_units <= UNITS_MAX);
    struct fmx_clock_piece *added =
        &clock->chunks[count / FMX_CLOCK_CHUNK_PIECES][count % FMX_CLOCK_CHUNK_PIECES];
    *added = *piece;
    added->begin_units = piece->begin_units > units ? piece->begin_units : units;
    atomic_store_explicit(&clock->pieces_count, count + 1, memory_order_release);
    return FMX_OK;
}

/* ── reading ── */

/* The last piece that has begun by then. Mostly the very last one. */
static const struct fmx_clock_piece *find_by_time(const struct fmx_fleet_clock *clock,
                                                  uint32_t count, uint64_t real_ns)
{
    uint32_t low = 0;
    uint32_t high = count;

    if (count > 0 && piece_at(clock, count - 1)->begin_ns <= real_ns) {
        return piece_at(clock, count - 1);
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (piece_at(clock, middle)->begin_ns <= real_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : piece_at(clock, low - 1);
}

uint64_t fmx_clock_units(const struct fmx_fleet_clock *clock, uint64_t real_ns)
{
    const struct fmx_clock_piece *piece = find_by_time(clock, count_of(clock), real_ns);

    return piece == NULL ? 0 : units_at(piece, real_ns - piece->begin_ns);
}

double fmx_clock_rate(const struct fmx_fleet_clock *clock, uint64_t real_ns)
{
    const struct fmx_clock_piece *piece = find_by_time(clock, count_of(clock), real_ns);

    return piece == NULL ? 0 : rate_after(piece, real_ns - piece->begin_ns);
}

/*
 * The last piece that begins at no more units: the first of those that begin at the same number
 * stands still, so the answer is the moment at which the number was reached.
 */
static uint32_t find_by_units(const struct fmx_fleet_clock *clock, uint32_t count, uint64_t units)
{
    uint32_t low = 0;
    uint32_t high = count;

    if (piece_at(clock, count - 1)->begin_units < units) {
        return count - 1;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (piece_at(clock, middle)->begin_units < units) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? 0 : low - 1;
}

uint64_t fmx_clock_real_ns(const struct fmx_fleet_clock *clock, uint64_t units)
{
    uint32_t count = count_of(clock);

    if (count == 0 || units == FMX_CLOCK_NEVER) {
        return FMX_CLOCK_NEVER;
    }
    uint32_t index = find_by_units(clock, count, units);
    const struct fmx_clock_piece *piece = piece_at(clock, index);
    if (units <= piece->begin_units) {
        return piece->begin_ns;
    }
    double passed_ns = time_of(piece, (double)(units - piece->begin_units));
    bool has_next = index + 1 < count;
    uint64_t next_ns = has_next ? piece_at(clock, index + 1)->begin_ns : FMX_CLOCK_NEVER;
    if (passed_ns < 0 || passed_ns >= (double)(next_ns - piece->begin_ns)) {
        return next_ns; /* a jump, or what a rounding has put behind the next one's begin */
    }
    return piece->begin_ns + (uint64_t)passed_ns;
}
