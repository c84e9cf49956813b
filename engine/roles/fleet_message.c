/*
 * fleet_message — what stands in a message, and what is read from one
 *
 * Why it is so:   a message says who sent it, which one of his it is, when it was to leave and when
 *                 it left, so that whoever receives it can tell loss and delay, and whose delay it
 *                 is. All this is one run of bytes, the mark, the same in front of a payload and,
 *                 as hex digits, within a text, so that a receiver need not know what was sent.
 *                 Numbers in marks have no holes: what was skipped has no number, or receivers in
 *                 other processes would miss it.
 *                     What differs between two messages is written into one buffer and few fields
 *                 of one message; a topic stays until another client's is needed: a burst fills it
 *                 in once, as it does the names in its texts
 * Words:          mark: 32 bytes, see fleet.h; post: Alink JSON that a device reports its
 *                 properties with; origin: of a mark, a machine since its start (upper half) and a
 *                 run
 * Invariants:     (1) `letters` holds letters behind its first 32 bytes, always  (2) a hash is made
 *                 of nothing that another run, or another number of shards, would have otherwise
 * Memory:         two buffers, each for the longest payload of its kind, and correlation data, for
 *                 each shard; user properties, encoded once, are the team's
 * Threads:        owning shard; the mark's functions are pure
 * Limits:         a post has at least POST_BYTES_MIN bytes; a mark in a text is looked for in its
 *                 first MARK_LOOK_BYTES; lateness of 2^48 ns (78 h) and more counts as that
 * Not here:       when a message leaves: fleet_flow.c; texts: fleet_payload.c
 */
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_message.h"
#include "engine/roles/fleet_payload.h"
#include "engine/roles/fleet_request.h"

#include "proto/topic.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define MARK_MAGIC      0x666d7832u /* "fmx2" */
#define MAGIC_DIGITS    "666d7832"
#define MARK_LOOK_BYTES 65536u
#define MARK_MOST       ((1ull << 48) - 1)
#define NAMES_COUNT     4u /* of a client: id, user name, product key, device name */

#define POST_BEGIN       "{\"id\":\""
#define POST_BEFORE      "\",\"version\":\"1.0\",\"params\":{\"mark\":\""
#define POST_BEHIND      "\",\"pad\":\""
#define POST_END         "\"},\"method\":\"thing.event.property.post\"}"
#define POST_REPLY       "/thing/event/property/post_reply"
#define DIGITS_MAX       20u /* of a number of 64 bits */
#define TEXT_BYTES(text) (sizeof(text) - 1)
#define POST_BYTES_MIN                                                                             \
    (TEXT_BYTES(POST_BEGIN) + DIGITS_MAX + TEXT_BYTES(POST_BEFORE) + FMX_MARK_DIGITS +             \
     TEXT_BYTES(POST_BEHIND) + TEXT_BYTES(POST_END))

struct fmx_fleet_making {
    uint8_t *letters;     /* made payloads */
    uint8_t *work;        /* texts and posts */
    uint8_t *correlation; /* letters, too, behind its first 8 bytes */
    uint64_t **hashes;    /* by group and publish: of what all its messages have in common */
    const struct fmx_fleet_client *named; /* whose these names are; NULL: nobody's */
    uint32_t names_known;                 /* a bit each */
    struct fmx_template_values values;
    uint8_t names[NAMES_COUNT][FMX_TEMPLATE_BYTES_MAX];
};

/* ── what open knows ── */

static const struct fmx_fleet_publish *publish_of(const struct fmx_fleet_team *team, uint32_t topic)
{
    return &team->plan.publishes[topic];
}

static size_t post_bytes(const struct fmx_fleet_publish *publish)
{
    return publish->payload_bytes > POST_BYTES_MIN ? publish->payload_bytes : POST_BYTES_MIN;
}

