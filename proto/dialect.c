/*
 * dialect — what the platform's devices say in CONNECT, and what their passwords sign
 *
 * Why it is so:   device SDKs disagree about details that nobody can change any more, so reading is
 *                 lenient where a kind of SDK needs it, and strict where a mistake would only come
 *                 back as "wrong password". Lenient: commas after the closing pipe, empty list
 *                 elements, pipes and blanks inside values, no closing pipe, no options at all,
 *                 unknown keys; of a key that stands twice the last one counts. Strict: an option
 *                 that decides what is signed or what is granted must be one that we understand.
 *                 Options are a table from name to reader, so that a new one is a row.
 *                 A product key may not be one of the roots of the platform's own topics: the
 *                 custom topics of a product "sys" would be the system topics of others.
 * Words:          logical id: the client id up to the first pipe, which is what is signed; option:
 *                 `key=value` between the pipes; fault: static words for the peer's Reason String
 * Invariants:     (1) every slice given back lies within the field that was given  (2) after FMX_OK
 *                 logical id, timestamp and random are within their bounds, so what is signed
 *                 always fits  (3) a fault is printable ASCII, at most 120 bytes, and holds nothing
 *                 of the peer's
 * Memory:         owns nothing
 * Threads:        pure
 * Limits:         dialect.h; fields are MQTT strings, so 65,535 bytes, each byte read a few times.
 *                 A timestamp is not compared with a clock, as on the platform.
 * Not here:       topics and calls: dialect_topic.c; hashes: tls/hmac.h; who is registered, and
 *                 the user name of an X.509 device, which is empty: the roles
 */
#include "proto/dialect.h"

#include <assert.h>

#include <fleetmux/private/assert.h>
#include "proto/utf8.h"

static_assert(sizeof "clientId" + sizeof "deviceName" + sizeof "productKey" + sizeof "timestamp" +
                      FMX_LOGICAL_ID_BYTES_MAX + FMX_DEVICE_NAME_BYTES_MAX +
                      FMX_PRODUCT_KEY_BYTES_MAX + FMX_SIGN_PARAM_BYTES_MAX <=
                  FMX_SIGNED_BYTES_MAX,
              "whatever is signed fits");

static bool is_text(fmx_slice slice, const char *text)
{
    return fmx_slice_equal(slice, fmx_slice_of(text));
}

/*
 * Cuts off the front what stands before the first `mark`, and the mark. False: there is none, and
 * `out_front` is all there was.
 */
static bool cut_at(fmx_slice *rest, uint8_t mark, fmx_slice *out_front)
{
    const uint8_t *at = rest->bytes > 0 ? memchr(rest->data, mark, rest->bytes) : NULL;

    *out_front = *rest;
    if (at == NULL) {
        *rest = (fmx_slice){0};
        return false;
    }
    out_front->bytes = (size_t)(at - rest->data);
    rest->data = at + 1;
    rest->bytes -= out_front->bytes + 1;
    return true;
}

static bool is_digits(fmx_slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.bytes > 0;
}

static bool read_number(fmx_slice text, uint32_t most, uint32_t *out_value)
{
    uint64_t value = 0;

    if (text.bytes > 10 || !is_digits(text)) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        value = 10 * value + (uint64_t)(text.data[i] - '0');
    }
    *out_value = (uint32_t)value;
    return value <= most;
}

/* ── options of the client id; each reader returns NULL or a fault ── */

static const char *take_secure_mode(fmx_slice value, struct fmx_dialect_client *client)
{
    bool is_negative = value.bytes > 0 && value.data[0] == '-';
    uint32_t number;

    if (is_negative) {
        value.data++;
        value.bytes--;
    }
    if (!read_number(value, INT32_MAX, &number)) {
        return "securemode in the client id: not a number; use 2 on TLS, 3 on TCP, -2 to register";
    }
    client->secure_mode = is_negative ? -(int32_t)number : (int32_t)number;
    client->has_secure_mode = true;
    return NULL;
}

static const char *const sign_method_names[] = {
    [FMX_SIGN_HMAC_MD5] = "hmacmd5",
    [FMX_SIGN_HMAC_SHA1] = "hmacsha1",
    [FMX_SIGN_HMAC_SHA256] = "hmacsha256",
};

static const char *take_sign_method(fmx_slice value, struct fmx_dialect_client *client)
{
    for (unsigned i = 0; i < sizeof sign_method_names / sizeof sign_method_names[0]; i++) {
        if (is_text(value, sign_method_names[i])) {
            client->sign_method = (enum fmx_sign_method)i;
            return NULL;
        }
    }
    return "signmethod in the client id: unknown; use hmacmd5, hmacsha1 or hmacsha256";
}

