/*
 * channel — whom a connection's channel proves, and the keys of devices that prove it with a PSK
 *
 * Why it is so:   a PSK made of a device's secret, or a certificate with its name, says who is
 *                 there before CONNECT does. Then CONNECT may only name that device: else a device
 *                 could use its own channel to guess at another's password. PSKs of a file that are
 *                 not spelled like devices' prove nothing of the kind
 * Invariants:     (1) who is not known costs the same as who is: a key is made of nobody's secret
 *                 (2) secrets do not stay on the stack
 * Memory:         the stack's
 * Threads:        fmx_channel_psk_key: those that step handshakes, each a reader of the registry
 *                 with its own number; the others: the session's shard
 * Limits:         names and timestamp of an identity: 128 bytes together, as TLS libraries have it
 * Not here:       the spelling of identities: proto/dialect.c; CONNECT: platform.c, open.c
 */
#include "engine/roles/channel.h"

#include "engine/conn_tls.h"
#include "engine/roles/gateway.h"
#include "tls/hmac.h"

static void use_psk(struct fmx_channel *channel)
{
    struct fmx_dialect_psk psk;

    if (fmx_dialect_psk_read(channel->facts.psk_identity, &psk) == FMX_OK) {
        channel->proof = "its PSK";
        channel->product_key = psk.product_key;
        channel->device_name = psk.device_name;
    }
}

struct fmx_channel fmx_channel_of(const struct fmx_conn *conn)
{
    struct fmx_channel channel = {0};

    channel.is_tls = fmx_conn_tls_facts(conn, &channel.facts);
    if (!channel.is_tls) {
        return channel;
    }
    channel.is_login = fmx_tls_stream_is_login(fmx_conn_tls_stream(conn));
    if (channel.is_login) {
        channel.proof = "its certificate";
        channel.product_key = channel.facts.cert_organization;
        channel.device_name = channel.facts.cert_name;
    } else if (channel.facts.psk_identity.bytes > 0) {
        use_psk(&channel);
    }
    return channel;
}

bool fmx_channel_fits(const struct fmx_channel *channel, fmx_slice product_key,
                      fmx_slice device_name)
{
    return channel->proof == NULL || (fmx_slice_equal(channel->product_key, product_key) &&
                                      fmx_slice_equal(channel->device_name, device_name));
}

/* ── devices ── */

static bool ask_service(struct fmx_gateway *gateway, fmx_slice product_key, fmx_slice device_name,
                        struct fmx_device_info *out_info)
{
    const struct fmx_gateway_callbacks *callbacks = &gateway->options.callbacks;
    struct fmx_gateway_device device = {0};
    bool is_known =
        callbacks->on_device(gateway->options.user, product_key, device_name, &device) == FMX_OK;

    memset(out_info, 0, sizeof(*out_info));
    if (is_known && device.secret_bytes <= FMX_SECRET_BYTES_MAX) {
        out_info->status = device.is_disabled ? FMX_REGISTRY_DISABLED : FMX_REGISTRY_ENABLED;
        out_info->is_activated = true;
        out_info->secret_bytes = device.secret_bytes;
        memcpy(out_info->secret, device.secret, device.secret_bytes);
    }
    explicit_bzero(&device, sizeof(device));
    return is_known;
}

bool fmx_channel_find_device(struct fmx_gateway *gateway, uint32_t reader, fmx_slice product_key,
                             fmx_slice device_name, struct fmx_device_info *out_info)
{
    if (gateway->options.callbacks.on_device != NULL) {
        return ask_service(gateway, product_key, device_name, out_info);
    }
    return fmx_devices_find(gateway->devices, reader, product_key, device_name, out_info) == FMX_OK;
}

/* ── keys ── */

/* Of the C SDKs' form: the signature's digits. 0: no memory. */
static size_t sign(const struct fmx_dialect_psk *psk, fmx_slice secret,
                   uint8_t out_key[FMX_TLS_PSK_BYTES_MAX])
{
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    uint8_t digest[FMX_HMAC_BYTES_MAX];
    size_t digest_bytes = 0;
    size_t bytes = fmx_dialect_psk_signed(psk, content);

    static_assert(2 * FMX_HMAC_BYTES_MAX <= FMX_TLS_PSK_BYTES_MAX, "a key is its hex digits");
    if (fmx_hmac(FMX_HMAC_SHA256, secret, (fmx_slice){.data = content, .bytes = bytes}, digest,
                 &digest_bytes) != FMX_OK) {
        return 0;
    }
    fmx_dialect_hex((fmx_slice){.data = digest, .bytes = digest_bytes}, true, (char *)out_key);
    explicit_bzero(digest, sizeof(digest));
    return 2 * digest_bytes;
}

static bool is_enabled(const struct fmx_device_info *info)
{
    return info->status != FMX_REGISTRY_DISABLED && info->product_status != FMX_REGISTRY_DISABLED &&
           info->secret_bytes > 0;
}

size_t fmx_channel_psk_key(void *user, unsigned thread, fmx_slice identity,
                           uint8_t out_key[FMX_TLS_PSK_BYTES_MAX])
{
    static const uint8_t nobody[32];
    struct fmx_dialect_psk psk;
    struct fmx_device_info info;

    if (fmx_dialect_psk_read(identity, &psk) != FMX_OK) {
        return 0;
    }
    bool is_known =
        fmx_channel_find_device(user, thread, psk.product_key, psk.device_name, &info) &&
        is_enabled(&info);
    fmx_slice secret = {.data = is_known ? info.secret : nobody,
                        .bytes = is_known ? info.secret_bytes : sizeof(nobody)};
    size_t bytes = secret.bytes;
    if (psk.timestamp.bytes > 0) {
        bytes = sign(&psk, secret, out_key);
    } else {
        memcpy(out_key, secret.data, secret.bytes);
    }
    explicit_bzero(&info, sizeof(info));
    if (!is_known) {
        explicit_bzero(out_key, FMX_TLS_PSK_BYTES_MAX);
        bytes = 0;
    }
    return bytes;
}
