/*
 * dialect_topic — whose a topic of the platform is, what a device may do with it, and call ids
 *
 * Why it is so:   first a topic is taken apart by its root, and product key and device name are
 *                 found where that root has them; only then is it asked whether they are this
 *                 device's. Names, filters and the search for a topic's owner take the same way,
 *                 so they cannot disagree. Filters need no rules of their own to be safe: product
 *                 keys and device names hold no wildcard, so where a filter has one in their place
 *                 it equals nobody's, and all it matches behind them is the device's own. Only the
 *                 level before them (the verb of /ota/device and /shadow, the id of a call) may
 *                 be a wildcard.
 *                 The permissions of system topics are a table of requests: who asks, and that the
 *                 other side answers on the same name with `_reply`, which halves it. A name below
 *                 the device's own `thing/` that the table does not know is allowed both ways: the
 *                 platform adds methods with every SDK, the service behind us knows them and we
 *                 need not, and nobody but that device and the service can see them. In the table a
 *                 filter's wildcards are levels like others; a filter that is no row may match
 *                 anything below its prefix, which is harmless to subscribe to.
 *                 A reply to a call on a topic travels on the request's own name. So who may hear
 *                 the call may answer it; whether it was made is known by its id.
 *                 `/ext/register` and its like name no device: the gateway sends them to the one
 *                 connection that asked. They must never be routed by their name.
 * Words:          family: topics with one root; verb: a level before the product key; tail: what
 *                 follows the device name, with its slash; up: the device publishes, down: it
 *                 subscribes
 * Invariants:     (1) a topic with an owner is foreign to every other device  (2) a filter that is
 *                 not foreign matches no topic that has another owner, and no broadcast of another
 *                 product  (3) slices given back lie within the one that was given
 * Memory:         owns nothing
 * Threads:        pure
 * Limits:         topics that topic.c finds valid, of any length; others get some answer, never a
 *                 read outside. A call within a call is foreign.
 * Not here:       what a valid topic is: topic.c; product classes and their storage, sub-devices
 *                 behind a gateway (asked with their own names): the roles; CONNECT: dialect.c
 */
#include "proto/dialect.h"

#include <fleetmux/private/assert.h>
#include "proto/topic.h"

#define UP   FMX_TOPIC_PUBLISH
#define DOWN FMX_TOPIC_SUBSCRIBE

enum family {
    FAMILY_NONE = 0,
    FAMILY_UNNAMED,   /* /ext/register … */
    FAMILY_SYS,       /* /sys/PK/DN/… */
    FAMILY_OTA,       /* /ota/device/VERB/PK/DN */
    FAMILY_SHADOW,    /* /shadow/VERB/PK/DN */
    FAMILY_NTP,       /* /ext/ntp/PK/DN/… */
    FAMILY_NOTICE,    /* /ext/error/PK/DN */
    FAMILY_SUB,       /* /ext/session/PK/DN/… */
    FAMILY_CALL,      /* /ext/rrpc/ID/TOPIC */
    FAMILY_BROADCAST, /* /broadcast/PK/… */
    FAMILY_CUSTOM,    /* /PK/DN/user/… */
};

/* A topic taken apart. */
struct place {
    enum family family;
    fmx_slice product_key;
    fmx_slice device_name;
    fmx_slice verb; /* of a call: its id */
    fmx_slice tail; /* empty, or with its slash; of a call: its topic */
};

/* ── slices ── */

static bool is_text(fmx_slice slice, const char *text)
{
    return fmx_slice_equal(slice, fmx_slice_of(text));
}

static fmx_slice without_front(fmx_slice slice, size_t bytes)
{
    return (fmx_slice){.data = slice.data + bytes, .bytes = slice.bytes - bytes};
}

static bool has_prefix(fmx_slice slice, const char *text)
{
    size_t bytes = strlen(text);

    return slice.bytes >= bytes && memcmp(slice.data, text, bytes) == 0;
}

