/*
 * product — limits and topic classes in force, per product, on one shard
 *
 * Why it is so:   limits come from four places: the profile's defaults, the gateway's options, the
 *                 registry's row of the product, and a change while it runs; a packet wants one
 *                 number. So they are laid over one another when one of them changes, and what is
 *                 in force lies in one struct
 * Words:          terms: what was announced in CONNACK and must hold as long as the session does
 * Invariants:     (1) limits = gateway's, then registered, then live  (2) terms in use by a session
 *                 never change; newer sessions get newer terms
 * Memory:         products and all their terms until wipe: a change of what is announced costs the
 *                 size of one fmx_terms
 * Threads:        owning shard
 * Limits:         as many products as the registry has
 */
#include "engine/roles/product.h"

#include "proto/topic.h"
#include <fleetmux/private/assert.h>
#include <stdlib.h>

#define KEY_SEED 0u /* keys come from the registry, not from peers: they pass it before us */

static fmx_slice key_of(const struct fmx_gateway_product *product)
{
    return (fmx_slice){.data = (const uint8_t *)product->key, .bytes = product->key_bytes};
}

static uint16_t at_most_u16(uint32_t value)
{
    return value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

/* ── what follows from limits ── */

void fmx_product_session_options(const struct fmx_limits *limits,
                                 const struct fmx_gateway_options *options,
                                 struct fmx_session_options *out_session)
{
    bool is_open = options->profile == FMX_PROFILE_OPEN;
    bool has_most = limits->keepalive_max_s != FMX_UNLIMITED;

    memset(out_session, 0, sizeof(*out_session)); /* gaps too: renew_terms compares bytes */
    out_session->packet_bytes_max = limits->packet_bytes_max;
    out_session->inflight_max = limits->inflight_max;
    out_session->session_expiry_max_s = limits->session_expiry_max_s;
    out_session->topic_bytes_max = limits->topic_bytes_max;
    out_session->topic_levels_max = limits->topic_levels_max;
    /* the platform answers fewer than that itself, and the session stays */
    out_session->user_properties_max = is_open ? limits->user_properties_max : FMX_UNLIMITED;
    out_session->receive_max = at_most_u16(limits->receive_max);
    out_session->topic_alias_max = at_most_u16(limits->topic_alias_max);
    out_session->keepalive_min_s = at_most_u16(limits->keepalive_min_s);
    out_session->keepalive_max_s = has_most ? at_most_u16(limits->keepalive_max_s) : 0;
    out_session->keepalive_is_refused = !options->clamps_keepalive;
    out_session->retain_is_refused = options->retain_is_refused;
}

static struct fmx_rate_limit rate_of(uint32_t per_second)
{
    uint32_t rate = per_second == FMX_UNLIMITED ? 0 : per_second;

    return (struct fmx_rate_limit){.per_second = rate, .burst = rate};
}

/* False: no memory; the older terms stay in force. */
static bool renew_terms(struct fmx_gateway_product *product,
                        const struct fmx_gateway_options *options)
{
    struct fmx_session_options session;

    fmx_product_session_options(&product->limits, options, &session);
    if (product->terms != NULL &&
        memcmp(&product->terms->session, &session, sizeof(session)) == 0) {
        return true;
    }
    struct fmx_terms *terms = calloc(1, sizeof(*terms));
    if (terms == NULL) {
        return false;
    }
    memcpy(&terms->session, &session, sizeof(session));
    terms->next = product->terms;
    product->terms = terms;
    return true;
}

/* Each layer is sound by itself, but a least may have come from one and its most from another. */
static void make_sound(struct fmx_limits *limits)
{
    if (limits->keepalive_min_s > limits->keepalive_max_s) {
        limits->keepalive_min_s = limits->keepalive_max_s;
    }
    if (limits->call_timeout_min_ms > limits->call_timeout_max_ms) {
        limits->call_timeout_min_ms = limits->call_timeout_max_ms;
    }
}

static bool come_into_force(struct fmx_products *products, struct fmx_gateway_product *product)
{
    product->limits = products->limits;
    fmx_limits_apply(&product->limits, &product->registered);
    fmx_limits_apply(&product->limits, &product->live);
    make_sound(&product->limits);
    product->up = rate_of(product->limits.upstream_per_second);
    product->up_qos1 = rate_of(product->limits.upstream_qos1_per_second);
    product->down = rate_of(product->limits.downstream_per_second);
    return renew_terms(product, products->options);
}

/* ── the registry ── */

/* False: it is disabled or gone; what was known stays in force for sessions about to end. */
static bool read_registry(struct fmx_products *products, struct fmx_gateway_product *product)
{
    struct fmx_product_info info;

    if (products->devices == NULL) {
        return true;
    }
    enum fmx_status status =
        fmx_devices_product(products->devices, products->reader, key_of(product), &info);
    if (status != FMX_OK) {
        return status != FMX_E_STALE; /* without memory nothing is known to have changed */
    }
    free(product->topics);
    product->topics = info.topics;
    product->topics_count = info.topics_count;
    product->has_topics = true;
    product->registered = info.limits;
    return info.status == FMX_REGISTRY_ENABLED;
}

/* ── the table ── */

static struct fmx_gateway_product *find(const struct fmx_products *products, fmx_slice key)
{
    uint32_t probe = UINT32_MAX;
    uint32_t value;

    while ((value = fmx_index_find(&products->index, fmx_topic_hash(key, KEY_SEED), &probe)) !=
           FMX_INDEX_NONE) {
        if (fmx_slice_equal(key_of(products->all[value]), key)) {
            return products->all[value];
        }
    }
    return NULL;
}

static bool make_room(struct fmx_products *products)
{
    if (products->count < products->capacity) {
        return true;
    }
    uint32_t capacity = products->capacity == 0 ? 16 : products->capacity * 2;
    struct fmx_gateway_product **all =
        realloc(products->all, capacity * sizeof(struct fmx_gateway_product *));
    if (all == NULL) {
        return false;
    }
    products->all = all;
    products->capacity = capacity;
    return true;
}

static void release(struct fmx_gateway_product *product)
{
    while (product->terms != NULL) {
        struct fmx_terms *older = product->terms->next;
        free(product->terms);
        product->terms = older;
    }
    free(product->topics);
    free(product);
}

static struct fmx_gateway_product *add(struct fmx_products *products, fmx_slice key)
{
    FMX_ASSERT(key.bytes <= FMX_PRODUCT_KEY_BYTES_MAX);
    struct fmx_gateway_product *product = make_room(products) ? calloc(1, sizeof(*product)) : NULL;

    if (product == NULL) {
        return NULL;
    }
    product->key_bytes = (uint8_t)key.bytes;
    if (key.bytes > 0) {
        memcpy(product->key, key.data, key.bytes);
        (void)read_registry(products, product);
    }
    if (!come_into_force(products, product) ||
        fmx_index_put(&products->index, fmx_topic_hash(key, KEY_SEED), products->count) != FMX_OK) {
        release(product);
        return NULL;
    }
    products->all[products->count++] = product;
    return product;
}

void fmx_products_init(struct fmx_products *products, const struct fmx_gateway_options *options,
                       struct fmx_devices *devices, uint32_t reader)
{
    *products = (struct fmx_products){
        .options = options, .devices = devices, .reader = reader, .limits = options->limits};
}

void fmx_products_wipe(struct fmx_products *products)
{
    for (uint32_t i = 0; i < products->count; i++) {
        release(products->all[i]);
    }
    free(products->all);
    fmx_index_close(&products->index);
}

struct fmx_gateway_product *fmx_products_get(struct fmx_products *products, fmx_slice key)
{
    struct fmx_gateway_product *product = find(products, key);

    return product != NULL ? product : add(products, key);
}

bool fmx_products_reload(struct fmx_products *products, fmx_slice key)
{
    struct fmx_gateway_product *product = find(products, key);

    if (product == NULL) {
        return true;
    }
    bool is_alive = read_registry(products, product);
    product->live.which = 0;
    (void)come_into_force(products, product);
    return is_alive;
}

static void lay_over(struct fmx_limits_override *under, const struct fmx_limits_override *over)
{
    fmx_limits_apply(&under->limits, over);
    under->which |= over->which;
}

enum fmx_status fmx_products_override(struct fmx_products *products, fmx_slice key,
                                      const struct fmx_limits_override *override)
{
    bool done = true;

    if (key.bytes > 0) {
        struct fmx_gateway_product *product = fmx_products_get(products, key);
        if (product == NULL) {
            return FMX_LIMIT_MEMORY;
        }
        lay_over(&product->live, override);
        return come_into_force(products, product) ? FMX_OK : FMX_LIMIT_MEMORY;
    }
    fmx_limits_apply(&products->limits, override);
    for (uint32_t i = 0; i < products->count; i++) {
        done = come_into_force(products, products->all[i]) && done;
    }
    return done ? FMX_OK : FMX_LIMIT_MEMORY;
}

bool fmx_product_allows(const struct fmx_gateway_product *product, fmx_slice rest, bool is_filter,
                        enum fmx_topic_permission permission)
{
    if (!product->has_topics) {
        return true;
    }
    for (uint16_t i = 0; i < product->topics_count; i++) {
        const struct fmx_topic_info *topic = &product->topics[i];
        fmx_slice topic_class = {.data = (const uint8_t *)topic->topic, .bytes = topic->bytes};
        if ((topic->permission & permission) != 0 &&
            fmx_dialect_topic_class_covers(topic_class, rest, is_filter)) {
            return true;
        }
    }
    return false;
}
