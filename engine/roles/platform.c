/*
 * platform — the platform's profile: who a device is
 *
 * Why it is so:   a device proves that it knows its secret by signing what it says in CONNECT; the
 *                 gateway looks the secret up in its own memory and signs the same. One that is not
 *                 known costs the same work and hears the same code as one whose signature is
 *                 wrong. The connection that fetches credentials (dynamic registration) is signed
 *                 with the product's secret, and is nobody's session: it must not throw out the
 *                 device. Where the channel itself proves a device (a PSK, a certificate), CONNECT
 *                 may name no other; a certificate that is a login stands for the signature, and
 *                 for the user name if that is left empty
 * Words:          key: the user name, DEVICE NAME&PRODUCT KEY: what a session is known by here
 * Invariants:     (1) no key is claimed before its signature, or its certificate, was found right
 *                 (2) a connection that registers never claims, publishes or subscribes
 * States:         CONNECT → checked → (the peer's address) → claim → CONNACK
 *                 CONNECT → checked → (the registry's thread) → CONNACK, credentials → its own end
 * Memory:         the device's part of the session, device.c
 * Threads:        the session's shard
 * Limits:         those of the product; each refusal is counted, and 5.0 hears in words why
 * Not here:       what a device may say: platform_publish.c; the text of CONNECT: proto/dialect.c
 */
#include "engine/roles/channel.h"
#include "engine/roles/gateway.h"

#include "engine/clock.h"
#include "proto/topic.h"
#include "tls/hmac.h"

#define REGISTERING_KEEPALIVE_S 60u

/* What is known of the device that says CONNECT. */
struct claimant {
    struct fmx_channel channel;
    struct fmx_dialect_client client;
    fmx_slice key; /* the user name, or what it would be */
    fmx_slice product_key;
    fmx_slice device_name;
    struct fmx_device_info info;
    bool is_known;
    bool is_nameless; /* it has left its user name to its certificate */
    uint8_t key_room[FMX_DEVICE_NAME_BYTES_MAX + 1 + FMX_PRODUCT_KEY_BYTES_MAX];
};

static struct fmx_counters *counters_of(struct fmx_conn *conn)
{
    return &conn->shard->counters;
}

/* ── what CONNECT says ── */

/* Says no to the name that the channel proves: it is none that a device can have. */
static bool check_certificate(struct fmx_conn *conn, const struct claimant *claimant)
{
    const struct fmx_channel *channel = &claimant->channel;

    if (!channel->is_login || (fmx_dialect_device_name_fault(channel->device_name) == NULL &&
                               fmx_dialect_product_key_fault(channel->product_key) == NULL)) {
        return true;
    }
    fmx_gateway_refuse(conn, FMX_TLS_IDENTITY, channel->device_name,
                       "client certificate: common name and organization are no device name and "
                       "product key",
                       &counters_of(conn)->tls_identity_mismatches);
    return false;
}

/* Without a user name, or with the '&' alone that SDKs make of two empty names. */
static bool is_nameless(const struct claimant *claimant, const struct fmx_connect *connect)
{
    bool is_empty = !connect->has_username || connect->username.bytes == 0 ||
                    fmx_slice_equal(connect->username, fmx_slice_of("&"));

    return claimant->channel.is_login && is_empty;
}

static void take_name_of_certificate(struct claimant *claimant)
{
    const struct fmx_channel *channel = &claimant->channel;
    uint8_t *at = claimant->key_room;

    claimant->is_nameless = true;
    claimant->product_key = channel->product_key;
    claimant->device_name = channel->device_name;
    memcpy(at, channel->device_name.data, channel->device_name.bytes);
    at += channel->device_name.bytes;
    *at++ = '&';
    memcpy(at, channel->product_key.data, channel->product_key.bytes);
    at += channel->product_key.bytes;
    claimant->key =
        (fmx_slice){.data = claimant->key_room, .bytes = (size_t)(at - claimant->key_room)};
}

static bool parse_username(struct fmx_conn *conn, const struct fmx_connect *connect,
                           struct claimant *claimant)
{
    const char *fault = "user name is missing: DEVICE NAME&PRODUCT KEY";
    enum fmx_status status = FMX_PEER_CREDENTIALS;

    if (is_nameless(claimant, connect)) {
        take_name_of_certificate(claimant);
        return true;
    }
    claimant->key = connect->username;
    if (connect->has_username) {
        status = fmx_dialect_username(connect->username, &claimant->device_name,
                                      &claimant->product_key, &fault);
    }
    if (status != FMX_OK) {
        fmx_gateway_refuse(conn, status, connect->username, fault,
                           &counters_of(conn)->refused_credentials);
    }
    return status == FMX_OK;
}