/* The next level; what is left keeps its slash, or is empty. */
static fmx_slice cut_level(fmx_slice *rest)
{
    const uint8_t *slash = rest->bytes > 0 ? memchr(rest->data, '/', rest->bytes) : NULL;
    fmx_slice level = *rest;

    if (slash != NULL) {
        level.bytes = (size_t)(slash - rest->data);
    }
    *rest = level.bytes > 0 ? without_front(*rest, level.bytes) : *rest;
    return level;
}

/* The same for "/level…": false if there is no slash, or nothing behind it. */
static bool cut_slash_level(fmx_slice *rest, fmx_slice *out_level)
{
    if (rest->bytes < 2 || rest->data[0] != '/') {
        return false;
    }
    *rest = without_front(*rest, 1);
    *out_level = cut_level(rest);
    return out_level->bytes > 0;
}

/* ── taking apart ── */

static bool is_unnamed(fmx_slice topic)
{
    static const char *const names[] = {"/ext/register", "/ext/regnwl",
                                        "/ext/auth/identity/response"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_text(topic, names[i])) {
            return true;
        }
    }
    return false;
}

static const struct family_row {
    const char *root;
    enum family family;
    bool has_verb;
    bool has_device;
} families[] = {
    {"/sys", FAMILY_SYS, false, true},          {"/ota/device", FAMILY_OTA, true, true},
    {"/shadow", FAMILY_SHADOW, true, true},     {"/ext/ntp", FAMILY_NTP, false, true},
    {"/ext/error", FAMILY_NOTICE, false, true}, {"/ext/session", FAMILY_SUB, false, true},
    {"/ext/rrpc", FAMILY_CALL, true, false},    {"/broadcast", FAMILY_BROADCAST, false, false},
};

/* Under one of the roots this finds no device: a product key is none of them (dialect.c). */
static struct place locate_custom(fmx_slice topic)
{
    struct place place = {.family = FAMILY_CUSTOM, .tail = topic};

    if (!cut_slash_level(&place.tail, &place.product_key) ||
        !cut_slash_level(&place.tail, &place.device_name) || !has_prefix(place.tail, "/user/") ||
        place.tail.bytes == strlen("/user/")) {
        place.family = FAMILY_NONE;
    }
    return place;
}

/* `rest` begins behind the root. */
static struct place locate_in(const struct family_row *row, fmx_slice rest)
{
    struct place place = {.family = row->family};
    bool is_whole = !row->has_verb || cut_slash_level(&rest, &place.verb);

    if (row->family != FAMILY_CALL) {
        is_whole = is_whole && cut_slash_level(&rest, &place.product_key);
    }
    if (row->has_device) {
        is_whole = is_whole && cut_slash_level(&rest, &place.device_name);
    } else {
        is_whole = is_whole && rest.bytes > 1;
    }
    place.tail = rest;
    if (!is_whole) {
        place.family = FAMILY_NONE;
    }
    return place;
}

static struct place locate(fmx_slice topic)
{
    if (is_unnamed(topic)) {
        return (struct place){.family = FAMILY_UNNAMED};
    }
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        size_t bytes = strlen(families[i].root);
        if (has_prefix(topic, families[i].root) && topic.bytes > bytes &&
            topic.data[bytes] == '/') {
            return locate_in(&families[i], without_front(topic, bytes));
        }
    }
    return locate_custom(topic);
}

/* ── permissions of system topics ── */