static const char *take_auth_type(fmx_slice value, struct fmx_dialect_client *client)
{
    static const char *const names[] = {
        [FMX_AUTH_REGISTER] = "register",
        [FMX_AUTH_REGISTER_NEW] = "regnwl",
        [FMX_AUTH_TOKEN] = "connwl",
    };

    for (unsigned i = FMX_AUTH_REGISTER; i < sizeof names / sizeof names[0]; i++) {
        if (is_text(value, names[i])) {
            client->auth_type = (enum fmx_auth_type)i;
            return NULL;
        }
    }
    return "authType in the client id: unknown; use register, regnwl or connwl, or leave it out";
}

static const char *take_timestamp(fmx_slice value, struct fmx_dialect_client *client)
{
    if (value.bytes > FMX_SIGN_PARAM_BYTES_MAX || !is_digits(value)) {
        return "timestamp in the client id: not a number; use 1 to 128 decimal digits";
    }
    client->timestamp = value;
    client->has_timestamp = true;
    return NULL;
}

static const char *take_random(fmx_slice value, struct fmx_dialect_client *client)
{
    if (value.bytes > FMX_SIGN_PARAM_BYTES_MAX) {
        return "random in the client id: too long; use at most 128 bytes";
    }
    client->random = value;
    return NULL;
}

static const char *take_ext(fmx_slice value, struct fmx_dialect_client *client)
{
    if (!read_number(value, UINT32_MAX, &client->ext)) {
        return "ext in the client id: not a number; use the sum of 1 (calls) and 2 (notices)";
    }
    return NULL;
}

static const char *take_auto_subscribe(fmx_slice value, struct fmx_dialect_client *client)
{
    client->auto_subscribe = is_text(value, "1");
    return NULL;
}

static const char *take_is_gateway(fmx_slice value, struct fmx_dialect_client *client)
{
    client->is_gateway = is_text(value, "1");
    return NULL;
}

static const char *take_sdk(fmx_slice value, struct fmx_dialect_client *client)
{
    client->sdk = value;
    return NULL;
}

static const char *take_language(fmx_slice value, struct fmx_dialect_client *client)
{
    client->language = value;
    return NULL;
}

static const char *take_instance_id(fmx_slice value, struct fmx_dialect_client *client)
{
    client->instance_id = value;
    return NULL;
}

static const struct {
    const char *key;
    const char *(*take)(fmx_slice value, struct fmx_dialect_client *client);
} options[] = {
    {"timestamp", take_timestamp},
    {"_ss", take_auto_subscribe},
    {"_v", take_sdk},
    {"securemode", take_secure_mode},
    {"signmethod", take_sign_method},
    {"ext", take_ext},
    {"lan", take_language},
    {"gw", take_is_gateway},
    {"authType", take_auth_type},
    {"random", take_random},
    {"instanceId", take_instance_id},
};

/* One list element; a key alone has an empty value. */
static const char *take_option(fmx_slice option, struct fmx_dialect_client *client)
{
    fmx_slice key;

    (void)cut_at(&option, '=', &key);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (is_text(key, options[i].key)) {
            return options[i].take(option, client);
        }
    }
    return NULL;
}

/* The pipe that closes the list is its last byte but for commas; others belong to values. */
static fmx_slice without_closing_pipe(fmx_slice list)
{
    while (list.bytes > 0 && list.data[list.bytes - 1] == ',') {
        list.bytes--;
    }
    if (list.bytes > 0 && list.data[list.bytes - 1] == '|') {
        list.bytes--;
    }
    return list;
}

/* What no single option can tell. */
static const char *client_fault(const struct fmx_dialect_client *client)
{
    bool is_registration =
        client->auth_type == FMX_AUTH_REGISTER || client->auth_type == FMX_AUTH_REGISTER_NEW;

    if (client->logical_id.bytes > FMX_LOGICAL_ID_BYTES_MAX) {
        return "client id: too long; use at most 256 bytes before the first pipe";
    }
    if (is_registration && client->random.bytes == 0) {
        return "random in the client id: missing; a registration signs 1 to 128 bytes of it";
    }
    return NULL;
}

enum fmx_status fmx_dialect_client_id(fmx_slice field, struct fmx_dialect_client *out_client,
                                      const char **out_fault)
{
    fmx_slice list = field;
    fmx_slice option;
    const char *fault = NULL;

    *out_client = (struct fmx_dialect_client){0};
    out_client->has_options = cut_at(&list, '|', &out_client->logical_id);
    list = without_closing_pipe(list);
    while (fault == NULL && list.bytes > 0) {
        (void)cut_at(&list, ',', &option);
        fault = take_option(option, out_client);
    }
    *out_fault = fault != NULL ? fault : client_fault(out_client);
    return *out_fault == NULL ? FMX_OK : FMX_PEER_CLIENT_ID;
}