static bool parse(struct fmx_conn *conn, const struct fmx_connect *connect,
                  struct claimant *claimant)
{
    const char *fault = NULL;
    enum fmx_status status = fmx_dialect_client_id(connect->client_id, &claimant->client, &fault);

    if (status != FMX_OK) {
        fmx_gateway_refuse(conn, status, connect->username, fault,
                           &counters_of(conn)->refused_client_id);
        return false;
    }
    return check_certificate(conn, claimant) && parse_username(conn, connect, claimant);
}

static bool check_channel(struct fmx_conn *conn, const struct claimant *claimant)
{
    const struct fmx_channel *channel = &claimant->channel;
    char words[96];

    if (fmx_channel_fits(channel, claimant->product_key, claimant->device_name)) {
        return true;
    }
    snprintf(words, sizeof(words), "user name: another device than %s says", channel->proof);
    fmx_gateway_refuse(conn, FMX_TLS_IDENTITY, claimant->key, words,
                       &counters_of(conn)->tls_identity_mismatches);
    return false;
}

/* What says otherwise was meant for another port. */
static bool check_secure_mode(struct fmx_conn *conn, const struct claimant *claimant)
{
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;
    bool is_tls = claimant->channel.is_tls;

    if (!claimant->client.has_secure_mode || claimant->client.auth_type != FMX_AUTH_SECRET ||
        fmx_dialect_secure_mode_fits(claimant->client.secure_mode, is_tls)) {
        return true;
    }
    fmx_count(&counters_of(conn)->secure_mode_mismatches, 1);
    if (options->checks_secure_mode) {
        fmx_gateway_refuse(conn, FMX_PEER_CLIENT_ID, claimant->key,
                           is_tls ? "securemode: this channel is TLS, 2"
                                  : "securemode: this channel is plain TCP, 3",
                           &counters_of(conn)->refused_client_id);
        return false;
    }
    return true;
}

static bool check_properties(struct fmx_conn *conn, const struct fmx_connect *connect,
                             const struct fmx_limits *limits)
{
    const char *fault =
        fmx_platform_users_fault(&connect->props, limits, conn->session.version == FMX_MQTT_50);

    if (fault != NULL) {
        fmx_gateway_refuse(conn, FMX_PEER_PROPERTY_VALUE, connect->username, fault,
                           &counters_of(conn)->refused_properties);
    }
    return fault == NULL;
}

/* ── who that is ── */

static bool is_signed(const struct claimant *claimant, fmx_slice secret, fmx_slice password)
{
    static const enum fmx_hmac_kind kinds[] = {[FMX_SIGN_HMAC_MD5] = FMX_HMAC_MD5,
                                               [FMX_SIGN_HMAC_SHA1] = FMX_HMAC_SHA1,
                                               [FMX_SIGN_HMAC_SHA256] = FMX_HMAC_SHA256};
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    uint8_t ours[FMX_HMAC_BYTES_MAX];
    uint8_t theirs[FMX_HMAC_BYTES_MAX];
    size_t ours_bytes = 0;
    size_t theirs_bytes = 0;

    size_t content_bytes = fmx_dialect_signed(&claimant->client, claimant->device_name,
                                              claimant->product_key, content);
    enum fmx_status status =
        fmx_hmac(kinds[claimant->client.sign_method], secret,
                 (fmx_slice){.data = content, .bytes = content_bytes}, ours, &ours_bytes);
    bool is_hex = fmx_dialect_unhex(password, theirs, sizeof(theirs), &theirs_bytes);
    return fmx_hmac_equal((fmx_slice){.data = ours, .bytes = ours_bytes},
                          (fmx_slice){.data = theirs, .bytes = theirs_bytes}) &&
           is_hex && status == FMX_OK && ours_bytes > 0;
}