bool fmx_fleet_is_marked(const struct fmx_fleet_team *team, uint32_t topic)
{
    const struct fmx_fleet_publish *publish = publish_of(team, topic);

    if (publish->thing_model) {
        return true;
    }
    if (publish->payload.bytes > 0) {
        return false;
    }
    return team->topics[topic].text != NULL ? fmx_payload_text_has_mark(team->topics[topic].text)
                                            : publish->payload_bytes >= FMX_MARK_BYTES;
}

/* Bytes of each buffer, for the longest that any group wants. */
struct sizes {
    size_t letters;
    size_t work;
    size_t correlation;
};

static void want(size_t *most, size_t bytes)
{
    *most = bytes > *most ? bytes : *most;
}

static void add_sizes(const struct fmx_fleet_team *team, uint32_t topic, struct sizes *sizes)
{
    static const struct fmx_template_values longest = {
        .client_id.bytes = FMX_TEMPLATE_BYTES_MAX,
        .username.bytes = FMX_TEMPLATE_BYTES_MAX,
        .product_key.bytes = FMX_TEMPLATE_BYTES_MAX,
        .device_name.bytes = FMX_TEMPLATE_BYTES_MAX,
    };
    const struct fmx_fleet_publish *publish = publish_of(team, topic);
    const struct fmx_payload_text *text = team->topics[topic].text;

    want(&sizes->correlation, publish->properties.correlation_bytes);
    if (publish->thing_model) {
        want(&sizes->work, post_bytes(publish));
    } else if (publish->payload.bytes > 0) {
        return;
    } else if (text != NULL) {
        want(&sizes->work, fmx_payload_text_bytes_max(text, &longest));
    } else {
        want(&sizes->letters, publish->payload_bytes);
    }
}

static uint8_t *make_letters(size_t bytes)
{
    uint8_t *letters = malloc(bytes + 1);

    for (size_t i = 0; letters != NULL && i < bytes; i++) {
        letters[i] = (uint8_t)('a' + i % 26);
    }
    return letters;
}

static uint64_t add_text(uint64_t hash, const char *text)
{
    return fmx_fleet_mix(hash, text != NULL ? fmx_topic_hash(fmx_slice_of(text), 1) : 0);
}

static uint64_t hash_of_plan(const struct fmx_fleet_team *team, uint32_t topic)
{
    const struct fmx_fleet_publish *publish = publish_of(team, topic);
    const struct fmx_fleet_properties *properties = &publish->properties;
    fmx_slice user = {.data = team->topics[topic].user, .bytes = team->topics[topic].user_bytes};
    uint64_t hash = fmx_fleet_mix(team->topics[topic].hash, fmx_topic_hash(publish->payload, 1));

    hash = fmx_fleet_mix(hash, (uint64_t)publish->payload_bytes << 3 |
                                   (uint64_t)publish->thing_model << 2 |
                                   (uint64_t)publish->qos << 1 | (uint64_t)publish->retain);
    hash = fmx_fleet_mix(hash, (uint64_t)properties->correlation_bytes << 32 |
                                   properties->message_expiry_s);
    hash = fmx_fleet_mix(hash, properties->is_text);
    return fmx_fleet_mix(add_text(hash, properties->content_type), fmx_topic_hash(user, 1));
}

static bool make_hashes(const struct fmx_fleet_team *team, uint64_t **out_hashes)
{
    size_t count = team->plan.publishes_count;

    *out_hashes = malloc((count + 1) * sizeof(**out_hashes));
    for (uint32_t i = 0; *out_hashes != NULL && i < count; i++) {
        (*out_hashes)[i] = hash_of_plan(team, i);
    }
    return *out_hashes != NULL;
}

