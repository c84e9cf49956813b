/*
 * topic.h — topic names and filters: what is valid, what matches (MQTT 5.0, 4.7)
 */
#ifndef PROTO_TOPIC_H
#define PROTO_TOPIC_H

#include <fleetmux/error.h>
#include <fleetmux/types.h>

/*
 * A topic name: 1 … 65,535 bytes of valid UTF-8 without U+0000, `+` and `#`. FMX_OK, FMX_PEER_UTF8
 * or FMX_PEER_TOPIC_NAME.
 */
enum fmx_status fmx_topic_check_name(fmx_slice topic) FMX_MUST_USE;

/*
 * A topic filter: 1 … 65,535 bytes of valid UTF-8, `+` only as a whole level, `#` only as the whole
 * last level. "$share/…" passes here; see fmx_topic_is_shared. FMX_OK, FMX_PEER_UTF8 or
 * FMX_PEER_TOPIC_FILTER.
 */
enum fmx_status fmx_topic_check_filter(fmx_slice filter) FMX_MUST_USE;

/* Has the (valid) filter a wildcard? */
bool fmx_topic_has_wildcard(fmx_slice filter);

/* Does the filter begin with "$share/"? */
bool fmx_topic_is_shared(fmx_slice filter);

/* Number of levels, i.e. slashes + 1. */
size_t fmx_topic_levels(fmx_slice topic);

/* A walk over levels. `ended` tells an empty last level, still to come, from the end. */
struct fmx_topic_walk {
    fmx_slice rest;
    bool ended;
};

static inline struct fmx_topic_walk fmx_topic_walk_of(fmx_slice topic)
{
    return (struct fmx_topic_walk){.rest = topic};
}

/*
 * Cuts the next level off the front of what is left; false at the end. "a//b" has three levels, the
 * second empty. After the last level `ended` is true.
 */
bool fmx_topic_next_level(struct fmx_topic_walk *walk, fmx_slice *out_level);

/*
 * Does the valid name match the valid filter? A filter that begins with a wildcard does not match
 * a name that begins with `$` (4.7.2). "a/#" matches "a".
 */
bool fmx_topic_matches(fmx_slice filter, fmx_slice name);

/*
 * The topic without a trailing "?_rid=…" (tracing suffix of some device SDKs): something has to
 * follow the sign, but no further level.
 */
fmx_slice fmx_topic_strip_rid(fmx_slice topic);

/* A well-mixed 64-bit hash of bytes, for tables in this process only. Seeded by the caller. */
uint64_t fmx_topic_hash(fmx_slice bytes, uint64_t seed);

#endif
