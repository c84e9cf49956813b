/*
 * topic — names and filters: what is valid, what matches, and a hash for tables of them
 *
 * Why it is so:   every PUBLISH asks these questions at least once, so nothing is split into levels
 *                 beforehand and nothing is allocated: matching walks filter and name side by side.
 *                 A valid name contains no wildcard; hence where eight bytes of both are equal,
 *                 those of the filter are literal too, and whole words can be skipped without
 *                 looking for `+`, `#` or `/` in them.
 *                 The hash is our own and not one of the well-known ones with fixed constants: a
 *                 peer chooses the topics, so each word meets a key that is derived from the
 *                 table's seed before it is multiplied. Two topics that collide under one seed are
 *                 strangers under the next.
 * Words:          level: what stands between slashes, perhaps nothing; wildcard: `+`, one level, or
 *                 `#`, all that is left, the parent included
 * Invariants:     (1) matching and walking are asked of valid topics only; invalid ones give some
 *                 answer but never a read outside the slices  (2) the same bytes and the same seed
 *                 hash alike wherever they lie, whatever their alignment
 * Memory:         owns nothing; every slice given back lies within the one that was given
 * Threads:        pure
 * Limits:         65,535 bytes (the length field of MQTT); how many levels is session.c's business
 * Not here:       whose topic it is and who may use it: dialect.c; who subscribed: engine/router.c
 */
#include "proto/topic.h"

#include "proto/limits.h"
#include "proto/utf8.h"

#define EVERY_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

static_assert((('#' ^ '+') & (('#' ^ '+') - 1)) == 0, "is_plain_name masks one bit out");