/* Every claimant costs one signature, whatever is known of it. */
static bool is_genuine(const struct claimant *claimant, fmx_slice password)
{
    static const uint8_t nobody[32];
    const struct fmx_device_info *info = &claimant->info;
    fmx_slice token = {.data = info->token, .bytes = info->token_bytes};
    fmx_slice secret = {.data = info->secret, .bytes = info->secret_bytes};
    bool is_known = claimant->is_known;
    unsigned allowed = info->product_registration;

    switch (claimant->client.auth_type) {
    case FMX_AUTH_SECRET:
        break;
    case FMX_AUTH_TOKEN:
        return fmx_hmac_equal(token, password) && is_known && token.bytes > 0;
    case FMX_AUTH_REGISTER:
        is_known = is_known && (allowed & FMX_REGISTER_KNOWN) != 0;
        secret = (fmx_slice){.data = info->product_secret, .bytes = info->product_secret_bytes};
        break;
    case FMX_AUTH_REGISTER_NEW:
        is_known = info->product_version != 0 && (allowed & FMX_REGISTER_NEW) != 0;
        secret = (fmx_slice){.data = info->product_secret, .bytes = info->product_secret_bytes};
        break;
    }
    if (secret.bytes == 0) {
        is_known = false;
        secret = (fmx_slice){.data = nobody, .bytes = sizeof(nobody)};
    }
    return is_signed(claimant, secret, password) && is_known;
}

/* Who has logged in knows its secret: whoever asks for it again may be somebody else. */
static bool may_register(struct fmx_conn *conn, const struct claimant *claimant)
{
    const struct fmx_gateway_options *options = &fmx_gateway_of(conn->shard)->gateway->options;
    bool is_registering = claimant->client.auth_type == FMX_AUTH_REGISTER ||
                          claimant->client.auth_type == FMX_AUTH_REGISTER_NEW;

    if (!is_registering || !claimant->info.is_activated || options->registers_again) {
        return true;
    }
    fmx_gateway_refuse(conn, FMX_PEER_CREDENTIALS, claimant->key,
                       "authType: this device has logged in before and is not registered again",
                       &counters_of(conn)->refused_credentials);
    return false;
}

/* A certificate that is a login: check_channel has held the names against it. */
static bool is_certified(const struct claimant *claimant)
{
    return claimant->channel.is_login && claimant->is_known &&
           (claimant->client.auth_type == FMX_AUTH_SECRET ||
            claimant->client.auth_type == FMX_AUTH_TOKEN);
}

static bool authenticate(struct fmx_conn *conn, const struct fmx_connect *connect,
                         struct claimant *claimant)
{
    struct fmx_gateway *gateway = fmx_gateway_of(conn->shard)->gateway;
    fmx_slice password = connect->has_password ? connect->password : (fmx_slice){0};

    claimant->is_known = fmx_channel_find_device(gateway, conn->shard->index, claimant->product_key,
                                                 claimant->device_name, &claimant->info);
    if (!is_certified(claimant) && !is_genuine(claimant, password)) {
        fmx_gateway_refuse(conn, FMX_PEER_CREDENTIALS, claimant->key,
                           "unknown device, or the password is not its signature",
                           &counters_of(conn)->refused_credentials);
        return false;
    }
    if (claimant->info.status == FMX_REGISTRY_DISABLED ||
        claimant->info.product_status == FMX_REGISTRY_DISABLED) {
        fmx_gateway_refuse(conn, FMX_PEER_NOT_AUTHORIZED, claimant->key,
                           "the device or its product is disabled",
                           &counters_of(conn)->refused_disabled);
        return false;
    }
    return true;
}

/* ── CONNECT ── */

static bool agree_on_terms(struct fmx_conn *conn, const struct fmx_connect *connect,
                           const struct fmx_gateway_product *product)
{
    enum fmx_status status = fmx_session_use(&conn->session, &product->terms->session, connect);
    bool is_short = connect->keepalive_s < product->limits.keepalive_min_s;

    if (status != FMX_OK) {
        fmx_gateway_refuse(conn, status, connect->username,
                           is_short ? "keep-alive: below keepalive_min_s"
                                    : "keep-alive: above keepalive_max_s",
                           &counters_of(conn)->refused_keepalive);
    }
    return status == FMX_OK;
}

static struct fmx_gateway_product *product_of(struct fmx_conn *conn, fmx_slice product_key)
{
    struct fmx_gateway_product *product =
        fmx_products_get(&fmx_gateway_of(conn->shard)->products, product_key);

    if (product == NULL) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
    }
    return product;
}

static bool open_device(struct fmx_conn *conn, const struct claimant *claimant,
                        struct fmx_gateway_product *product)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    part->device = fmx_device_open(conn, product, &claimant->client, claimant->product_key,
                                   claimant->device_name);
    if (part->device == NULL) {
        fmx_conn_close(conn, FMX_LIMIT_MEMORY);
        return false;
    }
    return true;
}