/* What is asked on a topic, and by whom. `+` is any level. */
static const struct system_topic {
    enum family family;
    uint8_t direction;
    bool has_reply;
    const char *path; /* the tail, or the verb, without slash */
} system_topics[] = {
    {FAMILY_SYS, UP, true, "thing/event/+/post"}, /* of properties too: event/property/post */
    {FAMILY_SYS, UP, true, "thing/event/property/batch/post"},
    {FAMILY_SYS, UP, true, "thing/event/property/history/post"},
    {FAMILY_SYS, DOWN, true, "thing/service/+"},
    {FAMILY_SYS, DOWN, true, "thing/service/property/set"},
    {FAMILY_SYS, DOWN, true, "thing/service/property/get"},
    {FAMILY_SYS, UP, true, "thing/model/up_raw"},
    {FAMILY_SYS, DOWN, true, "thing/model/down_raw"},
    {FAMILY_SYS, UP, true, "thing/property/desired/get"},
    {FAMILY_SYS, UP, true, "thing/property/desired/delete"},
    {FAMILY_SYS, UP, true, "thing/deviceinfo/update"},
    {FAMILY_SYS, UP, true, "thing/deviceinfo/delete"},
    {FAMILY_SYS, UP, true, "thing/dsltemplate/get"},
    {FAMILY_SYS, UP, true, "thing/dynamicTsl/get"},
    {FAMILY_SYS, UP, true, "thing/config/get"},
    {FAMILY_SYS, DOWN, true, "thing/config/push"},
    {FAMILY_SYS, UP | DOWN, true, "thing/config/push_reply"}, /* one SDK subscribes to it, too */
    {FAMILY_SYS, UP, true, "thing/config/log/get"},
    {FAMILY_SYS, DOWN, true, "thing/config/log/push"},
    {FAMILY_SYS, UP, true, "thing/log/post"},
    {FAMILY_SYS, UP, true, "thing/ota/firmware/get"},
    {FAMILY_SYS, UP, true, "thing/job/get"},
    {FAMILY_SYS, UP, true, "thing/job/update"},
    {FAMILY_SYS, DOWN, true, "thing/job/notify"},
    {FAMILY_SYS, DOWN, true, "thing/bootstrap/notify"},
    {FAMILY_SYS, DOWN, true, "thing/secure_tunnel/notify"},
    {FAMILY_SYS, UP, true, "thing/reset"},
    {FAMILY_SYS, UP, true, "thing/topo/add"},
    {FAMILY_SYS, UP, true, "thing/topo/delete"},
    {FAMILY_SYS, UP, true, "thing/topo/get"},
    {FAMILY_SYS, DOWN, true, "thing/topo/add/notify"},
    {FAMILY_SYS, DOWN, true, "thing/topo/change"},
    {FAMILY_SYS, UP, true, "thing/sub/register"},
    {FAMILY_SYS, UP, true, "thing/sub/unregister"},
    {FAMILY_SYS, UP, true, "thing/proxy/provisioning/product_register"},
    {FAMILY_SYS, UP, true, "thing/list/found"},
    {FAMILY_SYS, DOWN, true, "thing/gateway/permit"},
    {FAMILY_SYS, DOWN, true, "thing/disable"},
    {FAMILY_SYS, DOWN, true, "thing/enable"},
    {FAMILY_SYS, DOWN, true, "thing/delete"},
    {FAMILY_SYS, DOWN, false, "broadcast/request/+"},
    {FAMILY_OTA, UP, false, "inform"},
    {FAMILY_OTA, UP, false, "progress"},
    {FAMILY_OTA, UP, false, "request"},
    {FAMILY_OTA, DOWN, false, "upgrade"},
    {FAMILY_SHADOW, UP, false, "update"},
    {FAMILY_SHADOW, DOWN, false, "get"},
    {FAMILY_NTP, UP, false, "request"},
    {FAMILY_NTP, DOWN, false, "response"},
    {FAMILY_NOTICE, DOWN, false, "error"},
    {FAMILY_SUB, UP, true, "combine/login"},
    {FAMILY_SUB, UP, true, "combine/logout"},
    {FAMILY_SUB, UP, true, "combine/batch_login"},
    {FAMILY_SUB, UP, true, "combine/batch_logout"},
};