bool fmx_fleet_message_open(struct fmx_fleet_shard *fleet)
{
    const struct fmx_fleet *whole = fleet->fleet;
    struct fmx_fleet_making *making = calloc(1, sizeof(*making));
    struct sizes sizes = {.letters = FMX_MARK_BYTES, .correlation = sizeof(uint64_t)};

    fleet->making = making;
    if (making == NULL) {
        return false;
    }
    making->hashes = calloc(whole->teams_count + (size_t)1, sizeof(*making->hashes));
    bool is_made = making->hashes != NULL;
    for (uint32_t i = 0; is_made && i < whole->teams_count; i++) {
        for (uint32_t topic = 0; topic < whole->teams[i].plan.publishes_count; topic++) {
            add_sizes(&whole->teams[i], topic, &sizes);
        }
        is_made = make_hashes(&whole->teams[i], &making->hashes[i]);
    }
    making->letters = make_letters(sizes.letters);
    making->work = malloc(sizes.work + 1);
    making->correlation = make_letters(sizes.correlation);
    return is_made && making->letters != NULL && making->work != NULL &&
           making->correlation != NULL;
}

void fmx_fleet_message_close(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet_making *making = fleet->making;

    if (making == NULL) {
        return;
    }
    for (uint32_t i = 0; making->hashes != NULL && i < fleet->fleet->teams_count; i++) {
        free(making->hashes[i]);
    }
    free(making->hashes);
    free(making->letters);
    free(making->work);
    free(making->correlation);
    free(making);
    fleet->making = NULL;
}

/* ── marks ── */

static void write_low(struct fmx_writer *writer, uint64_t value, unsigned bytes)
{
    uint8_t *out = fmx_writer_room(writer, bytes);

    for (unsigned i = bytes; out != NULL && i-- > 0; value >>= 8) {
        out[i] = (uint8_t)value;
    }
}

static void write_mark(const struct fmx_fleet_mark *mark, uint8_t out[FMX_MARK_BYTES])
{
    struct fmx_writer writer = fmx_writer_of(out, FMX_MARK_BYTES);
    uint64_t late_ns = mark->sent_ns > mark->planned_ns ? mark->sent_ns - mark->planned_ns : 0;

    fmx_write_u32(&writer, MARK_MAGIC);
    fmx_write_u32(&writer, mark->origin);
    write_low(&writer, mark->publisher, 3);
    write_low(&writer, mark->topic, 1);
    write_low(&writer, mark->sequence, 6);
    write_low(&writer, late_ns < MARK_MOST ? late_ns : MARK_MOST, 6);
    write_low(&writer, mark->planned_ns, 8);
}

static uint64_t read_low(struct fmx_reader *reader, unsigned bytes)
{
    fmx_slice span = fmx_read_bytes(reader, bytes);
    uint64_t value = 0;

    for (size_t i = 0; i < span.bytes; i++) {
        value = value << 8 | span.data[i];
    }
    return value;
}

static bool read_mark(fmx_slice bytes, struct fmx_fleet_mark *out_mark)
{
    struct fmx_reader reader = fmx_reader_of(bytes);

    if (bytes.bytes < FMX_MARK_BYTES || fmx_read_u32(&reader) != MARK_MAGIC) {
        return false;
    }
    out_mark->origin = fmx_read_u32(&reader);
    out_mark->publisher = (uint32_t)read_low(&reader, 3);
    out_mark->topic = fmx_read_u8(&reader);
    out_mark->sequence = read_low(&reader, 6);
    uint64_t late_ns = read_low(&reader, 6);
    out_mark->planned_ns = read_low(&reader, 8);
    if (__builtin_add_overflow(out_mark->planned_ns, late_ns, &out_mark->sent_ns)) {
        out_mark->sent_ns = UINT64_MAX;
    }
    return true;
}