/* It claims nothing, so what bounds it is not its home but each shard for itself. */
static bool may_register_now(struct fmx_conn *conn)
{
    struct fmx_gateway_shard *gateway = fmx_gateway_of(conn->shard);
    uint32_t per_minute = fmx_gateway_limits(conn)->connects_per_minute;

    if (per_minute == FMX_UNLIMITED ||
        fmx_connect_rate_allows(&gateway->connect_rate, ~fmx_gateway_hash(conn), per_minute,
                                conn->shard->now_ns)) {
        return true;
    }
    fmx_gateway_refuse(conn, FMX_LIMIT_CONNECT_RATE, fmx_gateway_key(fmx_gateway_part(conn)),
                       "registrations of this device: more than connects_per_minute",
                       &counters_of(conn)->refused_connect_rate);
    return false;
}

static void begin_registration(struct fmx_conn *conn, const struct claimant *claimant)
{
    struct fmx_gateway *gateway = fmx_gateway_of(conn->shard)->gateway;

    if (!may_register_now(conn)) {
        return;
    }
    enum fmx_status status =
        fmx_devices_register(gateway->devices, claimant->product_key, claimant->device_name,
                             claimant->client.auth_type == FMX_AUTH_REGISTER_NEW,
                             gateway->options.registers_again, fmx_conn_id(conn).bits);
    if (status != FMX_OK) {
        fmx_conn_close(conn, status);
    }
}

static bool identify(struct fmx_conn *conn, const struct fmx_connect *connect,
                     struct claimant *claimant)
{
    claimant->channel = fmx_channel_of(conn);
    return parse(conn, connect, claimant) && check_channel(conn, claimant) &&
           check_secure_mode(conn, claimant) && authenticate(conn, connect, claimant) &&
           may_register(conn, claimant);
}

static void admit(struct fmx_conn *conn, const struct fmx_connect *connect,
                  const struct claimant *claimant)
{
    struct fmx_gateway_product *product = product_of(conn, claimant->product_key);

    if (product == NULL || !check_properties(conn, connect, &product->limits) ||
        !fmx_gateway_keep_names(conn, claimant->key, claimant->client.logical_id) ||
        !open_device(conn, claimant, product)) {
        return;
    }
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;
    if (device->is_registering) {
        conn->session.keepalive_s = REGISTERING_KEEPALIVE_S; /* whatever was asked for */
        conn->session.keepalive_is_lowered = true;           /* so 5.0 says */
        begin_registration(conn, claimant);
        return;
    }
    device->wants_identity = claimant->is_nameless;
    fmx_gateway_part(conn)->id_is_assigned = claimant->client.logical_id.bytes == 0;
    if (agree_on_terms(conn, connect, product) &&
        fmx_gateway_ask_service(conn, connect, claimant->key)) {
        fmx_conn_ask_peer_name(conn, &device->address, false);
    }
}

static void on_connect(struct fmx_conn *conn, const struct fmx_connect *connect)
{
    struct claimant claimant = {0};

    if (identify(conn, connect, &claimant)) {
        admit(conn, connect, &claimant);
    }
    explicit_bzero(&claimant.info, sizeof(claimant.info)); /* secrets */
}

void fmx_platform_on_peer_name(struct fmx_conn *conn, bool is_known)
{
    struct fmx_gateway_session_part *part = fmx_gateway_part(conn);

    if (conn->state != FMX_CONN_OPEN) {
        return;
    }
    if (is_known && part->device->address.sin6_family == AF_INET6 && !part->device->is_named) {
        part->device->is_named = true;
        fmx_conn_ask_peer_name(conn, &part->device->address, true);
        return;
    }
    if (!is_known) {
        part->device->address.sin6_family = 0;
    }
    fmx_gateway_claim(conn);
}

bool fmx_platform_welcome(struct fmx_conn *conn)
{
    const struct fmx_gateway_session_part *part = fmx_gateway_part(conn);
    struct fmx_gateway *gateway = fmx_gateway_of(conn->shard)->gateway;
    fmx_slice product_key = fmx_gateway_product_key(part);
    fmx_slice device_name = fmx_gateway_device_name(part);
    struct fmx_device_info info;

    if (gateway->devices == NULL) {
        return true;
    }
    if (fmx_devices_find(gateway->devices, conn->shard->index, product_key, device_name, &info) !=
            FMX_OK ||
        info.status == FMX_REGISTRY_DISABLED || info.product_status == FMX_REGISTRY_DISABLED) {
        return false;
    }
    if (!info.is_activated) {
        fmx_devices_activate(gateway->devices, product_key, device_name);
    }
    return true;
}