bool fmx_dialect_secure_mode_fits(int32_t secure_mode, bool is_tls)
{
    if (is_tls) {
        return secure_mode == 2 || secure_mode == -1 || secure_mode == 14;
    }
    return secure_mode == 3;
}

/* ── names ── */

/* No separator of topics, user names and option lists, no control character (C0, DEL, C1). */
static bool has_name_characters(fmx_slice name)
{
    for (size_t i = 0; i < name.bytes; i++) {
        uint8_t byte = name.data[i];
        bool is_c1 = byte == 0xc2 && i + 1 < name.bytes && name.data[i + 1] < 0xa0;
        if (byte < 0x20 || byte == 0x7f || is_c1 || memchr("/+#&|,", byte, 6) != NULL) {
            return false;
        }
    }
    return fmx_utf8_is_valid(name);
}

/* The first levels of topics that are not a product's. */
static bool is_platform_root(fmx_slice name)
{
    static const char *const roots[] = {"sys", "ext", "ota", "shadow", "broadcast", "as"};

    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        if (is_text(name, roots[i])) {
            return true;
        }
    }
    return false;
}

const char *fmx_dialect_product_key_fault(fmx_slice product_key)
{
    if (product_key.bytes < 1 || product_key.bytes > FMX_PRODUCT_KEY_BYTES_MAX) {
        return "product key: use 1 to 32 bytes";
    }
    if (!has_name_characters(product_key)) {
        return "product key: use UTF-8 without / + # & | , and control characters";
    }
    if (is_platform_root(product_key)) {
        return "product key: sys, ext, ota, shadow, broadcast and as are the platform's own";
    }
    return NULL;
}

const char *fmx_dialect_device_name_fault(fmx_slice device_name)
{
    if (device_name.bytes < 1 || device_name.bytes > FMX_DEVICE_NAME_BYTES_MAX) {
        return "device name: use 1 to 64 bytes";
    }
    if (!has_name_characters(device_name)) {
        return "device name: use UTF-8 without / + # & | , and control characters";
    }
    return NULL;
}

enum fmx_status fmx_dialect_username(fmx_slice field, fmx_slice *out_device_name,
                                     fmx_slice *out_product_key, const char **out_fault)
{
    const char *fault = NULL;

    *out_product_key = field;
    if (!cut_at(out_product_key, '&', out_device_name)) {
        fault = "user name: no &; use <device name>&<product key>";
    }
    if (fault == NULL) {
        fault = fmx_dialect_device_name_fault(*out_device_name);
    }
    if (fault == NULL) {
        fault = fmx_dialect_product_key_fault(*out_product_key);
    }
    *out_fault = fault;
    return fault == NULL ? FMX_OK : FMX_PEER_CREDENTIALS;
}

/* ── passwords ── */

static void write_param(struct fmx_writer *writer, const char *key, fmx_slice value)
{
    fmx_write_bytes(writer, fmx_slice_of(key));
    fmx_write_bytes(writer, value);
}

size_t fmx_dialect_signed(const struct fmx_dialect_client *client, fmx_slice device_name,
                          fmx_slice product_key, uint8_t out[FMX_SIGNED_BYTES_MAX])
{
    struct fmx_writer writer = fmx_writer_of(out, FMX_SIGNED_BYTES_MAX);

    if (client->auth_type == FMX_AUTH_TOKEN) {
        return 0;
    }
    if (client->auth_type == FMX_AUTH_SECRET) {
        write_param(&writer, "clientId", client->logical_id);
    }
    write_param(&writer, "deviceName", device_name);
    write_param(&writer, "productKey", product_key);
    if (client->auth_type != FMX_AUTH_SECRET) {
        write_param(&writer, "random", client->random);
    } else if (client->has_timestamp) {
        write_param(&writer, "timestamp", client->timestamp);
    }
    FMX_ASSERT(!writer.failed); /* what was taken apart above is within its bounds */
    return (size_t)(writer.at - out);
}

/* 16 and above: no hex digit. */
static unsigned hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - (unsigned)'0';
    }
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - (unsigned)'a' + 10 : 16;
}

bool fmx_dialect_unhex(fmx_slice text, uint8_t *out, size_t room, size_t *out_bytes)
{
    *out_bytes = 0;
    if (text.bytes % 2 != 0 || text.bytes / 2 > room) {
        return false;
    }
    for (size_t i = 0; i < text.bytes / 2; i++) {
        unsigned high = hex_value(text.data[2 * i]);
        unsigned low = hex_value(text.data[2 * i + 1]);
        if (high > 15 || low > 15) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    *out_bytes = text.bytes / 2;
    return true;
}

void fmx_dialect_hex(fmx_slice bytes, bool upper, char *out)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (size_t i = 0; i < bytes.bytes; i++) {
        out[2 * i] = digits[bytes.data[i] >> 4];
        out[2 * i + 1] = digits[bytes.data[i] & 15];
    }
}