/* Digits that only look like a mark are passed over. */
static bool find_mark(fmx_slice payload, struct fmx_fleet_mark *out_mark)
{
    size_t left = payload.bytes < MARK_LOOK_BYTES ? payload.bytes : MARK_LOOK_BYTES;
    const uint8_t *at = payload.data;
    uint8_t bytes[FMX_MARK_BYTES];
    size_t bytes_count;

    while (left >= FMX_MARK_DIGITS) {
        const uint8_t *found = memmem(at, left, MAGIC_DIGITS, TEXT_BYTES(MAGIC_DIGITS));
        if (found == NULL || left - (size_t)(found - at) < FMX_MARK_DIGITS) {
            return false;
        }
        if (fmx_dialect_unhex((fmx_slice){.data = found, .bytes = FMX_MARK_DIGITS}, bytes,
                              sizeof(bytes), &bytes_count)) {
            return read_mark((fmx_slice){.data = bytes, .bytes = bytes_count}, out_mark);
        }
        left -= (size_t)(found - at) + 1;
        at = found + 1;
    }
    return false;
}

bool fmx_fleet_mark_read(fmx_slice payload, struct fmx_fleet_mark *out_mark)
{
    return read_mark(payload, out_mark) || find_mark(payload, out_mark);
}

bool fmx_fleet_mark_is_near(const struct fmx_fleet *fleet, const struct fmx_fleet_mark *mark)
{
    return mark->origin >> 16 == fleet->origin >> 16;
}

/* All processes that share a clock read the same here. Without it we are near to nobody else. */
static bool read_boot(uint8_t out[36])
{
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = file >= 0 ? read(file, out, 36) : -1;

    if (file >= 0) {
        close(file);
    }
    return got == 36;
}

uint32_t fmx_fleet_origin(void)
{
    uint32_t drawn = 0;
    uint8_t boot[36];

    if (getrandom(&drawn, sizeof(drawn), 0) != (ssize_t)sizeof(drawn)) {
        drawn = (uint32_t)fmx_fleet_mix((uint64_t)getpid(), (uint64_t)time(NULL));
    }
    if (!read_boot(boot)) {
        return drawn;
    }
    uint64_t machine = fmx_topic_hash((fmx_slice){.data = boot, .bytes = sizeof(boot)}, 0);
    return (uint32_t)(machine >> 48) << 16 | (drawn & 0xffff);
}

/* ── making ── */

static void write_number(struct fmx_writer *writer, uint64_t number)
{
    uint8_t digits[DIGITS_MAX];
    size_t at = DIGITS_MAX;

    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    fmx_write_bytes(writer, (fmx_slice){.data = digits + at, .bytes = DIGITS_MAX - at});
}

static void write_text(struct fmx_writer *writer, const char *text)
{
    fmx_write_bytes(writer, fmx_slice_of(text));
}

/* The head is not always as long; what is left is padded. */
static fmx_slice make_post(uint8_t *out, size_t bytes, uint64_t sequence, const uint8_t *mark)
{
    struct fmx_writer writer = fmx_writer_of(out, bytes - TEXT_BYTES(POST_END));
    char digits[FMX_MARK_DIGITS];

    fmx_dialect_hex((fmx_slice){.data = mark, .bytes = FMX_MARK_BYTES}, false, digits);
    write_text(&writer, POST_BEGIN);
    write_number(&writer, sequence);
    write_text(&writer, POST_BEFORE);
    fmx_write_bytes(&writer, (fmx_slice){.data = (uint8_t *)digits, .bytes = FMX_MARK_DIGITS});
    write_text(&writer, POST_BEHIND);
    memset(writer.at, 'a', (size_t)(writer.end - writer.at));
    memcpy(writer.end, POST_END, TEXT_BYTES(POST_END));
    return (fmx_slice){.data = out, .bytes = bytes};
}