/* What the registry's thread says, in what a device may hear. */
static enum fmx_status registration_status(const struct fmx_msg *message)
{
    switch (message->registered.status) {
    case FMX_OK:
        return message->registered.secret != NULL ? FMX_OK : FMX_LIMIT_MEMORY;
    case FMX_E_STALE:
        return FMX_PEER_CREDENTIALS;
    case FMX_SYS_FILE:
        return FMX_LIMIT_BUSY;
    default:
        return message->registered.status;
    }
}

static void give_credentials(struct fmx_conn *conn, const struct fmx_msg *message)
{
    struct fmx_device_state *device = fmx_gateway_part(conn)->device;
    const struct fmx_blob *client_id = message->registered.client_id;

    fmx_count(&counters_of(conn)->registrations, 1);
    fmx_conn_admit(conn, false, (fmx_slice){0});
    fmx_system_credentials(conn, fmx_blob_slice(message->registered.secret),
                           client_id == NULL ? (fmx_slice){0} : fmx_blob_slice(client_id));
    if (conn->state == FMX_CONN_OPEN) { /* it disconnects; if not, fmx_platform_on_timer does */
        fmx_wheel_arm(&conn->shard->wheel, &device->up_timer,
                      conn->shard->now_ns + REGISTERING_KEEPALIVE_S * FMX_NS_PER_S / 6);
    }
}

void fmx_platform_on_registered(struct fmx_gateway_shard *gateway, struct fmx_msg *message)
{
    struct fmx_conn *conn = fmx_shard_find(gateway->shard, message->registered.session);
    enum fmx_status status = registration_status(message);

    if (conn != NULL && conn->state == FMX_CONN_OPEN && status == FMX_OK) {
        give_credentials(conn, message);
    } else if (conn != NULL && conn->state == FMX_CONN_OPEN) {
        fmx_gateway_refuse(conn, status, fmx_gateway_key(fmx_gateway_part(conn)),
                           "registration: not for this device, or not now",
                           &counters_of(conn)->refused_credentials);
    }
    fmx_gateway_discard(gateway->shard, message);
}

/* ── subscriptions ── */

static enum fmx_status may_subscribe(struct fmx_gateway_shard *gateway, fmx_slice key,
                                     fmx_slice filter)
{
    fmx_slice product_key, device_name;

    if (!fmx_gateway_split_key(key, &product_key, &device_name)) {
        return FMX_PEER_NOT_AUTHORIZED;
    }
    struct fmx_dialect_topic topic = fmx_dialect_topic_filter(filter, product_key, device_name);
    if (topic.use == FMX_USE_FOREIGN || !topic.may_subscribe) {
        return FMX_PEER_NOT_AUTHORIZED;
    }
    struct fmx_dialect_topic custom =
        topic.use == FMX_USE_RRPC_CUSTOM
            ? fmx_dialect_topic_filter(topic.rest, product_key, device_name)
            : topic;
    if (custom.use != FMX_USE_CUSTOM) {
        return FMX_OK;
    }
    const struct fmx_gateway_product *product = fmx_products_get(&gateway->products, product_key);
    if (product == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    fmx_slice own = topic.use == FMX_USE_RRPC_CUSTOM ? topic.rest : filter; /* what is called */
    if (fmx_topic_levels(own) > product->limits.custom_topic_slashes_max + 1) {
        fmx_count(&gateway->shard->counters.limited_topic, 1);
        return FMX_LIMIT_TOPIC;
    }
    return fmx_product_allows(product, custom.rest, true, FMX_TOPIC_SUBSCRIBE)
               ? FMX_OK
               : FMX_PEER_NOT_AUTHORIZED;
}

/* A device's own topics are published to at its home; broadcasts come from any shard. */
static bool is_shared(fmx_slice filter)
{
    static const char prefix[] = "/broadcast/";

    return filter.bytes >= sizeof(prefix) - 1 &&
           memcmp(filter.data, prefix, sizeof(prefix) - 1) == 0;
}

static bool is_automatic(fmx_slice key, fmx_slice filter)
{
    fmx_slice product_key, device_name;

    if (!fmx_gateway_split_key(key, &product_key, &device_name)) {
        return false;
    }
    struct fmx_dialect_topic topic = fmx_dialect_topic_filter(filter, product_key, device_name);
    return topic.may_subscribe && topic.use != FMX_USE_FOREIGN && topic.use != FMX_USE_CUSTOM &&
           topic.use != FMX_USE_BROADCAST;
}

const struct fmx_profile_rules fmx_profile_platform = {
    .on_connect = on_connect,
    .on_publish = fmx_platform_on_publish,
    .may_subscribe = may_subscribe,
    .is_shared = is_shared,
    .is_automatic = is_automatic,
};