/* The row of this path, or NULL. */
static const struct system_topic *find_row(enum family family, fmx_slice path)
{
    for (size_t i = 0; i < sizeof system_topics / sizeof system_topics[0]; i++) {
        if (system_topics[i].family == family &&
            fmx_topic_matches(fmx_slice_of(system_topics[i].path), path)) {
            return &system_topics[i];
        }
    }
    return NULL;
}

/* UP, DOWN, both, or 0 for what the table does not know. */
static unsigned find_direction(enum family family, fmx_slice path)
{
    const size_t reply_bytes = strlen("_reply");
    const struct system_topic *row = find_row(family, path);
    fmx_slice request = path;

    if (row != NULL && is_text(path, row->path)) {
        return row->direction;
    }
    if (path.bytes > reply_bytes &&
        memcmp(path.data + path.bytes - reply_bytes, "_reply", reply_bytes) == 0) {
        request.bytes -= reply_bytes;
        row = find_row(family, request);
        if (row != NULL && row->has_reply) {
            return row->direction == UP ? DOWN : UP;
        }
    }
    row = find_row(family, path);
    return row != NULL ? row->direction : 0;
}

static fmx_slice path_of(const struct place *place)
{
    switch (place->family) {
    case FAMILY_SYS:
    case FAMILY_NTP:
    case FAMILY_SUB:
        return place->tail.bytes > 0 ? without_front(place->tail, 1) : place->tail;
    case FAMILY_OTA:
    case FAMILY_SHADOW:
        return place->tail.bytes == 0 ? place->verb : place->tail;
    case FAMILY_NOTICE:
        return place->tail.bytes == 0 ? fmx_slice_of("error") : place->tail;
    default:
        return (fmx_slice){0};
    }
}

static bool has_wildcard(const struct place *place)
{
    return fmx_topic_has_wildcard(place->verb) || fmx_topic_has_wildcard(place->tail);
}

/* ── names and filters ── */

/* `path` follows "rrpc/": request/ID, response/ID, or of a filter something wider. */
static struct fmx_dialect_topic rrpc_topic(fmx_slice path)
{
    struct fmx_dialect_topic topic = {.use = FMX_USE_RRPC};
    bool is_wild = fmx_topic_has_wildcard(path);
    fmx_slice direction = cut_level(&path);
    bool has_id = cut_slash_level(&path, &topic.message_id) && path.bytes == 0;

    topic.may_publish = has_id && is_text(direction, "response");
    topic.may_subscribe = !is_text(direction, "response") && /* hence perhaps a request */
                          (is_wild || (has_id && is_text(direction, "request")));
    return topic;
}

/* Of a family whose topics have fixed permissions; it is known to be this device's. */
static struct fmx_dialect_topic system_topic(const struct place *place)
{
    struct fmx_dialect_topic topic = {.use = FMX_USE_SYSTEM};
    fmx_slice path = path_of(place);
    unsigned direction = find_direction(place->family, path);

    if (place->family == FAMILY_SYS && has_prefix(path, "rrpc/")) {
        return rrpc_topic(without_front(path, strlen("rrpc/")));
    }
    if (place->family == FAMILY_NTP) {
        topic.use = FMX_USE_NTP;
    }
    if (place->family == FAMILY_SYS && has_prefix(path, "thing/") &&
        path.bytes > strlen("thing/")) {
        topic.use = FMX_USE_THING;
        topic.rest = path;
        direction = direction != 0 ? direction : UP | DOWN;
    }
    if (direction == 0 && has_wildcard(place)) {
        direction = DOWN;
    }
    topic.may_publish = (direction & UP) != 0;
    topic.may_subscribe = (direction & DOWN) != 0;
    return topic;
}

static struct fmx_dialect_topic custom_topic(const struct place *place)
{
    return (struct fmx_dialect_topic){
        .use = FMX_USE_CUSTOM,
        .may_publish = true,
        .may_subscribe = true,
        .rest = without_front(place->tail, 1),
    };
}

