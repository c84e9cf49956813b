/*
 * gateway_calls — what a service calls: from any thread to the shard that answers
 *
 * Why it is so:   a caller checks and copies, and posts one message; everything that has to look at
 *                 state runs on the shard that owns it. A callback's caller is its shard's: what it
 *                 posts is handled in the same turn, and never refused
 * Threads:        the caller's
 * Limits:         a caller's queue towards a shard; full is FMX_FULL, and nothing has begun
 * Not here:       what becomes of an order: service.c
 */
#include "engine/roles/gateway.h"

#include "engine/clock.h"
#include "engine/options.h"
#include "proto/limits.h"
#include "proto/topic.h"
#include "proto/utf8.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEEPER_PAUSE_US     1000
#define CALL_TIMEOUT_MAX_MS 600000u /* as limits.h has it for a product's */

/* ── callers ── */

enum fmx_status fmx_gateway_caller_open(struct fmx_gateway *gateway,
                                        struct fmx_gateway_caller **out_caller)
{
    struct fmx_gateway_caller *caller = calloc(1, sizeof(*caller));

    if (caller == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    caller->gateway = gateway;
    caller->shard = (uint32_t)(fmx_options_seed() % fmx_mux_shards_count(gateway->mux));
    enum fmx_status status = fmx_mux_caller_open(gateway->mux, &caller->mux_caller);
    if (status != FMX_OK) {
        free(caller);
        return status;
    }
    *out_caller = caller;
    return FMX_OK;
}

void fmx_gateway_caller_close(struct fmx_gateway_caller *caller)
{
    fmx_mux_caller_close(caller->mux_caller);
    free(caller);
}

static bool post(struct fmx_gateway_caller *caller, uint32_t to_shard, struct fmx_msg *message)
{
    if (caller->on_shard != NULL) {
        fmx_shard_post(caller->on_shard, to_shard, message);
        return true;
    }
    return fmx_mux_caller_post(caller->mux_caller, to_shard, message);
}

static uint32_t shards_count(const struct fmx_gateway_caller *caller)
{
    return fmx_mux_shards_count(caller->gateway->mux);
}

/* ── orders ── */

static bool is_platform(const struct fmx_gateway_caller *caller)
{
    return caller->gateway->options.profile == FMX_PROFILE_PLATFORM;
}

static bool are_names(fmx_slice product_key, fmx_slice device_name)
{
    return fmx_dialect_product_key_fault(product_key) == NULL &&
           fmx_dialect_device_name_fault(device_name) == NULL;
}

/* Hands an order over to the home of its device; on FMX_FULL it is released without a word. */
static enum fmx_status send_order(struct fmx_gateway_caller *caller, struct fmx_order *order)
{
    order->hash = fmx_topic_hash(fmx_order_key(order), caller->gateway->hash_seed);
    struct fmx_msg message = {.kind = FMX_MSG_ORDER, .order = {.order = order}};

    if (post(caller, (uint32_t)((order->hash >> 32) % shards_count(caller)), &message)) {
        return FMX_OK;
    }
    fmx_order_close(order);
    return FMX_FULL;
}

/* ── publish ── */

static enum fmx_status check_publication(const struct fmx_gateway_publication *publication)
{
    if (publication->qos > 1 || publication->correlation_data.bytes > FMX_STRING_BYTES_MAX ||
        publication->content_type.bytes > FMX_STRING_BYTES_MAX) {
        return FMX_E_ARGUMENT;
    }
    if (fmx_topic_check_name(publication->topic) != FMX_OK) {
        return FMX_E_TOPIC;
    }
    if (publication->response_topic.bytes > 0 &&
        fmx_topic_check_name(publication->response_topic) != FMX_OK) {
        return FMX_E_TOPIC;
    }
    size_t heads = publication->user_properties.bytes + 4 * (FMX_STRING_BYTES_MAX + 8);
    return publication->payload.bytes > FMX_REMAINING_BYTES_MAX - heads ? FMX_E_TOO_LARGE : FMX_OK;
}

/* Counts the user properties of a list in wire form; false: it is none. */
static bool count_users(fmx_slice raw, uint32_t *out_count)
{
    fmx_slice key, value;
    size_t offset = 0;

    *out_count = 0;
    while (offset < raw.bytes) {
        if (fmx_props_next_user(raw, &offset, &key, &value) != FMX_OK) {
            return false;
        }
        ++*out_count;
    }
    return true;
}

static enum fmx_status to_publish(const struct fmx_gateway_publication *publication,
                                  struct fmx_publish *out_publish)
{
    struct fmx_props *props = &out_publish->props;