/* The client's names, as far as the text has them; they stay for the next message. */
static void name_client(struct fmx_fleet_making *making, const struct fmx_fleet_client *client,
                        const struct fmx_payload_text *text)
{
    static const char *const variables[NAMES_COUNT] = {"%c", "%u", "%p", "%d"};
    const struct fmx_fleet_group *group = fmx_fleet_group_of(client);
    struct fmx_template_values *values = &making->values;
    fmx_slice *const slices[NAMES_COUNT] = {&values->client_id, &values->username,
                                            &values->product_key, &values->device_name};

    if (making->named != client) {
        *values = (struct fmx_template_values){.number = group->first_number + client->number,
                                               .run_number = client->number};
        making->named = client;
        making->names_known = 0;
    }
    for (uint32_t i = 0; i < NAMES_COUNT; i++) {
        if ((making->names_known >> i & 1) == 0 && fmx_payload_text_has(text, variables[i][1])) {
            (void)fmx_fleet_fill_any(group, client->number, variables[i], making->names[i],
                                     slices[i]); /* a device was there at CONNECT */
            making->names_known |= 1u << i;
        }
    }
}

static uint64_t unix_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static fmx_slice fill_text(struct fmx_fleet_making *making, const struct fmx_message_wish *wish,
                           const struct fmx_payload_text *text, const uint8_t *mark, uint64_t *hash)
{
    const struct fmx_fleet_team *team = wish->client->crew->team;
    struct fmx_payload_values values = {.sequence = wish->sequence, .mark = mark};
    uint64_t filled_hash;

    name_client(making, wish->client, text);
    values.client = making->values;
    values.flow_key = fmx_fleet_draw(team->fleet, fmx_fleet_index_of(wish->client),
                                     FMX_DRAW_PAYLOAD, team->topics[wish->topic].hash);
    values.key = fmx_fleet_mix(values.flow_key, ~wish->sequence);
    values.unix_ns = fmx_payload_text_has_time(text) ? unix_ns() : 0;
    size_t bytes = fmx_payload_text_fill(text, &values, making->work, &filled_hash);
    *hash = fmx_fleet_mix(*hash, filled_hash);
    return (fmx_slice){.data = making->work, .bytes = bytes};
}

static fmx_slice make_payload(struct fmx_fleet_shard *fleet, const struct fmx_message_wish *wish,
                              uint64_t *hash)
{
    const struct fmx_fleet_team *team = wish->client->crew->team;
    const struct fmx_fleet_publish *publish = publish_of(team, wish->topic);
    const struct fmx_payload_text *text = team->topics[wish->topic].text;
    struct fmx_fleet_making *making = fleet->making;
    const struct fmx_fleet_mark mark = {.origin = fleet->fleet->origin,
                                        .publisher = fmx_fleet_index_of(wish->client),
                                        .topic = (uint8_t)wish->topic,
                                        .sequence = wish->sent_before,
                                        .planned_ns = wish->planned_ns,
                                        .sent_ns = fleet->shard->now_ns};
    uint8_t bytes[FMX_MARK_BYTES];

    if (!publish->thing_model && publish->payload.bytes > 0) {
        return publish->payload;
    }
    write_mark(&mark, bytes);
    if (publish->thing_model) {
        return make_post(making->work, post_bytes(publish), wish->sequence, bytes);
    }
    if (text != NULL) {
        return fill_text(making, wish, text, bytes, hash);
    }
    if (publish->payload_bytes < FMX_MARK_BYTES) { /* too short for a mark */
        static const uint8_t front[] = "abcdefghijklmnopqrstuvwxyzabcdef";
        return (fmx_slice){.data = front, .bytes = publish->payload_bytes};
    }
    memcpy(making->letters, bytes, sizeof(bytes));
    return (fmx_slice){.data = making->letters, .bytes = publish->payload_bytes};
}

static void fill_once(const struct fmx_fleet_client *client, const char *text,
                      struct fmx_fleet_filled *filled)
{
    if (filled->client != client || filled->template != text) {
        filled->client = client;
        filled->template = text;
        filled->text = fmx_fleet_fill(client, text, filled->bytes);
        filled->hash = fmx_topic_hash(filled->text, 1);
    }
}

fmx_slice fmx_fleet_message_topic(struct fmx_fleet_shard *fleet,
                                  const struct fmx_fleet_client *client, uint32_t topic)
{
    fill_once(client, publish_of(client->crew->team, topic)->topic, &fleet->topic);
    return fleet->topic.text;
}