/* Of any family but calls. */
static struct fmx_dialect_topic plain_topic(const struct place *place, fmx_slice product_key,
                                            fmx_slice device_name)
{
    bool is_product = fmx_slice_equal(place->product_key, product_key);
    bool is_device = is_product && fmx_slice_equal(place->device_name, device_name);

    if (place->family == FAMILY_UNNAMED) {
        return (struct fmx_dialect_topic){.use = FMX_USE_SYSTEM, .may_subscribe = true};
    }
    if (place->family == FAMILY_BROADCAST && is_product) {
        return (struct fmx_dialect_topic){.use = FMX_USE_BROADCAST,
                                          .may_subscribe = !has_wildcard(place)};
    }
    if (place->family == FAMILY_NONE || place->family == FAMILY_BROADCAST || !is_device) {
        return (struct fmx_dialect_topic){.use = FMX_USE_FOREIGN};
    }
    return place->family == FAMILY_CUSTOM ? custom_topic(place) : system_topic(place);
}

/* Calls are made on custom topics and on those below /sys that are not calls themselves. */
static struct fmx_dialect_topic call_topic(const struct place *place, fmx_slice product_key,
                                           fmx_slice device_name)
{
    struct fmx_dialect_topic topic = {.use = FMX_USE_FOREIGN};
    struct place called = locate(place->tail);

    if (called.family == FAMILY_CUSTOM || called.family == FAMILY_SYS) {
        topic = plain_topic(&called, product_key, device_name);
    }
    if (topic.use == FMX_USE_FOREIGN || topic.use == FMX_USE_RRPC) {
        return (struct fmx_dialect_topic){.use = FMX_USE_FOREIGN};
    }
    topic.use = FMX_USE_RRPC_CUSTOM;
    topic.may_publish = topic.may_subscribe;
    topic.rest = place->tail;
    topic.message_id = place->verb;
    return topic;
}

struct fmx_dialect_topic fmx_dialect_topic_name(fmx_slice name, fmx_slice product_key,
                                                fmx_slice device_name)
{
    struct place place = locate(name);

    return place.family == FAMILY_CALL ? call_topic(&place, product_key, device_name)
                                       : plain_topic(&place, product_key, device_name);
}

struct fmx_dialect_topic fmx_dialect_topic_filter(fmx_slice filter, fmx_slice product_key,
                                                  fmx_slice device_name)
{
    struct fmx_dialect_topic topic = fmx_dialect_topic_name(filter, product_key, device_name);

    topic.may_publish = false;
    return topic;
}

bool fmx_dialect_is_auto(fmx_slice name, fmx_slice product_key, fmx_slice device_name,
                         bool auto_subscribe, uint32_t ext)
{
    struct fmx_dialect_topic topic = fmx_dialect_topic_name(name, product_key, device_name);
    enum family family = locate(name).family;

    if (!topic.may_subscribe) {
        return false;
    }
    switch (topic.use) {
    case FMX_USE_SYSTEM:
        return auto_subscribe || family == FAMILY_UNNAMED ||
               (family == FAMILY_NOTICE && (ext & FMX_EXT_NOTIFY) != 0);
    case FMX_USE_NTP:
    case FMX_USE_RRPC:
    case FMX_USE_THING:
        return auto_subscribe;
    case FMX_USE_RRPC_CUSTOM:
        return auto_subscribe && (ext & FMX_EXT_RRPC) != 0 &&
               locate(topic.rest).family != FAMILY_CUSTOM;
    case FMX_USE_CUSTOM:
    case FMX_USE_BROADCAST:
    case FMX_USE_FOREIGN:
        return false;
    }
    return false;
}