static uint64_t load64(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static bool contains(fmx_slice text, uint8_t byte)
{
    return text.bytes > 0 && memchr(text.data, byte, text.bytes) != NULL;
}

static bool has_topic_length(fmx_slice topic)
{
    return topic.bytes >= 1 && topic.bytes <= FMX_STRING_BYTES_MAX;
}

bool fmx_topic_has_wildcard(fmx_slice filter)
{
    return contains(filter, '+') || contains(filter, '#');
}

/* The top bit of the lowest zero byte is set, and none if there is no zero byte. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - EVERY_BYTE(0x01)) & ~word & EVERY_BYTE(0x80);
}

/*
 * ASCII without zero and wildcards? Eight bytes at a time, the last eight perhaps twice. `#` and
 * `+` differ in one bit, which is masked out.
 */
static bool is_plain_name(fmx_slice topic)
{
    const uint64_t same = (uint64_t)~EVERY_BYTE('#' ^ '+');
    uint64_t found = 0;

    for (size_t at = 0; at < topic.bytes; at += 8) {
        uint64_t word = load64(topic.data + (at + 8 <= topic.bytes ? at : topic.bytes - 8));
        found |= (word & EVERY_BYTE(0x80)) | zero_bytes(word) |
                 zero_bytes((word ^ EVERY_BYTE('#')) & same);
    }
    return found == 0;
}

enum fmx_status fmx_topic_check_name(fmx_slice topic)
{
    if (!has_topic_length(topic)) {
        return FMX_PEER_TOPIC_NAME;
    }
    if (topic.bytes >= 8 && is_plain_name(topic)) {
        return FMX_OK;
    }
    if (!fmx_utf8_is_valid(topic)) {
        return FMX_PEER_UTF8;
    }
    return fmx_topic_has_wildcard(topic) ? FMX_PEER_TOPIC_NAME : FMX_OK;
}

/* One level of a filter: a wildcard stands alone, and `#` only at the very end. */
static bool is_filter_level(fmx_slice level, bool is_last)
{
    if (level.bytes == 1 && level.data[0] == '+') {
        return true;
    }
    if (level.bytes == 1 && level.data[0] == '#') {
        return is_last;
    }
    return !fmx_topic_has_wildcard(level);
}

enum fmx_status fmx_topic_check_filter(fmx_slice filter)
{
    struct fmx_topic_walk walk = fmx_topic_walk_of(filter);
    fmx_slice level;

    if (!has_topic_length(filter)) {
        return FMX_PEER_TOPIC_FILTER;
    }
    if (!fmx_utf8_is_valid(filter)) {
        return FMX_PEER_UTF8;
    }
    while (fmx_topic_next_level(&walk, &level)) {
        if (!is_filter_level(level, walk.ended)) {
            return FMX_PEER_TOPIC_FILTER;
        }
    }
    return FMX_OK;
}

bool fmx_topic_is_shared(fmx_slice filter)
{
    static const char prefix[] = "$share/";
    const size_t bytes = sizeof prefix - 1;

    return filter.bytes >= bytes && memcmp(filter.data, prefix, bytes) == 0;
}

/*
 * How many of the eight bytes are slashes: those that become zero, found without a carry between.
 */
static size_t count_slashes(uint64_t word)
{
    const uint64_t low_bits = 0x7f7f7f7f7f7f7f7fu;

    word ^= EVERY_BYTE('/');
    word = ~(((word & low_bits) + low_bits) | word | low_bits);
    return (size_t)(((word >> 7) * EVERY_BYTE(1)) >> 56);
}

size_t fmx_topic_levels(fmx_slice topic)
{
    size_t levels = 1;
    size_t at = 0;

    for (; topic.bytes - at >= 8; at += 8) {
        levels += count_slashes(load64(topic.data + at));
    }
    for (; at < topic.bytes; at++) {
        levels += topic.data[at] == '/';
    }
    return levels;
}

bool fmx_topic_next_level(struct fmx_topic_walk *walk, fmx_slice *out_level)
{
    const uint8_t *slash;

    if (walk->ended) {
        return false;
    }
    *out_level = walk->rest;
    slash = walk->rest.bytes > 0 ? memchr(walk->rest.data, '/', walk->rest.bytes) : NULL;
    if (slash == NULL) {
        walk->ended = true;
        return true;
    }
    out_level->bytes = (size_t)(slash - walk->rest.data);
    walk->rest.data = slash + 1;
    walk->rest.bytes -= out_level->bytes + 1;
    return true;
}

/* Filter and name, each from where the walk stands to its end. */
struct pair {
    const uint8_t *filter;
    const uint8_t *filter_end;
    const uint8_t *name;
    const uint8_t *name_end;
};

/* Steps over what is equal in both; stops before a wildcard, a difference or an end. */
static void skip_equal(struct pair *at)
{
    while (at->filter_end - at->filter >= 8 && at->name_end - at->name >= 8 &&
           load64(at->filter) == load64(at->name)) {
        at->filter += 8;
        at->name += 8;
    }
    while (at->filter < at->filter_end && at->name < at->name_end && *at->filter == *at->name) {
        at->filter++;
        at->name++;
    }
}

static void skip_level(struct pair *at)
{
    size_t left = (size_t)(at->name_end - at->name);
    const uint8_t *slash = left > 0 ? memchr(at->name, '/', left) : NULL;

    at->filter++;
    at->name = slash != NULL ? slash : at->name_end;
}

/*
 * The name is used up: then nothing may be left of the filter but a "/#", which names the parent.
 */
static bool is_filter_done(const struct pair *at)
{
    size_t left = (size_t)(at->filter_end - at->filter);

    return left == 0 || (left == 2 && at->filter[0] == '/' && at->filter[1] == '#');
}

bool fmx_topic_matches(fmx_slice filter, fmx_slice name)
{
    if (filter.bytes == 0 || name.bytes == 0) {
        return false;
    }
    if (name.data[0] == '$' && (filter.data[0] == '+' || filter.data[0] == '#')) {
        return false;
    }
    struct pair at = {
        .filter = filter.data,
        .filter_end = filter.data + filter.bytes,
        .name = name.data,
        .name_end = name.data + name.bytes,
    };
    for (;;) {
        skip_equal(&at);
        if (at.filter < at.filter_end && *at.filter == '#') {
            return true;
        }
        if (at.filter == at.filter_end || *at.filter != '+') {
            return at.name == at.name_end && is_filter_done(&at);
        }
        skip_level(&at);
    }
}

fmx_slice fmx_topic_strip_rid(fmx_slice topic)
{
    static const char mark[] = "?_rid=";
    const size_t bytes = sizeof mark - 1;
    const uint8_t *at = topic.bytes > bytes ? memrchr(topic.data, '?', topic.bytes) : NULL;

    if (at == NULL) {
        return topic;
    }
    fmx_slice tail = {.data = at, .bytes = topic.bytes - (size_t)(at - topic.data)};
    if (tail.bytes > bytes && memcmp(at, mark, bytes) == 0 && !contains(tail, '/')) {
        topic.bytes -= tail.bytes;
    }
    return topic;
}

/* The 128-bit product, both halves folded: every bit of both factors reaches every bit. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* One-to-one and well mixed: makes keys of seeds, however poor, and finishes the hash. */
static uint64_t scramble(uint64_t x)
{
    x ^= x >> 29;
    x *= 0xd1342543de82ef95u;
    x ^= x >> 32;
    x *= 0xaef17502108ef2d9u;
    return x ^ (x >> 29);
}

/* The last 0 … 15 bytes as two words; which of them overlap follows from the length alone. */
static void load_tail(const uint8_t *at, size_t bytes, uint64_t words[2])
{
    uint32_t head;
    uint32_t end;

    words[0] = words[1] = 0;
    if (bytes >= 8) {
        words[0] = load64(at);
        words[1] = load64(at + bytes - 8);
    } else if (bytes >= 4) {
        memcpy(&head, at, sizeof head);
        memcpy(&end, at + bytes - 4, sizeof end);
        words[0] = head;
        words[1] = end;
    } else if (bytes > 0) {
        words[0] = (uint64_t)at[0] << 16 | (uint64_t)at[bytes / 2] << 8 | at[bytes - 1];
    }
}

uint64_t fmx_topic_hash(fmx_slice bytes, uint64_t seed)
{
    const uint64_t key_a = scramble(seed ^ 0x5851f42d4c957f2du);
    const uint64_t key_b = scramble(seed + 0x9e6c63d0876a46afu);
    const uint8_t *at = bytes.data;
    size_t left = bytes.bytes;
    uint64_t state = key_a ^ scramble(bytes.bytes);
    uint64_t tail[2];

    for (; left >= 16; at += 16, left -= 16) {
        state = fold(state ^ load64(at), key_b ^ load64(at + 8)) + key_a;
    }
    load_tail(at, left, tail);
    return scramble(fold(state ^ tail[0], key_b ^ tail[1]) + key_a);
}
