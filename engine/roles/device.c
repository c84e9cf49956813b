/*
 * device — what a session of the platform profile has beside every other: its product, its buckets,
 * its names
 *
 * Why it is so:   the platform counts messages per second and device, in both directions and for
 *                 QoS 1 apart; other profiles do not, and their sessions should not pay for it. So
 *                 all of it is one allocation behind a pointer
 * Words:          up: from the device; down: towards it
 * Invariants:     (1) a message takes all its tokens or none
 * Memory:         one block a session, and its outgoing aliases once it has any
 * Threads:        owning shard
 * Limits:         the product's; at most as many aliases as the device offers
 * Not here:       what happens to a message that finds no token: platform_publish.c, deliver.c
 */
#include "engine/roles/device.h"

#include "engine/shard.h"

#include <arpa/inet.h>
#include <stdlib.h>

static bool is_bounded(const struct fmx_rate_limit *limit)
{
    return limit->per_second > 0;
}

static struct fmx_rate_limit receive_rate(const struct fmx_device_state *device)
{
    uint32_t rate = device->has_receive_max ? device->conn->session.peer_receive_max : 0;

    return (struct fmx_rate_limit){.per_second = rate, .burst = rate};
}

static void fill(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit, uint64_t now_ns)
{
    if (is_bounded(limit)) {
        fmx_bucket_init(bucket, limit, now_ns);
    }
}

struct fmx_device_state *fmx_device_open(struct fmx_conn *conn, struct fmx_gateway_product *product,
                                         const struct fmx_dialect_client *client,
                                         fmx_slice product_key, fmx_slice device_name)
{
    struct fmx_device_state *device = calloc(1, sizeof(*device));

    if (device == NULL) {
        return NULL;
    }
    struct fmx_quirks quirks =
        fmx_dialect_quirks(client->sdk, (enum fmx_version)conn->session.version);
    device->conn = conn;
    device->product = product;
    device->ext = (uint8_t)client->ext;
    device->auto_subscribe = client->auto_subscribe;
    device->is_registering =
        client->auth_type == FMX_AUTH_REGISTER || client->auth_type == FMX_AUTH_REGISTER_NEW;
    device->session_present_is_0 = quirks.session_present_is_0;
    device->product_key_bytes = (uint8_t)product_key.bytes;
    device->device_name_bytes = (uint8_t)device_name.bytes;
    device->has_receive_max = conn->session.peer_receive_max != UINT16_MAX;
    device->up_timer.kind = device->down_timer.kind = FMX_TIMER_ROLE;
    device->up_timer.sub_kind = FMX_GATEWAY_TIMER_UP;
    device->down_timer.sub_kind = FMX_GATEWAY_TIMER_DOWN;
    struct fmx_rate_limit receive = receive_rate(device);
    fill(&device->up, &product->up, conn->shard->now_ns);
    fill(&device->up_qos1, &product->up_qos1, conn->shard->now_ns);
    fill(&device->down, &product->down, conn->shard->now_ns);
    fill(&device->down_qos1, &receive, conn->shard->now_ns);
    return device;
}

void fmx_device_rest(struct fmx_device_state *device)
{
    if (device != NULL) {
        fmx_wheel_disarm(&device->conn->shard->wheel, &device->up_timer);
        fmx_wheel_disarm(&device->conn->shard->wheel, &device->down_timer);
    }
}

void fmx_device_close(struct fmx_device_state *device)
{
    if (device == NULL) {
        return;
    }
    fmx_device_rest(device);
    for (uint16_t i = 0; i < device->aliases.used; i++) {
        free((void *)(uintptr_t)device->aliases.entries[i].topic.data);
    }
    free(device->aliases.entries);
    free(device);
}

fmx_slice fmx_device_address(const struct fmx_device_state *device,
                             char text[FMX_ADDRESS_TEXT_BYTES])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&device->address;
    const char *made = NULL;

    if (device->address.sin6_family == AF_INET) {
        made = inet_ntop(AF_INET, &v4->sin_addr, text, FMX_ADDRESS_TEXT_BYTES);
    } else if (IN6_IS_ADDR_V4MAPPED(&device->address.sin6_addr)) {
        made = inet_ntop(AF_INET, &device->address.sin6_addr.s6_addr[12], text,
                         FMX_ADDRESS_TEXT_BYTES);
    } else if (device->address.sin6_family == AF_INET6) {
        made = inet_ntop(AF_INET6, &device->address.sin6_addr, text, FMX_ADDRESS_TEXT_BYTES);
    }
    return made == NULL ? (fmx_slice){0} : fmx_slice_of(made);
}

/* ── buckets ── */

static uint64_t wait_ns(const struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                        uint64_t now_ns)
{
    return is_bounded(limit) ? fmx_bucket_wait_ns(bucket, limit, now_ns) : 0;
}