    *out_publish = (struct fmx_publish){
        .topic = publication->topic, .payload = publication->payload, .qos = publication->qos};
    if (publication->payload_is_text) {
        props->present |= FMX_PROP_BIT(FMX_PROP_PAYLOAD_FORMAT);
        props->payload_format = 1;
    }
    if (publication->content_type.bytes > 0) {
        props->present |= FMX_PROP_BIT(FMX_PROP_CONTENT_TYPE);
        props->content_type = publication->content_type;
    }
    if (publication->response_topic.bytes > 0) {
        props->present |= FMX_PROP_BIT(FMX_PROP_RESPONSE_TOPIC);
        props->response_topic = publication->response_topic;
    }
    if (publication->has_correlation_data) {
        props->present |= FMX_PROP_BIT(FMX_PROP_CORRELATION_DATA);
        props->correlation_data = publication->correlation_data;
    }
    if (publication->user_properties.bytes > 0) {
        props->present |= FMX_PROP_BIT(FMX_PROP_USER_PROPERTY);
        props->raw = publication->user_properties;
        if (!count_users(publication->user_properties, &props->user_count)) {
            return FMX_E_ARGUMENT;
        }
    }
    return FMX_OK;
}

static enum fmx_status make_payload(const struct fmx_gateway_publication *publication,
                                    struct fmx_payload **out_payload)
{
    struct fmx_publish publish;
    enum fmx_status status = check_publication(publication);

    if (status == FMX_OK) {
        status = to_publish(publication, &publish);
    }
    if (status != FMX_OK) {
        return status;
    }
    uint64_t expires_ns =
        publication->expiry_s > 0 ? fmx_clock_ns() + publication->expiry_s * FMX_NS_PER_S : 0;
    *out_payload = fmx_payload_make(&publish, FMX_SESSION_NONE, expires_ns);
    return *out_payload != NULL ? FMX_OK : FMX_LIMIT_MEMORY;
}

enum fmx_status fmx_gateway_publish(struct fmx_gateway_caller *caller,
                                    const struct fmx_gateway_publication *publication)
{
    struct fmx_msg message = {.kind = FMX_MSG_PUBLISH, .publish = {.is_first = true}};

    if (is_platform(caller) && !caller->gateway->profile->is_shared(publication->topic)) {
        return FMX_E_TOPIC;
    }
    enum fmx_status status = make_payload(publication, &message.publish.payload);
    if (status == FMX_OK && !post(caller, caller->shard, &message)) {
        fmx_payload_give(message.publish.payload);
        status = FMX_FULL;
    }
    return status;
}

enum fmx_status fmx_gateway_publish_to(struct fmx_gateway_caller *caller, fmx_slice product_key,
                                       fmx_slice device_name,
                                       const struct fmx_gateway_publication *publication,
                                       fmx_gateway_delivered *done, void *user)
{
    struct fmx_payload *payload;

    if (!is_platform(caller) || !are_names(product_key, device_name)) {
        return FMX_E_ARGUMENT;
    }
    if (fmx_dialect_topic_name(publication->topic, product_key, device_name).use ==
        FMX_USE_FOREIGN) {
        return FMX_E_TOPIC;
    }
    enum fmx_status status = make_payload(publication, &payload);
    if (status != FMX_OK) {
        return status;
    }
    struct fmx_order *order = fmx_order_make(FMX_ORDER_PUBLISH, product_key, device_name);
    if (order == NULL) {
        fmx_payload_give(payload);
        return FMX_LIMIT_MEMORY;
    }
    order->payload = payload;
    order->done.delivered = done;
    order->user = user;
    return send_order(caller, order);
}

enum fmx_status fmx_gateway_broadcast(struct fmx_gateway_caller *caller, fmx_slice product_key,
                                      fmx_slice payload)
{
    struct fmx_publish publish = {.payload = payload};
    struct fmx_msg message = {
        .kind = FMX_MSG_BROADCAST,
        .broadcast = {.message_id = 1ull << 62 | (fmx_options_seed() & ((1ull << 52) - 1))}};

    if (!is_platform(caller) || fmx_dialect_product_key_fault(product_key) != NULL) {
        return FMX_E_ARGUMENT;
    }
    if (payload.bytes > FMX_REMAINING_BYTES_MAX - FMX_STRING_BYTES_MAX) {
        return FMX_E_TOO_LARGE;
    }
    message.broadcast.product_key = fmx_blob_make(product_key);
    message.broadcast.payload = fmx_payload_make(&publish, FMX_SESSION_NONE, 0);
    if (message.broadcast.product_key == NULL || message.broadcast.payload == NULL) {
        fmx_gateway_discard(NULL, &message);
        return FMX_LIMIT_MEMORY;
    }
    if (!post(caller, caller->shard, &message)) {
        fmx_gateway_discard(NULL, &message);
        return FMX_FULL;
    }
    return FMX_OK;
}

/* ── calls ── */

/* The topic of a call: the id's digits are put in at home. */
static enum fmx_status make_call(const struct fmx_gateway_request *request, struct fmx_order *order)
{
    static const char digits[] = "0000000000000000000";
    uint8_t topic[FMX_STRING_BYTES_MAX];
    struct fmx_publish publish = {.payload = request->payload};
    int bytes;

