/*
 * limits_list — the list of limits unfolded: names, ranges, text, and one set laid over another
 *
 * Why it is so:   the list in <fleetmux/limits.h> is the only place where a limit is written down.
 *                 All limits are 32 bits wide and stand in the struct in the list's order, so that
 *                 an index is an offset, and a new row is at once known to files, commands and the
 *                 management interface.
 *                 Errors say name, value and range: whoever reads them has a file or a request
 *                 before them and nothing else.
 * Words:          override: some limits and which they are; unlimited: FMX_UNLIMITED, in text
 *                 `none`
 * Invariants:     (1) no number in text can be taken for FMX_UNLIMITED: the highest range ends one
 *                 below it  (2) an override that an error came from is as it was  (3) what is shown
 *                 of a foreign name or value is printable and cut
 * Memory:         owns nothing; names and words in static storage
 * Threads:        pure
 * Limits:         32 limits, as many as `which` has bits
 * Not here:       what the specification bounds: proto/limits.h; who obeys: session.c, the roles
 */
#include <fleetmux/limits.h>

#include <assert.h>
#include <stdio.h>

#define SHOWN_BYTES 41

static_assert(FMX_LIMITS_COUNT <= 32, "an override has one bit for each limit");
static_assert(sizeof(struct fmx_limits) == FMX_LIMITS_COUNT * sizeof(uint32_t),
              "an index is an offset");

static const struct row {
    const char *name;
    const char *words;
    uint32_t least;
    uint32_t most;
    bool may_be_unlimited;
} rows[] = {
#define ROW(name, least, most, open, platform, may_be_unlimited, words)                            \
    {#name, words, least, most, may_be_unlimited},
    FMX_LIMITS_LIST(ROW)
#undef ROW
};

/* A number instead of a word in text; the index is the value. */
static const char *const over_limit_words[] = {
    [FMX_OVER_LIMIT_DROP] = "drop",
    [FMX_OVER_LIMIT_DELAY] = "delay",
    [FMX_OVER_LIMIT_DISCONNECT] = "disconnect",
};

static bool is_limit(enum fmx_limit limit)
{
    return (unsigned)limit < FMX_LIMITS_COUNT;
}

const char *fmx_limit_name(enum fmx_limit limit)
{
    return is_limit(limit) ? rows[limit].name : "?";
}

const char *fmx_limit_words(enum fmx_limit limit)
{
    return is_limit(limit) ? rows[limit].words : "?";
}

void fmx_limit_range(enum fmx_limit limit, uint32_t *out_least, uint32_t *out_most,
                     bool *out_may_be_unlimited)
{
    *out_least = is_limit(limit) ? rows[limit].least : 0;
    *out_most = is_limit(limit) ? rows[limit].most : 0;
    *out_may_be_unlimited = is_limit(limit) && rows[limit].may_be_unlimited;
}

enum fmx_limit fmx_limit_find(fmx_slice name)
{
    unsigned limit = 0;

    while (limit < FMX_LIMITS_COUNT && !fmx_slice_equal(name, fmx_slice_of(rows[limit].name))) {
        limit++;
    }
    return (enum fmx_limit)limit;
}

uint32_t fmx_limits_get(const struct fmx_limits *limits, enum fmx_limit limit)
{
    uint32_t value = 0;

    if (is_limit(limit)) {
        memcpy(&value, (const char *)limits + (size_t)limit * sizeof value, sizeof value);
    }
    return value;
}

void fmx_limits_set(struct fmx_limits *limits, enum fmx_limit limit, uint32_t value)
{
    if (is_limit(limit)) {
        memcpy((char *)limits + (size_t)limit * sizeof value, &value, sizeof value);
    }
}

/* ── text ── */

/* Foreign text fit for an error: cut, and without what a terminal or a log would obey. */
static const char *show(fmx_slice text, char out[SHOWN_BYTES])
{
    size_t bytes = text.bytes < SHOWN_BYTES - 1 ? text.bytes : SHOWN_BYTES - 1;

    for (size_t i = 0; i < bytes; i++) {
        out[i] = text.data[i] >= ' ' && text.data[i] < 0x7f ? (char)text.data[i] : '?';
    }
    out[bytes] = '\0';
    return out;
}

/* A number in the limit's range. */
static bool read_number(const struct row *row, fmx_slice text, uint32_t *out_value)
{
    uint64_t value = 0;

    if (text.bytes < 1 || text.bytes > 10) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = 10 * value + (uint64_t)(text.data[i] - '0');
    }
    *out_value = (uint32_t)value;
    return value >= row->least && value <= row->most;
}