static void take(struct fmx_bucket *bucket, const struct fmx_rate_limit *limit, uint64_t now_ns)
{
    if (is_bounded(limit)) {
        enum fmx_status status = fmx_bucket_take(bucket, limit, now_ns);
        FMX_ASSERT(status == FMX_OK); /* looked at before */
    }
}

static uint64_t full_ns(const struct fmx_bucket *bucket, const struct fmx_rate_limit *limit,
                        uint64_t now_ns)
{
    return is_bounded(limit) ? fmx_bucket_full_ns(bucket, limit, now_ns) : 0;
}

struct fmx_rate_memory fmx_device_rates(const struct fmx_device_state *device, uint64_t now_ns)
{
    const struct fmx_gateway_product *product = device->product;

    return (struct fmx_rate_memory){.up_full_ns = full_ns(&device->up, &product->up, now_ns),
                                    .up_qos1_full_ns =
                                        full_ns(&device->up_qos1, &product->up_qos1, now_ns)};
}

void fmx_device_resume(struct fmx_device_state *device, const struct fmx_rate_memory *rates,
                       uint64_t now_ns)
{
    const struct fmx_gateway_product *product = device->product;

    if (is_bounded(&product->up)) {
        fmx_bucket_restore(&device->up, &product->up, rates->up_full_ns, now_ns);
    }
    if (is_bounded(&product->up_qos1)) {
        fmx_bucket_restore(&device->up_qos1, &product->up_qos1, rates->up_qos1_full_ns, now_ns);
    }
}

static uint64_t longer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

enum fmx_status fmx_device_take_up(struct fmx_device_state *device, uint8_t qos, uint64_t now_ns,
                                   enum fmx_limit *out_limit)
{
    const struct fmx_gateway_product *product = device->product;

    if (qos > 0 && wait_ns(&device->up_qos1, &product->up_qos1, now_ns) > 0) {
        *out_limit = FMX_LIM_upstream_qos1_per_second;
        return FMX_LATER;
    }
    if (wait_ns(&device->up, &product->up, now_ns) > 0) {
        *out_limit = FMX_LIM_upstream_per_second;
        return FMX_LATER;
    }
    take(&device->up, &product->up, now_ns);
    if (qos > 0) {
        take(&device->up_qos1, &product->up_qos1, now_ns);
    }
    return FMX_OK;
}

uint64_t fmx_device_up_wait_ns(const struct fmx_device_state *device, uint8_t qos, uint64_t now_ns)
{
    const struct fmx_gateway_product *product = device->product;
    uint64_t qos1_ns = qos > 0 ? wait_ns(&device->up_qos1, &product->up_qos1, now_ns) : 0;

    return longer(qos1_ns, wait_ns(&device->up, &product->up, now_ns));
}

uint64_t fmx_device_down_wait_ns(const struct fmx_device_state *device, uint8_t qos,
                                 uint64_t now_ns)
{
    struct fmx_rate_limit receive = receive_rate(device);
    uint64_t qos1_ns = qos > 0 ? wait_ns(&device->down_qos1, &receive, now_ns) : 0;

    return longer(qos1_ns, wait_ns(&device->down, &device->product->down, now_ns));
}

enum fmx_status fmx_device_take_down(struct fmx_device_state *device, uint8_t qos, uint64_t now_ns)
{
    struct fmx_rate_limit receive = receive_rate(device);

    if (fmx_device_down_wait_ns(device, qos, now_ns) > 0) {
        return FMX_LATER;
    }
    take(&device->down, &device->product->down, now_ns);
    if (qos > 0) {
        take(&device->down_qos1, &receive, now_ns);
    }
    return FMX_OK;
}

/* ── aliases towards the device ── */

static bool open_aliases(struct fmx_device_state *device)
{
    uint32_t ours = device->product->limits.topic_alias_out_max;
    uint32_t theirs = device->conn->session.peer_alias_max;
    uint16_t capacity = (uint16_t)(ours < theirs ? ours : theirs);

    if (device->aliases.entries != NULL || capacity == 0) {
        return capacity > 0;
    }
    struct fmx_alias_entry *entries = calloc(capacity, sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    fmx_alias_out_init(&device->aliases, entries, capacity);
    return true;
}

uint16_t fmx_device_alias(struct fmx_device_state *device, fmx_slice topic, bool *out_is_new)
{
    fmx_slice old = {0};

    *out_is_new = false;
    if (device->conn->session.version != FMX_MQTT_50 || !open_aliases(device)) {
        return 0;
    }
    uint16_t alias = fmx_alias_out_find(&device->aliases, topic);
    if (alias != 0) {
        return alias;
    }
    uint8_t *copy = malloc(topic.bytes);
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, topic.data, topic.bytes);
    alias =
        fmx_alias_out_put(&device->aliases, (fmx_slice){.data = copy, .bytes = topic.bytes}, &old);
    free(alias == 0 ? copy : (void *)(uintptr_t)old.data);
    *out_is_new = true;
    return alias;
}
