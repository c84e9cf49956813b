/*
 * fleet_device — who a client is, and what it says of itself in CONNECT
 *
 * Why it is so:   a million devices are one template, one key, or one call of the user's; nothing
 *                 of a device is kept. Its names are made anew for each text that asks for them,
 *                 its secret and its signature for each CONNECT: two hashes, some microseconds
 * Words:          login: client id, user name and password of one CONNECT
 * Memory:         the stack; what a device has learnt by registering: fleet_register.c
 * Threads:        owning shard; the plan is read-only; fmx_fleet_device any
 * Limits:         those of proto/dialect.h; what a plan has beyond them: fleet_plan.c
 * Not here:       what is signed: proto/dialect.c
 */
#include "engine/roles/fleet_device.h"

#include "tls/hmac.h"

#include <stdio.h>

#define DERIVED_DIGITS     32u  /* of a secret made from a key */
#define SECURE_MODE_LEARNS (-2) /* while registering, and with a token */

static_assert(sizeof(((struct fmx_fleet_device *)0)->product_key) == FMX_PRODUCT_KEY_BYTES_MAX + 1,
              "a product key and its end");
static_assert(sizeof(((struct fmx_fleet_device *)0)->device_name) == FMX_DEVICE_NAME_BYTES_MAX + 1,
              "a device name and its end");
static_assert(DERIVED_DIGITS < sizeof(((struct fmx_fleet_device *)0)->secret), "it has room");
static_assert(FMX_LOGICAL_ID_BYTES_MAX + FMX_SIGN_PARAM_BYTES_MAX + FMX_FLEET_SDK_BYTES_MAX +
                      FMX_FLEET_OPTIONS_BYTES_MAX + 256 <=
                  sizeof(((struct fmx_fleet_login *)0)->client_id_bytes),
              "any client id has room");
static_assert(FMX_FLEET_TOKEN_BYTES_MAX <= sizeof(((struct fmx_fleet_login *)0)->password_bytes),
              "any token has room");

/* ── names ── */

static void fill_name(const char *text, const struct fmx_template_values *values, char *out,
                      size_t out_bytes)
{
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];
    fmx_slice name = fmx_template_fill(text, values, filled);
    size_t bytes = name.bytes < out_bytes ? name.bytes : out_bytes - 1;

    memcpy(out, name.data, bytes);
    out[bytes] = '\0';
}

/* One that the user has filled in: its ends are made sure of. */
static bool ask_user(const struct fmx_fleet_platform *platform, uint32_t number,
                     struct fmx_fleet_device *device)
{
    memset(device, 0, sizeof(*device));
    bool is_there = platform->device(platform->device_user, number, device);

    device->product_key[sizeof(device->product_key) - 1] = '\0';
    device->device_name[sizeof(device->device_name) - 1] = '\0';
    device->secret[sizeof(device->secret) - 1] = '\0';
    return is_there && device->product_key[0] != '\0' && device->device_name[0] != '\0';
}

bool fmx_fleet_device_names(const struct fmx_fleet_group *group, uint32_t number,
                            struct fmx_fleet_device *out_device)
{
    const struct fmx_fleet_platform *platform = &group->platform;
    struct fmx_template_values values = {.number = group->first_number + number,
                                         .run_number = number};

    if (platform->device != NULL) {
        return ask_user(platform, group->first_number + number, out_device);
    }
    fill_name(platform->product_key, &values, out_device->product_key,
              sizeof(out_device->product_key));
    fill_name(platform->device_name, &values, out_device->device_name,
              sizeof(out_device->device_name));
    out_device->secret[0] = '\0';
    return true;
}

bool fmx_fleet_device_secret(const struct fmx_fleet_platform *platform,
                             struct fmx_fleet_device *device)
{
    uint8_t digest[FMX_HMAC_BYTES_MAX];
    size_t bytes;

    if (platform->device != NULL) {
        return true; /* it came with the names */
    }
    if (platform->secret_key == NULL) {
        snprintf(device->secret, sizeof(device->secret), "%s",
                 platform->secret != NULL ? platform->secret : "");
        return true;
    }
    if (fmx_hmac(FMX_HMAC_SHA256, fmx_slice_of(platform->secret_key),
                 fmx_slice_of(device->device_name), digest, &bytes) != FMX_OK) {
        return false;
    }
    fmx_dialect_hex((fmx_slice){.data = digest, .bytes = DERIVED_DIGITS / 2}, false,
                    device->secret);
    device->secret[DERIVED_DIGITS] = '\0';
    return true;
}