static void set_property(struct fmx_props *props, enum fmx_prop property, bool is_there)
{
    props->present |= is_there ? FMX_PROP_BIT(property) : 0;
}

static void set_request(struct fmx_fleet_shard *fleet, const struct fmx_message_wish *wish,
                        const struct fmx_fleet_properties *wanted, struct fmx_props *props)
{
    uint8_t *correlation = fleet->making->correlation;

    if (wanted->response_topic != NULL) {
        fill_once(wish->client, wanted->response_topic, &fleet->response_topic);
        props->response_topic = fleet->response_topic.text;
    }
    if (wanted->correlation_bytes >= sizeof(uint64_t)) {
        struct fmx_writer writer = fmx_writer_of(correlation, sizeof(uint64_t));
        write_low(
            &writer,
            fmx_fleet_request_name(fmx_fleet_index_of(wish->client), wish->topic, wish->sequence),
            sizeof(uint64_t));
    }
    props->correlation_data = (fmx_slice){.data = correlation, .bytes = wanted->correlation_bytes};
}

static void set_properties(struct fmx_fleet_shard *fleet, const struct fmx_message_wish *wish,
                           struct fmx_props *props)
{
    const struct fmx_fleet_team *team = wish->client->crew->team;
    const struct fmx_fleet_topic *topic = &team->topics[wish->topic];
    const struct fmx_fleet_properties *wanted = &publish_of(team, wish->topic)->properties;

    set_property(props, FMX_PROP_PAYLOAD_FORMAT, wanted->is_text);
    set_property(props, FMX_PROP_MESSAGE_EXPIRY, wanted->message_expiry_s > 0);
    set_property(props, FMX_PROP_CONTENT_TYPE, wanted->content_type != NULL);
    set_property(props, FMX_PROP_RESPONSE_TOPIC, wanted->response_topic != NULL);
    set_property(props, FMX_PROP_CORRELATION_DATA, wanted->correlation_bytes > 0);
    props->payload_format = 1;
    props->message_expiry_s = wanted->message_expiry_s;
    if (wanted->content_type != NULL) {
        props->content_type = fmx_slice_of(wanted->content_type);
    }
    set_request(fleet, wish, wanted, props);
    props->user_count = (uint32_t)wanted->user_count;
    props->raw = (fmx_slice){.data = topic->user, .bytes = topic->user_bytes};
}

struct fmx_publish *fmx_fleet_message_make(struct fmx_fleet_shard *fleet,
                                           const struct fmx_message_wish *wish, uint64_t *out_hash)
{
    const struct fmx_fleet_team *team = wish->client->crew->team;
    const struct fmx_fleet_publish *publish = publish_of(team, wish->topic);
    uint64_t hash = fleet->making->hashes[team->group][wish->topic];

    fleet->message = (struct fmx_publish){.qos = publish->qos, .retain = publish->retain};
    fleet->message.payload = make_payload(fleet, wish, &hash);
    if (team->plan.version == FMX_MQTT_50) {
        set_properties(fleet, wish, &fleet->message.props);
        hash = publish->properties.response_topic != NULL
                   ? fmx_fleet_mix(hash, fleet->response_topic.hash)
                   : hash;
    }
    fill_once(wish->client, publish->topic, &fleet->topic);
    hash = fmx_fleet_mix(hash, fleet->topic.hash);
    hash = fmx_fleet_mix(hash, wish->sequence);
    *out_hash = fmx_fleet_mix(hash, wish->step);
    return &fleet->message;
}

/* ── replies ── */

bool fmx_fleet_is_thing_reply(fmx_slice topic)
{
    size_t bytes = TEXT_BYTES(POST_REPLY);

    return topic.bytes > bytes && memcmp(topic.data, "/sys/", 5) == 0 &&
           memcmp(topic.data + topic.bytes - bytes, POST_REPLY, bytes) == 0;
}