bool fmx_dialect_topic_owner(fmx_slice name, fmx_slice *out_product_key, fmx_slice *out_device_name)
{
    struct place place = locate(name);

    if (place.family == FAMILY_CALL) {
        place = locate(place.tail);
        if (place.family != FAMILY_SYS && place.family != FAMILY_CUSTOM) {
            return false;
        }
    }
    *out_product_key = place.product_key;
    *out_device_name = place.device_name;
    return fmx_dialect_product_key_fault(place.product_key) == NULL &&
           fmx_dialect_device_name_fault(place.device_name) == NULL &&
           place.family != FAMILY_NONE && place.family != FAMILY_BROADCAST;
}

/* ── a product's topic classes ── */

static bool has_empty_level(fmx_slice topic)
{
    struct fmx_topic_walk walk = fmx_topic_walk_of(topic);
    fmx_slice level;

    while (fmx_topic_next_level(&walk, &level)) {
        if (level.bytes == 0) {
            return true;
        }
    }
    return false;
}

const char *fmx_dialect_topic_class_fault(fmx_slice topic_class, unsigned permission)
{
    if (topic_class.bytes > FMX_TOPIC_CLASS_BYTES_MAX) {
        return "topic class: too long; use at most 128 bytes";
    }
    if (!has_prefix(topic_class, "user/") || has_empty_level(topic_class)) {
        return "topic class: use user/ and one level or more, none of them empty";
    }
    if (fmx_topic_check_filter(topic_class) != FMX_OK) {
        return "topic class: use UTF-8, + as a whole level, # as the whole last level";
    }
    if (permission < UP || permission > (UP | DOWN)) {
        return "topic class: unknown permission; use publish, subscribe, or both";
    }
    if ((permission & UP) != 0 && fmx_topic_has_wildcard(topic_class)) {
        return "topic class: one with a wildcard is for subscribing only";
    }
    return NULL;
}

/* Does the filter match nothing that the class does not? Level by level, from equal depth. */
static bool covers_filter(fmx_slice topic_class, fmx_slice filter)
{
    struct fmx_topic_walk of_class = fmx_topic_walk_of(topic_class);
    struct fmx_topic_walk of_filter = fmx_topic_walk_of(filter);
    fmx_slice wide = {0};
    fmx_slice narrow = {0};

    for (;;) {
        bool has_wide = fmx_topic_next_level(&of_class, &wide);
        bool has_narrow = fmx_topic_next_level(&of_filter, &narrow);
        if (has_wide && is_text(wide, "#")) {
            return true; /* all below, and the level above */
        }
        if (!has_wide || !has_narrow) {
            return has_wide == has_narrow;
        }
        if (is_text(narrow, "#") || (!is_text(wide, "+") && !fmx_slice_equal(wide, narrow))) {
            return false;
        }
    }
}

bool fmx_dialect_topic_class_covers(fmx_slice topic_class, fmx_slice rest, bool is_filter)
{
    return is_filter ? covers_filter(topic_class, rest) : fmx_topic_matches(topic_class, rest);
}

/* ── calls ── */

#define RRPC_ID_LEAST 1000000000000000000u

void fmx_dialect_rrpc_id_write(uint64_t id, uint8_t out[FMX_RRPC_ID_BYTES])
{
    FMX_ASSERT(id >= RRPC_ID_LEAST && id <= INT64_MAX);
    for (size_t i = FMX_RRPC_ID_BYTES; i-- > 0; id /= 10) {
        out[i] = (uint8_t)('0' + id % 10);
    }
}

bool fmx_dialect_rrpc_id_read(fmx_slice digits, uint64_t *out_id)
{
    uint64_t id = 0;

    if (digits.bytes != FMX_RRPC_ID_BYTES) {
        return false;
    }
    for (size_t i = 0; i < FMX_RRPC_ID_BYTES; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') {
            return false;
        }
        id = 10 * id + (uint64_t)(digits.data[i] - '0'); /* 19 nines fit */
    }
    *out_id = id;
    return id >= RRPC_ID_LEAST && id <= INT64_MAX;
}
