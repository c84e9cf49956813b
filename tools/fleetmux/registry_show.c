/*
 * registry_show — lists, exports and signs what the registry holds
 *
 * Why it is so:   lists are for eyes and show no secret; what shows one is asked for it: export,
 *                 sign, a product's JSON. Lines are printed as they are read, so that a million of
 *                 them take no memory
 * Threads:        one
 * Not here:       how a CONNECT is signed: engine/roles/sign.c
 */
#include "tools/fleetmux/registry.h"
#include "tools/fleetmux/registry_csv.h"
#include "tools/fleetmux/verbs.h"
#include "tools/fleetmux/words.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#define ERROR run->error, sizeof(run->error)

typedef struct json_object json;

struct date {
    char text[40];
};

/* Milliseconds of UNIX time as "2026-11-22T12:00:00Z"; "never" for 0. */
static struct date date_of(uint64_t unix_ms)
{
    struct date date = {.text = "never"};
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;

    if (unix_ms != 0 && gmtime_r(&seconds, &parts) != NULL) {
        strftime(date.text, sizeof(date.text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    return date;
}

static const char *status_name(enum fmx_registry_status status)
{
    return status == FMX_REGISTRY_ENABLED ? "enabled" : "disabled";
}

static const char *registration_name(unsigned registration)
{
    static const char *const names[] = {"none", "known", "new", "known,new"};

    return names[registration & 3];
}

static const char *permission_name(unsigned permission)
{
    static const char *const names[] = {"none", "pub", "sub", "pubsub"};

    return names[permission & 3];
}

static void add_text(json *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static void add_count(json *object, const char *name, uint64_t count)
{
    json_object_object_add(object, name, json_object_new_uint64(count));
}

/* Prints an object on a line of its own, and ends it. */
static void print_json(json *object)
{
    puts(json_object_to_json_string_ext(object,
                                        JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

/* A walk ends early when its lines cannot be written. */
static bool is_heard(void)
{
    return ferror(stdout) == 0;
}

static int end_walk(const struct registry_run *run, enum fmx_status status)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fprintf(stderr, "fleetmux registry: the output could not be written whole: %m\n");
        return EXIT_ABORTED;
    }
    return registry_tell(run, status);
}

/* ── products ── */

/* Limit by limit: its name, and its value as fmx_limits_override_set takes it. */
static void each_limit(const struct fmx_limits_override *override,
                       void (*each)(void *user, const char *name, const char *value), void *user)
{
    static const char *const over[] = {"drop", "delay", "disconnect"};
    char value[16];

    for (int i = 0; i < FMX_LIMITS_COUNT; i++) {
        enum fmx_limit limit = (enum fmx_limit)i;
        uint32_t number = fmx_limits_get(&override->limits, limit);
        if ((override->which >> i & 1) == 0) {
            continue;
        }
        if (number == FMX_UNLIMITED) {
            snprintf(value, sizeof(value), "none");
        } else if (limit == FMX_LIM_over_limit && number < 3) {
            snprintf(value, sizeof(value), "%s", over[number]);
        } else {
            snprintf(value, sizeof(value), "%" PRIu32, number);
        }
        each(user, fmx_limit_name(limit), value);
    }
}

static void print_limit(void *user, const char *name, const char *value)
{
    (void)user;
    printf("  %s=%s", name, value);
}

static void add_limit(void *user, const char *name, const char *value)
{
    add_text(user, name, value);
}

static bool print_product(void *user, const struct fmx_product *product)
{
    (void)user;
    printf("%-20s  %-8s  %13s devices  register %-9s", product->product_key,
           status_name(product->status), words_count(product->devices_count).text,
           registration_name(product->registration));
    each_limit(&product->limits, print_limit, NULL);
    printf("%s%s\n", product->name[0] != '\0' ? "  " : "", product->name);
    return is_heard();
}

static bool print_product_json(void *user, const struct fmx_product *product)
{
    json *object = json_object_new_object(), *limits = json_object_new_object();

    (void)user;
    add_text(object, "product_key", product->product_key);
    add_text(object, "secret", product->secret);
    add_text(object, "name", product->name);
    add_text(object, "status", status_name(product->status));
    add_text(object, "registration", registration_name(product->registration));
    each_limit(&product->limits, add_limit, limits);
    json_object_object_add(object, "limits", limits);
    add_count(object, "devices", product->devices_count);
    print_json(object);
    return is_heard();
}

int registry_product_list(struct registry_run *run)
{
    return end_walk(run, fmx_registry_each_product(run->registry,
                                                   run->settings->wants_json ? print_product_json
                                                                             : print_product,
                                                   NULL, ERROR));
}

/* ── topic classes ── */

static bool print_topic(void *user, const struct fmx_topic_class *topic)
{
    (void)user;
    printf("%-6s  %s\n", permission_name(topic->permission), topic->topic);
    return is_heard();
}

static bool print_topic_json(void *user, const struct fmx_topic_class *topic)
{
    json *object = json_object_new_object();

    (void)user;
    add_text(object, "topic", topic->topic);
    add_text(object, "permission", permission_name(topic->permission));
    print_json(object);
    return is_heard();
}

int registry_topic_list(struct registry_run *run)
{
    return end_walk(
        run, fmx_registry_each_topic(run->registry, run->operands[0],
                                     run->settings->wants_json ? print_topic_json : print_topic,
                                     NULL, ERROR));
}

/* ── devices ── */

static bool print_device(void *user, const struct fmx_device *device)
{
    (void)user;
    printf("%s/%-*s  %-8s  added %s  activated %s\n", device->product_key,
           (int)(36 - strlen(device->product_key) % 32), device->device_name,
           status_name(device->status), date_of(device->added_ms).text,
           date_of(device->activated_ms).text);
    return is_heard();
}

static bool print_device_json(void *user, const struct fmx_device *device)
{
    json *object = json_object_new_object();

    (void)user;
    add_text(object, "product_key", device->product_key);
    add_text(object, "device_name", device->device_name);
    add_text(object, "status", status_name(device->status));
    add_count(object, "added_ms", device->added_ms);
    add_count(object, "activated_ms", device->activated_ms);
    print_json(object);
    return is_heard();
}

int registry_device_list(struct registry_run *run)
{
    return end_walk(run,
                    fmx_registry_each_device(
                        run->registry, run->operands_count > 0 ? run->operands[0] : NULL,
                        run->settings->wants_json ? print_device_json : print_device, NULL, ERROR));
}

static bool print_csv(void *user, const struct fmx_device *device)
{
    (void)user;
    csv_write(stdout, device->product_key, ',');
    csv_write(stdout, device->device_name, ',');
    csv_write(stdout, device->secret, ',');
    csv_write(stdout, status_name(device->status), '\n');
    return is_heard();
}

int registry_export(struct registry_run *run)
{
    printf("product_key,device_name,device_secret,status\n");
    return end_walk(run, fmx_registry_each_device(run->registry,
                                                  run->operands_count > 0 ? run->operands[0] : NULL,
                                                  print_csv, NULL, ERROR));
}

/* ── signing ── */

/* A text between single quotes, as a shell takes it. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*at);
        }
    }
    putchar('\'');
}

static void print_assignment(const char *name, const char *value)
{
    printf("%s=", name);
    print_quoted(value);
    putchar('\n');
}

static void print_signed_json(const struct fmx_signed_connect *made)
{
    json *object = json_object_new_object();

    add_text(object, "client_id", made->client_id);
    add_text(object, "username", made->username);
    add_text(object, "password", made->password);
    print_json(object);
}

static void print_signed(const struct registry_place *place, const struct fmx_signed_connect *made)
{
    printf("client id  %s\nuser name  %s\npassword   %s\n\n", made->client_id, made->username,
           made->password);
    printf("mosquitto_pub -h HOST -i ");
    print_quoted(made->client_id);
    printf(" -u ");
    print_quoted(made->username);
    printf(" -P ");
    print_quoted(made->password);
    printf(" -t '/%s/%s/user/update' -q 1 -m hello\n", place->product_key, place->device_name);
}

static void warn_if_disabled(struct registry_run *run, const struct registry_place *place,
                             enum fmx_registry_status status)
{
    struct fmx_product product;

    if (status == FMX_REGISTRY_DISABLED) {
        fprintf(stderr, "fleetmux registry: the device is disabled and will be refused\n");
    } else if (fmx_registry_product_find(run->registry, place->product_key, &product, ERROR) ==
                   FMX_OK &&
               product.status == FMX_REGISTRY_DISABLED) {
        fprintf(stderr, "fleetmux registry: the product is disabled and its devices are refused\n");
    }
}

int registry_sign(struct registry_run *run)
{
    struct registry_place place = registry_place_of(run->operands[0]);
    const struct registry_settings *settings = run->settings;
    struct fmx_sign_options options = settings->sign;
    struct fmx_signed_connect made;
    struct fmx_device device;

    if (place.device_name == NULL) {
        return registry_refuse("'%.80s' names no device; write PRODUCT_KEY/DEVICE_NAME",
                               run->operands[0]);
    }
    enum fmx_status status = fmx_registry_device_find(run->registry, place.product_key,
                                                      place.device_name, &device, ERROR);
    if (status != FMX_OK) {
        return registry_tell(run, status);
    }
    options.secure_mode = (int)settings->secure_mode;
    if (strcmp(options.timestamp, "none") == 0) {
        options.timestamp = "";
    }
    status = fmx_sign_connect(device.product_key, device.device_name, device.secret, &options,
                              &made, ERROR);
    if (status != FMX_OK) {
        return registry_tell(run, status);
    }
    warn_if_disabled(run, &place, device.status);
    if (settings->wants_json) {
        print_signed_json(&made);
    } else if (settings->wants_shell) {
        print_assignment("client_id", made.client_id);
        print_assignment("username", made.username);
        print_assignment("password", made.password);
    } else {
        print_signed(&place, &made);
    }
    return EXIT_PASS;
}