enum fmx_status fmx_fleet_device(const struct fmx_fleet_group *group, uint32_t number,
                                 struct fmx_fleet_device *out_device, char *error,
                                 size_t error_bytes)
{
    if (!fmx_fleet_has_devices(group)) {
        snprintf(error, error_bytes,
                 "the group has no devices: give platform.product_key or platform.device");
        return FMX_E_OPTION;
    }
    enum fmx_status status = fmx_fleet_platform_check(group, error, error_bytes);
    if (status != FMX_OK) {
        return status;
    }
    if (!fmx_fleet_device_names(group, number, out_device)) {
        return FMX_END;
    }
    return fmx_fleet_device_secret(&group->platform, out_device) ? FMX_OK : FMX_LIMIT_MEMORY;
}

/* ── what variables stand for ── */

static void set_numbers(const struct fmx_fleet_group *group, uint32_t number,
                        struct fmx_fleet_names *names)
{
    names->values =
        (struct fmx_template_values){.number = group->first_number + number, .run_number = number};
}

static bool set_device(const struct fmx_fleet_group *group, uint32_t number,
                       struct fmx_fleet_names *names)
{
    if (!fmx_fleet_device_names(group, number, &names->device)) {
        return false;
    }
    names->values.product_key = fmx_slice_of(names->device.product_key);
    names->values.device_name = fmx_slice_of(names->device.device_name);
    return true;
}

static void set_client(const struct fmx_fleet_group *group, struct fmx_fleet_names *names)
{
    struct fmx_template_values *values = &names->values;
    bool is_device = fmx_fleet_has_devices(group);
    const char *username = is_device ? "%d&%p" : group->username;

    values->client_id = fmx_template_fill(is_device ? group->platform.client_id : group->client_id,
                                          values, names->client_id);
    if (username != NULL) {
        values->username = fmx_template_fill(username, values, names->username);
    }
}

void fmx_fleet_names_of(const struct fmx_fleet_client *client, struct fmx_fleet_names *out_names)
{
    const struct fmx_fleet_team *team = client->crew->team;

    set_numbers(&team->plan, client->number, out_names);
    if (team->topics_have_devices) {
        (void)set_device(&team->plan, client->number, out_names); /* it was there at CONNECT */
        explicit_bzero(out_names->device.secret, sizeof(out_names->device.secret));
    }
    if (team->topics_have_names) {
        set_client(&team->plan, out_names);
    }
}

fmx_slice fmx_fleet_fill(const struct fmx_fleet_client *client, const char *text, uint8_t *out)
{
    struct fmx_fleet_names names;

    fmx_fleet_names_of(client, &names);
    return fmx_template_fill(text, &names.values, out);
}

static bool has_names(const char *text)
{
    return strstr(text, "%c") != NULL || strstr(text, "%u") != NULL || strstr(text, "%p") != NULL ||
           strstr(text, "%d") != NULL;
}

bool fmx_fleet_fill_any(const struct fmx_fleet_group *group, uint32_t number, const char *text,
                        uint8_t *out, fmx_slice *out_text)
{
    struct fmx_fleet_names names;

    set_numbers(group, number, &names);
    if (has_names(text)) {
        if (fmx_fleet_has_devices(group) && !set_device(group, number, &names)) {
            return false;
        }
        set_client(group, &names);
    }
    *out_text = fmx_template_fill(text, &names.values, out);
    explicit_bzero(names.device.secret, sizeof(names.device.secret));
    return true;
}

/* ── signing ── */

static void write_option(struct fmx_writer *writer, const char *key, fmx_slice value)
{
    if (value.bytes > 0) {
        fmx_write_bytes(writer, fmx_slice_of(key));
        fmx_write_bytes(writer, value);
        fmx_write_u8(writer, ',');
    }
}

static const char *type_name(enum fmx_auth_type type)
{
    return type == FMX_AUTH_REGISTER       ? "register"
           : type == FMX_AUTH_REGISTER_NEW ? "regnwl"
           : type == FMX_AUTH_TOKEN        ? "connwl"
                                           : "";
}