static bool read_word(enum fmx_limit limit, fmx_slice text, uint32_t *out_value)
{
    if (rows[limit].may_be_unlimited && fmx_slice_equal(text, fmx_slice_of("none"))) {
        *out_value = FMX_UNLIMITED;
        return true;
    }
    for (unsigned i = 0; i < sizeof over_limit_words / sizeof over_limit_words[0]; i++) {
        if (limit == FMX_LIM_over_limit &&
            fmx_slice_equal(text, fmx_slice_of(over_limit_words[i]))) {
            *out_value = i;
            return true;
        }
    }
    return false;
}

static enum fmx_status refuse_value(enum fmx_limit limit, const char *value, char *error,
                                    size_t error_bytes)
{
    const struct row *row = &rows[limit];

    if (limit == FMX_LIM_over_limit) {
        (void)snprintf(error, error_bytes, "%s: '%s' will not do; use drop, delay or disconnect",
                       row->name, value);
    } else {
        (void)snprintf(error, error_bytes, "%s: '%s' will not do; use %u to %u%s", row->name, value,
                       (unsigned)row->least, (unsigned)row->most,
                       row->may_be_unlimited ? ", or none" : "");
    }
    return FMX_E_OPTION;
}

enum fmx_status fmx_limits_override_set(struct fmx_limits_override *override, fmx_slice name,
                                        fmx_slice value, char *error, size_t error_bytes)
{
    enum fmx_limit limit = fmx_limit_find(name);
    char shown[SHOWN_BYTES];
    uint32_t number;

    if (!is_limit(limit)) {
        (void)snprintf(error, error_bytes, "'%s' is no limit", show(name, shown));
        return FMX_E_OPTION;
    }
    if (!read_word(limit, value, &number) && !read_number(&rows[limit], value, &number)) {
        return refuse_value(limit, show(value, shown), error, error_bytes);
    }
    fmx_limits_set(&override->limits, limit, number);
    override->which |= UINT32_C(1) << limit;
    return FMX_OK;
}

void fmx_limits_apply(struct fmx_limits *limits, const struct fmx_limits_override *override)
{
    for (unsigned i = 0; i < FMX_LIMITS_COUNT; i++) {
        if ((override->which >> i & 1) != 0) {
            fmx_limits_set(limits, (enum fmx_limit)i,
                           fmx_limits_get(&override->limits, (enum fmx_limit)i));
        }
    }
}

/* ── a whole set ── */

static bool is_in_range(const struct row *row, uint32_t value)
{
    return (value >= row->least && value <= row->most) ||
           (row->may_be_unlimited && value == FMX_UNLIMITED);
}

/* Limits that bound the same thing from both sides. */
static const struct {
    enum fmx_limit least;
    enum fmx_limit most;
} pairs[] = {
    {FMX_LIM_keepalive_min_s, FMX_LIM_keepalive_max_s},
    {FMX_LIM_call_timeout_min_ms, FMX_LIM_call_timeout_max_ms},
};

static enum fmx_status check_pairs(const struct fmx_limits *limits, char *error, size_t error_bytes)
{
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        uint32_t least = fmx_limits_get(limits, pairs[i].least);
        uint32_t most = fmx_limits_get(limits, pairs[i].most);
        if (least > most) {
            (void)snprintf(error, error_bytes, "%s (%u) is above %s (%u)",
                           rows[pairs[i].least].name, (unsigned)least, rows[pairs[i].most].name,
                           (unsigned)most);
            return FMX_E_OPTION;
        }
    }
    return FMX_OK;
}

enum fmx_status fmx_limits_check(const struct fmx_limits *limits, char *error, size_t error_bytes)
{
    char digits[SHOWN_BYTES];

    for (unsigned i = 0; i < FMX_LIMITS_COUNT; i++) {
        uint32_t value = fmx_limits_get(limits, (enum fmx_limit)i);
        if (!is_in_range(&rows[i], value)) {
            (void)snprintf(digits, sizeof digits, "%u", (unsigned)value);
            return refuse_value((enum fmx_limit)i, digits, error, error_bytes);
        }
    }
    return check_pairs(limits, error, error_bytes);
}