/* ── TLS-PSK ── */

size_t fmx_dialect_psk_identity(const struct fmx_dialect_psk *psk,
                                uint8_t out[FMX_PSK_IDENTITY_BYTES_MAX])
{
    struct fmx_writer writer = fmx_writer_of(out, FMX_PSK_IDENTITY_BYTES_MAX);
    bool is_signed = psk->timestamp.bytes > 0;

    if (is_signed) {
        fmx_write_bytes(&writer, fmx_slice_of("devicename|"));
        fmx_write_bytes(&writer, fmx_slice_of(sign_method_names[psk->sign_method]));
        fmx_write_u8(&writer, '|');
    }
    fmx_write_bytes(&writer, psk->product_key);
    fmx_write_u8(&writer, is_signed ? '&' : '/');
    fmx_write_bytes(&writer, psk->device_name);
    if (is_signed) {
        fmx_write_u8(&writer, '|');
        fmx_write_bytes(&writer, psk->timestamp);
    }
    return writer.failed ? 0 : (size_t)(writer.at - out);
}

/* "devicename|hmacsha256|<pk>&<dn>|<timestamp>": no name holds a pipe. */
static bool read_signed_psk(fmx_slice identity, struct fmx_dialect_psk *psk)
{
    fmx_slice form, method, names;

    if (!cut_at(&identity, '|', &form) || !cut_at(&identity, '|', &method) ||
        !cut_at(&identity, '|', &names) || !cut_at(&names, '&', &psk->product_key)) {
        return false;
    }
    psk->device_name = names;
    psk->timestamp = identity;
    psk->sign_method = FMX_SIGN_HMAC_SHA256;
    return is_text(form, "devicename") && is_text(method, "hmacsha256") && is_digits(identity) &&
           identity.bytes <= FMX_SIGN_PARAM_BYTES_MAX;
}

enum fmx_status fmx_dialect_psk_read(fmx_slice identity, struct fmx_dialect_psk *out_psk)
{
    bool has_pipe = identity.bytes > 0 && memchr(identity.data, '|', identity.bytes) != NULL;
    bool is_good = identity.bytes <= FMX_PSK_IDENTITY_BYTES_MAX;

    *out_psk = (struct fmx_dialect_psk){0};
    if (has_pipe) {
        is_good = is_good && read_signed_psk(identity, out_psk);
    } else {
        out_psk->device_name = identity;
        is_good = is_good && cut_at(&out_psk->device_name, '/', &out_psk->product_key);
    }
    is_good = is_good && fmx_dialect_product_key_fault(out_psk->product_key) == NULL &&
              fmx_dialect_device_name_fault(out_psk->device_name) == NULL;
    return is_good ? FMX_OK : FMX_TLS_PSK;
}

size_t fmx_dialect_psk_signed(const struct fmx_dialect_psk *psk, uint8_t out[FMX_SIGNED_BYTES_MAX])
{
    struct fmx_writer writer = fmx_writer_of(out, FMX_SIGNED_BYTES_MAX);

    if (psk->timestamp.bytes == 0) {
        return 0;
    }
    fmx_write_bytes(&writer, fmx_slice_of("id"));
    fmx_write_bytes(&writer, psk->product_key);
    fmx_write_u8(&writer, '&');
    fmx_write_bytes(&writer, psk->device_name);
    write_param(&writer, "timestamp", psk->timestamp);
    FMX_ASSERT(!writer.failed); /* names within bounds, and a timestamp of an identity */
    return (size_t)(writer.at - out);
}

/* ── quirks ── */

static const struct {
    const char *sdk_prefix;
    enum fmx_version version;
    struct fmx_quirks quirks;
} quirks_of[] = {
    /* wants 0 in the acknowledge flags of 5.0, whatever it asked for */
    {"sdk-c-4.", FMX_MQTT_50, {.session_present_is_0 = true}},
};

struct fmx_quirks fmx_dialect_quirks(fmx_slice sdk, enum fmx_version version)
{
    for (size_t i = 0; i < sizeof quirks_of / sizeof quirks_of[0]; i++) {
        fmx_slice prefix = fmx_slice_of(quirks_of[i].sdk_prefix);
        if (version == quirks_of[i].version && sdk.bytes >= prefix.bytes &&
            memcmp(sdk.data, prefix.data, prefix.bytes) == 0) {
            return quirks_of[i].quirks;
        }
    }
    return (struct fmx_quirks){0};
}