static const char *method_name(enum fmx_sign_method method)
{
    return method == FMX_SIGN_HMAC_MD5    ? "hmacmd5"
           : method == FMX_SIGN_HMAC_SHA1 ? "hmacsha1"
                                          : "hmacsha256";
}

/* <id>|k=v,…,securemode=N|: what is always there stands last, and has no comma behind it. */
static fmx_slice write_client_id(const struct fmx_dialect_client *client, const char *more_options,
                                 struct fmx_fleet_login *login)
{
    struct fmx_writer writer =
        fmx_writer_of(login->client_id_bytes, sizeof(login->client_id_bytes));
    bool is_signed = client->auth_type != FMX_AUTH_TOKEN;
    char number[16];

    fmx_write_bytes(&writer, client->logical_id);
    fmx_write_u8(&writer, '|');
    write_option(&writer, "authType=", fmx_slice_of(type_name(client->auth_type)));
    write_option(&writer, "random=", client->random);
    write_option(&writer, "timestamp=", client->timestamp);
    write_option(&writer, "_ss=", fmx_slice_of(client->auto_subscribe ? "1" : ""));
    write_option(&writer, "_v=", client->sdk);
    write_option(&writer,
                 "signmethod=", fmx_slice_of(is_signed ? method_name(client->sign_method) : ""));
    if (client->ext > 0) {
        snprintf(number, sizeof(number), "%u", client->ext);
        write_option(&writer, "ext=", fmx_slice_of(number));
    }
    if (more_options != NULL) {
        write_option(&writer, "", fmx_slice_of(more_options));
    }
    snprintf(number, sizeof(number), "%d", (int)client->secure_mode);
    fmx_write_bytes(&writer, fmx_slice_of("securemode="));
    fmx_write_bytes(&writer, fmx_slice_of(number));
    fmx_write_u8(&writer, '|');
    FMX_ASSERT(!writer.failed);
    return (fmx_slice){.data = login->client_id_bytes,
                       .bytes = (size_t)(writer.at - login->client_id_bytes)};
}

static bool write_password(const struct fmx_dialect_client *client,
                           const struct fmx_fleet_device *device, fmx_slice secret,
                           struct fmx_fleet_login *login)
{
    static const enum fmx_hmac_kind kinds[] = {[FMX_SIGN_HMAC_MD5] = FMX_HMAC_MD5,
                                               [FMX_SIGN_HMAC_SHA1] = FMX_HMAC_SHA1,
                                               [FMX_SIGN_HMAC_SHA256] = FMX_HMAC_SHA256};
    uint8_t content[FMX_SIGNED_BYTES_MAX];
    uint8_t digest[FMX_HMAC_BYTES_MAX];
    size_t bytes;

    size_t content_bytes = fmx_dialect_signed(client, fmx_slice_of(device->device_name),
                                              fmx_slice_of(device->product_key), content);
    if (fmx_hmac(kinds[client->sign_method], secret,
                 (fmx_slice){.data = content, .bytes = content_bytes}, digest, &bytes) != FMX_OK) {
        return false;
    }
    fmx_dialect_hex((fmx_slice){.data = digest, .bytes = bytes}, true,
                    (char *)login->password_bytes);
    login->password = (fmx_slice){.data = login->password_bytes, .bytes = 2 * bytes};
    return true;
}

bool fmx_fleet_sign(const struct fmx_dialect_client *client, const char *more_options,
                    const struct fmx_fleet_device *device, fmx_slice secret,
                    struct fmx_fleet_login *out_login)
{
    const struct fmx_template_values values = {.product_key = fmx_slice_of(device->product_key),
                                               .device_name = fmx_slice_of(device->device_name)};

    out_login->has_username = out_login->has_password = true;
    out_login->client_id = write_client_id(client, more_options, out_login);
    out_login->username = fmx_template_fill("%d&%p", &values, out_login->username_bytes);
    if (client->auth_type == FMX_AUTH_TOKEN) {
        FMX_ASSERT(secret.bytes <= FMX_FLEET_TOKEN_BYTES_MAX);
        memcpy(out_login->password_bytes, secret.data, secret.bytes);
        out_login->password = (fmx_slice){.data = out_login->password_bytes, .bytes = secret.bytes};
        return true;
    }
    return write_password(client, device, secret, out_login);
}

/* ── logins ── */