    static_assert(sizeof(digits) - 1 == FMX_RRPC_ID_BYTES, "a message id has that many");
    order->is_custom = request->topic.bytes > 0;
    if (order->is_custom) {
        bytes = snprintf((char *)topic, sizeof(topic), "/ext/rrpc/%s%.*s", digits,
                         (int)request->topic.bytes, (const char *)request->topic.data);
        order->id_at = 10;
    } else {
        bytes = snprintf((char *)topic, sizeof(topic), "/sys/%.*s/%.*s/rrpc/request/%s",
                         (int)request->product_key.bytes, (const char *)request->product_key.data,
                         (int)request->device_name.bytes, (const char *)request->device_name.data,
                         digits);
        order->id_at = (uint16_t)((size_t)bytes - FMX_RRPC_ID_BYTES);
    }
    publish.topic = (fmx_slice){.data = topic, .bytes = (size_t)bytes};
    order->payload = fmx_payload_make(&publish, FMX_SESSION_NONE, 0);
    return order->payload != NULL ? FMX_OK : FMX_LIMIT_MEMORY;
}

static enum fmx_status check_request(struct fmx_gateway_caller *caller,
                                     const struct fmx_gateway_request *request)
{
    if (!is_platform(caller) || !are_names(request->product_key, request->device_name) ||
        request->timeout_ms - 1 >= CALL_TIMEOUT_MAX_MS) {
        return FMX_E_ARGUMENT;
    }
    if (request->topic.bytes > 0) {
        if (request->topic.bytes > FMX_STRING_BYTES_MAX - 64 ||
            fmx_topic_check_name(request->topic) != FMX_OK) {
            return FMX_E_TOPIC;
        }
        struct fmx_dialect_topic topic =
            fmx_dialect_topic_name(request->topic, request->product_key, request->device_name);
        if (!topic.may_subscribe || (topic.use != FMX_USE_CUSTOM && topic.use != FMX_USE_THING)) {
            return FMX_E_TOPIC;
        }
    }
    return request->payload.bytes > FMX_REMAINING_BYTES_MAX - FMX_STRING_BYTES_MAX ? FMX_E_TOO_LARGE
                                                                                   : FMX_OK;
}

enum fmx_status fmx_gateway_call(struct fmx_gateway_caller *caller,
                                 const struct fmx_gateway_request *request,
                                 fmx_gateway_answered *done, void *user)
{
    enum fmx_status status = done == NULL ? FMX_E_ARGUMENT : check_request(caller, request);

    if (status != FMX_OK) {
        return status;
    }
    struct fmx_order *order =
        fmx_order_make(FMX_ORDER_CALL, request->product_key, request->device_name);
    if (order == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    order->done.answered = done;
    order->user = user;
    order->timeout_ms = request->timeout_ms;
    order->since_ns = fmx_clock_ns();
    status = make_call(request, order);
    if (status != FMX_OK) {
        fmx_order_close(order);
        return status;
    }
    return send_order(caller, order);
}

/* One call that a thread waits for. */
struct waiting_call {
    pthread_mutex_t mutex;
    pthread_cond_t over;
    struct fmx_gateway_answer answer;
    uint8_t *payload;
    size_t room;
    bool is_over;
};

static void wake_up(void *user, const struct fmx_gateway_answer *answer)
{
    struct waiting_call *waiting = user;

    pthread_mutex_lock(&waiting->mutex);
    waiting->answer = *answer;
    size_t bytes = answer->payload.bytes < waiting->room ? answer->payload.bytes : waiting->room;
    if (bytes > 0) {
        memcpy(waiting->payload, answer->payload.data, bytes);
    }
    waiting->answer.payload = (fmx_slice){.data = waiting->payload, .bytes = bytes};
    waiting->is_over = true;
    pthread_cond_signal(&waiting->over);
    pthread_mutex_unlock(&waiting->mutex);
}

enum fmx_status fmx_gateway_call_wait(struct fmx_gateway_caller *caller,
                                      const struct fmx_gateway_request *request,
                                      uint8_t *out_payload, size_t room,
                                      struct fmx_gateway_answer *out_answer)
{
    struct waiting_call waiting = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                   .over = PTHREAD_COND_INITIALIZER,
                                   .payload = out_payload,
                                   .room = room};

    if (caller->on_shard != NULL) {
        return FMX_E_STATE;
    }
    enum fmx_status status = fmx_gateway_call(caller, request, wake_up, &waiting);
    if (status == FMX_OK) {
        pthread_mutex_lock(&waiting.mutex);
        while (!waiting.is_over) {
            pthread_cond_wait(&waiting.over, &waiting.mutex);
        }
        pthread_mutex_unlock(&waiting.mutex);
        *out_answer = waiting.answer;
    }
    pthread_cond_destroy(&waiting.over);
    pthread_mutex_destroy(&waiting.mutex);
    return status;
}

/* ── sessions ── */

enum fmx_status fmx_gateway_kick(struct fmx_gateway_caller *caller, struct fmx_session_id id)
{
    uint32_t shard = fmx_session_id_shard(id);
    struct fmx_msg message = {.kind = FMX_MSG_KICK,
                              .about = {.session = id, .cause = FMX_E_KICKED}};

