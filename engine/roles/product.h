/*
 * product.h — limits and topic classes in force, per product, on one shard
 *
 * Each shard has its own copy of every product that it has met, so that a session's packet asks
 * nobody. The open profile has one product, with an empty key. Products stay until the gateway
 * closes.
 */
#ifndef ENGINE_ROLES_PRODUCT_H
#define ENGINE_ROLES_PRODUCT_H

#include "engine/index.h"
#include "engine/roles/devices.h"
#include "proto/dialect.h"
#include "proto/rate.h"
#include "proto/session.h"

#include <fleetmux/gateway.h>

/* What has been announced to sessions; they point at it, so it is never changed, only followed. */
struct fmx_terms {
    struct fmx_terms *next; /* older */
    struct fmx_session_options session;
};

struct fmx_gateway_product {
    struct fmx_limits limits;              /* in force */
    struct fmx_limits_override registered; /* the registry's, on top of the gateway's */
    struct fmx_limits_override live;       /* fmx_gateway_set_limits, on top of both */
    struct fmx_terms *terms;               /* the newest */
    struct fmx_rate_limit up;              /* per_second 0: no bound */
    struct fmx_rate_limit up_qos1;
    struct fmx_rate_limit down;
    struct fmx_topic_info *topics;
    uint16_t topics_count;
    bool has_topics; /* else every custom topic is allowed */
    uint8_t key_bytes;
    char key[FMX_PRODUCT_KEY_BYTES_MAX];
};

struct fmx_products {
    const struct fmx_gateway_options *options;
    struct fmx_devices *devices; /* NULL: no registry */
    uint32_t reader;             /* the shard, as devices.h counts them */
    struct fmx_limits limits;    /* the gateway's, in force */
    struct fmx_gateway_product **all;
    uint32_t count;
    uint32_t capacity;
    struct fmx_index index;
};

void fmx_products_init(struct fmx_products *products, const struct fmx_gateway_options *options,
                       struct fmx_devices *devices, uint32_t reader);
void fmx_products_wipe(struct fmx_products *products);

/* The product with this key, read from the registry when first met. NULL: no memory. */
struct fmx_gateway_product *fmx_products_get(struct fmx_products *products, fmx_slice key);

/*
 * The registry has changed: reads the product again, if it has been met. False: it is disabled or
 * gone, and its sessions have to end.
 */
bool fmx_products_reload(struct fmx_products *products, fmx_slice key);

/* Lays an override over a product's limits, or over the gateway's (empty key). */
enum fmx_status fmx_products_override(struct fmx_products *products, fmx_slice key,
                                      const struct fmx_limits_override *override) FMX_MUST_USE;

/* Do the product's topic classes allow this, for "user/…"? */
bool fmx_product_allows(const struct fmx_gateway_product *product, fmx_slice rest, bool is_filter,
                        enum fmx_topic_permission permission);

/* The session options that follow from limits and switches. */
void fmx_product_session_options(const struct fmx_limits *limits,
                                 const struct fmx_gateway_options *options,
                                 struct fmx_session_options *out_session);

#endif