static bool login_as_client(const struct fmx_fleet_group *group, struct fmx_fleet_names *names,
                            struct fmx_fleet_login *login)
{
    set_client(group, names);
    login->has_username = group->username != NULL;
    login->has_password = group->password != NULL;
    login->client_id = fmx_template_fill(group->client_id, &names->values, login->client_id_bytes);
    login->username = (fmx_slice){0};
    login->password = (fmx_slice){0};
    if (login->has_username) {
        login->username = fmx_template_fill(group->username, &names->values, login->username_bytes);
    }
    if (login->has_password) {
        login->password = fmx_template_fill(group->password, &names->values, login->password_bytes);
    }
    return true;
}

static fmx_slice text_or_none(const char *text)
{
    return text != NULL ? fmx_slice_of(text) : (fmx_slice){0};
}

/* One that asks who it is, with its product's secret. */
static bool login_to_register(const struct fmx_fleet_client *client_of,
                              const struct fmx_fleet_names *names, struct fmx_fleet_login *login)
{
    const struct fmx_fleet_platform *platform = &fmx_fleet_group_of(client_of)->platform;
    uint64_t drawn = fmx_fleet_draw(client_of->crew->team->fleet, fmx_fleet_index_of(client_of),
                                    FMX_DRAW_REGISTER, client_of->connects);
    char random[9];
    bool is_known = platform->registration == FMX_FLEET_REGISTER_KNOWN;

    snprintf(random, sizeof(random), "%08x", (unsigned)(drawn >> 32));
    struct fmx_dialect_client client = {
        .logical_id = names->values.client_id,
        .random = fmx_slice_of(random),
        .auth_type = is_known ? FMX_AUTH_REGISTER : FMX_AUTH_REGISTER_NEW,
        .sign_method = (enum fmx_sign_method)platform->sign_method,
        .secure_mode = SECURE_MODE_LEARNS,
    };
    return fmx_fleet_sign(&client, platform->more_options, &names->device,
                          fmx_slice_of(platform->product_secret), login);
}

/* One that knows who it is: from the plan, or because it was told. */
static bool login_as_device(const struct fmx_fleet_platform *platform,
                            const struct fmx_fleet_names *names,
                            const struct fmx_fleet_learnt *learnt, struct fmx_fleet_login *login)
{
    fmx_slice timestamp = text_or_none(platform->timestamp);
    fmx_slice secret = fmx_slice_of(names->device.secret);
    struct fmx_dialect_client client = {
        .logical_id = names->values.client_id,
        .timestamp = timestamp,
        .has_timestamp = timestamp.bytes > 0,
        .sdk = text_or_none(platform->sdk),
        .ext = platform->ext,
        .auth_type = FMX_AUTH_SECRET,
        .sign_method = (enum fmx_sign_method)platform->sign_method,
        .secure_mode = platform->secure_mode,
        .auto_subscribe = platform->auto_subscribe,
    };

    if (learnt != NULL) {
        secret =
            (fmx_slice){.data = learnt->bytes + learnt->id_bytes, .bytes = learnt->secret_bytes};
    }
    if (learnt != NULL && learnt->id_bytes > 0) {
        client.logical_id = (fmx_slice){.data = learnt->bytes, .bytes = learnt->id_bytes};
        client.auth_type = FMX_AUTH_TOKEN;
        client.secure_mode = SECURE_MODE_LEARNS;
        client.timestamp = (fmx_slice){0};
        client.has_timestamp = false;
    }
    return fmx_fleet_sign(&client, platform->more_options, &names->device, secret, login);
}

bool fmx_fleet_login(const struct fmx_fleet_client *client, struct fmx_fleet_login *out_login)
{
    const struct fmx_fleet_group *group = fmx_fleet_group_of(client);
    struct fmx_fleet_names names;

    set_numbers(group, client->number, &names);
    if (!fmx_fleet_has_devices(group)) {
        return login_as_client(group, &names, out_login);
    }
    if (!set_device(group, client->number, &names)) {
        return false;
    }
    set_client(group, &names);
    bool is_made =
        fmx_fleet_must_register(client)
            ? login_to_register(client, &names, out_login)
            : fmx_fleet_device_secret(&group->platform, &names.device) &&
                  login_as_device(&group->platform, &names, fmx_fleet_learnt_of(client), out_login);
    explicit_bzero(names.device.secret, sizeof(names.device.secret));
    return is_made;
}