    if (fmx_session_id_equal(id, FMX_SESSION_NONE) || shard >= shards_count(caller)) {
        return FMX_E_ARGUMENT;
    }
    return post(caller, shard, &message) ? FMX_OK : FMX_FULL;
}

static enum fmx_status kick(struct fmx_gateway_caller *caller, fmx_slice product_key,
                            fmx_slice device_name, enum fmx_status cause,
                            void (*done)(void *user, bool was_there), void *user)
{
    struct fmx_order *order = fmx_order_make(FMX_ORDER_KICK, product_key, device_name);

    if (order == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    order->cause = cause;
    order->done.kicked = done;
    order->user = user;
    return send_order(caller, order);
}

enum fmx_status fmx_gateway_kick_device(struct fmx_gateway_caller *caller, fmx_slice product_key,
                                        fmx_slice device_name,
                                        void (*done)(void *user, bool was_there), void *user)
{
    if (!is_platform(caller) || !are_names(product_key, device_name)) {
        return FMX_E_ARGUMENT;
    }
    return kick(caller, product_key, device_name, FMX_E_KICKED, done, user);
}

enum fmx_status fmx_gateway_query(struct fmx_gateway_caller *caller, fmx_slice product_key,
                                  fmx_slice device_name,
                                  void (*done)(void *user, const struct fmx_gateway_state *state),
                                  void *user)
{
    if (!is_platform(caller) || !are_names(product_key, device_name) || done == NULL) {
        return FMX_E_ARGUMENT;
    }
    struct fmx_order *order = fmx_order_make(FMX_ORDER_QUERY, product_key, device_name);
    if (order == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    order->done.queried = done;
    order->user = user;
    return send_order(caller, order);
}

enum fmx_status fmx_gateway_list(struct fmx_gateway_caller *caller, uint64_t cursor,
                                 void (*done)(void *user,
                                              const struct fmx_gateway_session *sessions,
                                              size_t count, uint64_t next_cursor),
                                 void *user)
{
    uint32_t shard = (uint32_t)(cursor >> 32);

    if (done == NULL || shard >= shards_count(caller)) {
        return FMX_E_ARGUMENT;
    }
    struct fmx_order *order = fmx_order_make(FMX_ORDER_LIST, (fmx_slice){0}, (fmx_slice){0});
    if (order == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    order->number = cursor;
    order->done.listed = done;
    order->user = user;
    struct fmx_msg message = {.kind = FMX_MSG_ORDER, .order = {.order = order}};
    if (!post(caller, shard, &message)) {
        fmx_order_close(order);
        return FMX_FULL;
    }
    return FMX_OK;
}

/* ── limits ── */

static enum fmx_status check_override(const struct fmx_gateway_caller *caller,
                                      const struct fmx_limits_override *override, char *error,
                                      size_t error_bytes)
{
    struct fmx_limits limits = caller->gateway->options.limits;

    fmx_limits_apply(&limits, override);
    return fmx_limits_check(&limits, error, error_bytes);
}

enum fmx_status fmx_gateway_set_limits(struct fmx_gateway_caller *caller, fmx_slice product_key,
                                       const struct fmx_limits_override *override, char *error,
                                       size_t error_bytes)
{
    enum fmx_status status = check_override(caller, override, error, error_bytes);

    if (status != FMX_OK) {
        return status;
    }
    if (product_key.bytes > 0 &&
        (!is_platform(caller) || fmx_dialect_product_key_fault(product_key) != NULL)) {
        snprintf(error, error_bytes, "product key: %s",
                 is_platform(caller) ? fmx_dialect_product_key_fault(product_key)
                                     : "the open profile has no products");
        return FMX_E_OPTION;
    }
    for (uint32_t to = 0; to < shards_count(caller); to++) {
        struct fmx_limits_change *change = calloc(1, sizeof(*change));
        struct fmx_msg message = {.kind = FMX_MSG_LIMITS, .limits = {.change = change}};
        if (change == NULL) {
            return FMX_LIMIT_MEMORY;
        }
        change->override = *override;
        change->key_bytes = (uint8_t)product_key.bytes;
        if (product_key.bytes > 0) {
            memcpy(change->key, product_key.data, product_key.bytes);
        }
        if (!post(caller, to, &message)) {
            free(change);
            return FMX_FULL;
        }
    }
    return FMX_OK;
}

/* ── from the registry's thread ── */

/* Its queue is full: that thread may wait, but not for shards that have ended. */
static void insist(struct fmx_gateway *gateway, struct fmx_mux_caller *caller, uint32_t to,
                   struct fmx_msg *message)
{
    while (!fmx_mux_caller_post(caller, to, message)) {
        if (atomic_load(&gateway->is_stopping)) {
            fmx_gateway_discard(NULL, message);
            return;
        }
        usleep(KEEPER_PAUSE_US);
    }
}

static void tell_product(struct fmx_gateway *gateway, fmx_slice product_key, bool is_gone)
{
    struct fmx_mux_caller *caller = atomic_load(&gateway->keeper_caller);

    for (uint32_t to = 0; caller != NULL && to < fmx_mux_shards_count(gateway->mux); to++) {
        struct fmx_msg message = {
            .kind = FMX_MSG_PRODUCT,
            .product = {.key = fmx_blob_make(product_key), .is_gone = is_gone}};
        if (message.product.key != NULL) {
            insist(gateway, caller, to, &message);
        }
    }
}

void fmx_gateway_on_product_changed(void *user, fmx_slice product_key)
{
    tell_product(user, product_key, false);
}

void fmx_gateway_on_device_gone(void *user, fmx_slice product_key, fmx_slice device_name)
{
    struct fmx_gateway *gateway = user;
    struct fmx_mux_caller *caller = atomic_load(&gateway->keeper_caller);

    if (caller == NULL) {
        return;
    }
    if (device_name.bytes == 0) { /* all of a product: each shard looks through its sessions */
        tell_product(gateway, product_key, true);
        return;
    }
    struct fmx_order *order = fmx_order_make(FMX_ORDER_KICK, product_key, device_name);
    if (order != NULL) {
        order->cause = FMX_PEER_NOT_AUTHORIZED;
        order->hash = fmx_topic_hash(fmx_order_key(order), gateway->hash_seed);
        struct fmx_msg message = {.kind = FMX_MSG_ORDER, .order = {.order = order}};
        insist(gateway, caller,
               (uint32_t)((order->hash >> 32) % fmx_mux_shards_count(gateway->mux)), &message);
    }
}

void fmx_gateway_on_registry_trouble(void *user, const char *words)
{
    const struct fmx_gateway *gateway = user;

    fmx_log_line(fmx_mux_log(gateway->mux), FMX_LOG_ERROR,
                 "registry: %s; what is known of devices stays in force", words);
}

void fmx_gateway_on_registered(void *user, uint64_t tag, enum fmx_status status, fmx_slice secret,
                               fmx_slice client_id)
{
    struct fmx_gateway *gateway = user;
    struct fmx_mux_caller *caller = atomic_load(&gateway->keeper_caller);
    struct fmx_session_id session = {tag};
    struct fmx_msg message = {.kind = FMX_MSG_REGISTERED,
                              .registered = {.session = session, .status = status}};

    if (caller == NULL) {
        return;
    }
    if (status == FMX_OK) {
        message.registered.secret = fmx_blob_make(secret);
        message.registered.client_id = client_id.bytes > 0 ? fmx_blob_make(client_id) : NULL;
    }
    insist(gateway, caller, fmx_session_id_shard(session), &message);
}

/* ── user properties ── */

enum fmx_status fmx_user_property_next(fmx_slice user_properties, size_t *offset,
                                       fmx_slice *out_key, fmx_slice *out_value)
{
    return fmx_props_next_user(user_properties, offset, out_key, out_value);
}

enum fmx_status fmx_user_property_write(uint8_t *out, size_t room, size_t *bytes, fmx_slice key,
                                        fmx_slice value)
{
    size_t needed = 1 + 2 + key.bytes + 2 + value.bytes;

    if (key.bytes > FMX_STRING_BYTES_MAX || value.bytes > FMX_STRING_BYTES_MAX ||
        !fmx_utf8_is_valid(key) || !fmx_utf8_is_valid(value)) {
        return FMX_E_ARGUMENT;
    }
    if (*bytes > room || room - *bytes < needed) {
        return FMX_FULL;
    }
    struct fmx_writer writer = fmx_writer_of(out + *bytes, needed);
    fmx_write_u8(&writer, FMX_PROP_USER_PROPERTY);
    fmx_write_string(&writer, key);
    fmx_write_string(&writer, value);
    *bytes += needed;
    return FMX_OK;
}
