/*
 * fleet_tls_plan — TLS of a group: what is wrong with it, and what of it the team keeps
 *
 * Why it is so:   as with the rest of the plan, whatever can be seen before the first connect is
 *                 refused here, with the field's name and what to write instead. Files are read
 *                 once, by open: no shard ever waits for one
 * Words:          host: the target as a certificate names it, without port and brackets
 * Memory:         of the plan's texts only those that connections need are kept; a PSK's key is
 *                 kept as bytes, and wiped at the end
 * Threads:        whoever opens and closes the fleet
 * Limits:         each in a table below; identities FMX_PSK_IDENTITY_BYTES_MAX
 * Not here:       reading certificates: fleet_certs.c; TLS of a connection: fleet_tls.c
 */
#include "engine/roles/fleet_tls.h"

#include "engine/log.h"
#include "engine/options.h"

#include <stdarg.h>
#include <stdlib.h>

#define SERVER_NAME_BYTES_MAX 255u
#define WORDS_BYTES           1024u

__attribute__((format(printf, 3, 4))) static enum fmx_status refuse(char *error, size_t error_bytes,
                                                                    const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, error_bytes, format, arguments);
    va_end(arguments);
    return FMX_E_OPTION;
}

/* ── checks ── */

static enum fmx_status check_ranges(const struct fmx_fleet_group *group, char *error,
                                    size_t error_bytes)
{
    const struct fmx_tls_client *tls = group->tls;
    const struct fmx_option_range ranges[] = {
        {"tls.psk", (uint64_t)tls->psk, FMX_TLS_PSK_NONE, FMX_TLS_PSK_GIVEN},
        {"tls.record_bytes_max", tls->record_bytes_max, 512, 16384},
    };

    if (!(tls->resume >= 0 && tls->resume <= 1)) {
        return refuse(error, error_bytes, "tls.resume is %g: write a number from 0 to 1",
                      tls->resume);
    }
    return fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);
}

static bool is_version(enum fmx_tls_version version)
{
    return version >= FMX_TLS_10 && version <= FMX_TLS_13;
}

static enum fmx_status check_versions(const struct fmx_tls_client *tls, char *error,
                                      size_t error_bytes)
{
    if (!is_version(tls->min) || !is_version(tls->max)) {
        return refuse(error, error_bytes,
                      "tls.min is 0x%04x and tls.max 0x%04x: write FMX_TLS_10 to FMX_TLS_13",
                      (unsigned)tls->min, (unsigned)tls->max);
    }
    if (tls->min > tls->max) {
        return refuse(error, error_bytes, "tls.min is %s, but tls.max is %s: write a lower tls.min",
                      fmx_tls_version_name(tls->min), fmx_tls_version_name(tls->max));
    }
    if (tls->psk != FMX_TLS_PSK_NONE && tls->min > FMX_TLS_12) {
        return refuse(error, error_bytes,
                      "tls.min is %s, but a PSK works up to TLS 1.2: write a lower tls.min, or "
                      "leave tls.psk out",
                      fmx_tls_version_name(tls->min));
    }
    return FMX_OK;
}

static enum fmx_status check_trust(const struct fmx_tls_client *tls, char *error,
                                   size_t error_bytes)
{
    size_t bytes = tls->server_name == NULL ? 1 : strlen(tls->server_name);

    if (tls->insecure && tls->ca != NULL) {
        return refuse(error, error_bytes,
                      "tls.ca has no meaning with tls.insecure, which trusts any server: leave one "
                      "of them out");
    }
    if (bytes == 0 || bytes > SERVER_NAME_BYTES_MAX) {
        return refuse(error, error_bytes,
                      "tls.server_name has %zu bytes: write a name of 1 to %u, or leave it out",
                      bytes, SERVER_NAME_BYTES_MAX);
    }
    return FMX_OK;
}

static enum fmx_status check_cert(const struct fmx_tls_client *tls, char *error, size_t error_bytes)
{
    if ((tls->cert == NULL) != (tls->key == NULL)) {
        return refuse(error, error_bytes,
                      "tls.%s is missing: a certificate and its key go together",
                      tls->cert == NULL ? "cert" : "key");
    }
    if (tls->cert == NULL) {
        return FMX_OK;
    }
    if (tls->psk != FMX_TLS_PSK_NONE) {
        return refuse(error, error_bytes,
                      "tls.cert has no meaning with tls.psk, which says who a client is: leave one "
                      "of them out");
    }
    if (fmx_template_has_variables(tls->key) && !fmx_template_has_variables(tls->cert)) {
        return refuse(error, error_bytes,
                      "tls.key has variables and tls.cert '%s' has none: each key needs a "
                      "certificate of its own",
                      tls->cert);
    }
    return FMX_OK;
}

/* The key's bytes; 0: it is none. */
static size_t read_key(const char *text, uint8_t out[FMX_TLS_PSK_BYTES_MAX])
{
    size_t bytes = 0;

    return fmx_dialect_unhex(fmx_slice_of(text), out, FMX_TLS_PSK_BYTES_MAX, &bytes) ? bytes : 0;
}

static enum fmx_status check_given_psk(const struct fmx_tls_client *tls, char *error,
                                       size_t error_bytes)
{
    uint8_t key[FMX_TLS_PSK_BYTES_MAX];

    if (tls->psk_identity == NULL || tls->psk_key == NULL) {
        return refuse(error, error_bytes, "tls.psk_%s is missing: tls.psk says that it is given",
                      tls->psk_identity == NULL ? "identity" : "key");
    }
    size_t bytes = read_key(tls->psk_key, key);
    explicit_bzero(key, sizeof(key));
    return bytes > 0 ? FMX_OK
                     : refuse(error, error_bytes,
                              "tls.psk_key is not a key: write 2 to %u hex digits, two for each "
                              "byte",
                              2 * FMX_TLS_PSK_BYTES_MAX);
}

static enum fmx_status check_psk(const struct fmx_fleet_group *group, char *error,
                                 size_t error_bytes)
{
    const struct fmx_tls_client *tls = group->tls;

    if (tls->psk == FMX_TLS_PSK_GIVEN) {
        return check_given_psk(tls, error, error_bytes);
    }
    if (tls->psk_identity != NULL || tls->psk_key != NULL) {
        return refuse(error, error_bytes,
                      "tls.psk_%s is given, but tls.psk does not ask for it: write "
                      "FMX_TLS_PSK_GIVEN there, or leave it out",
                      tls->psk_identity != NULL ? "identity" : "key");
    }
    if (tls->psk == FMX_TLS_PSK_NONE) {
        return FMX_OK;
    }
    if (!fmx_fleet_has_devices(group)) {
        return refuse(error, error_bytes,
                      "tls.psk is made of a device's secret: give product_key or device, or write "
                      "FMX_TLS_PSK_GIVEN");
    }
    if (group->platform.registration != FMX_FLEET_REGISTER_NONE) {
        return refuse(error, error_bytes,
                      "tls.psk needs a secret before the first connect, which devices that "
                      "register do not have: leave tls.psk or registration out");
    }
    return FMX_OK;
}

enum fmx_status fmx_fleet_tls_check(const struct fmx_fleet_group *group, char *error,
                                    size_t error_bytes)
{
    enum fmx_status status = check_ranges(group, error, error_bytes);

    if (status == FMX_OK) {
        status = check_versions(group->tls, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_trust(group->tls, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = check_cert(group->tls, error, error_bytes);
    }
    return status == FMX_OK ? check_psk(group, error, error_bytes) : status;
}

static enum fmx_status refuse_identity(char *error, size_t error_bytes)
{
    return refuse(error, error_bytes,
                  "tls.psk_identity, as it is given or made of names, has no or more than %u bytes "
                  "for some clients: write a shorter one, or shorter names",
                  FMX_PSK_IDENTITY_BYTES_MAX);
}

static enum fmx_status check_identity(const struct fmx_fleet_group *group,
                                      const struct fmx_template_values *longest, char *error,
                                      size_t error_bytes)
{
    const struct fmx_tls_client *tls = group->tls;
    const struct fmx_dialect_psk psk = {
        .product_key = longest->product_key,
        .device_name = longest->device_name,
        .timestamp = fmx_slice_of(tls->psk == FMX_TLS_PSK_SDK ? FMX_FLEET_PSK_TIMESTAMP : ""),
        .sign_method = FMX_SIGN_HMAC_SHA256};
    uint8_t filled[FMX_TEMPLATE_BYTES_MAX];

    if (tls->psk == FMX_TLS_PSK_GIVEN) {
        enum fmx_status status =
            fmx_template_check("tls.psk_identity", tls->psk_identity, longest, error, error_bytes);
        if (status != FMX_OK) {
            return status;
        }
        size_t bytes = fmx_template_fill(tls->psk_identity, longest, filled).bytes;
        return bytes > 0 && bytes <= FMX_PSK_IDENTITY_BYTES_MAX
                   ? FMX_OK
                   : refuse_identity(error, error_bytes);
    }
    if (tls->psk != FMX_TLS_PSK_NONE && group->platform.device == NULL &&
        fmx_dialect_psk_identity(&psk, filled) == 0) {
        return refuse_identity(error, error_bytes);
    }
    return FMX_OK; /* names that the user fills in are looked at when a client connects */
}

enum fmx_status fmx_fleet_tls_check_texts(const struct fmx_fleet_group *group,
                                          const struct fmx_template_values *longest, char *error,
                                          size_t error_bytes)
{
    const struct fmx_tls_client *tls = group->tls;
    enum fmx_status status = FMX_OK;

    if (tls->cert != NULL) {
        status = fmx_template_check("tls.cert", tls->cert, longest, error, error_bytes);
        if (status == FMX_OK) {
            status = fmx_template_check("tls.key", tls->key, longest, error, error_bytes);
        }
    }
    return status == FMX_OK ? check_identity(group, longest, error, error_bytes) : status;
}

/* ── what is kept ── */

/* "[::1]:8883" → "::1", ":8883" → "localhost". NULL: no memory. */
static char *host_of(const char *target)
{
    const char *colon = strrchr(target, ':');
    size_t bytes = colon == NULL ? strlen(target) : (size_t)(colon - target);

    if (bytes >= 2 && target[0] == '[' && target[bytes - 1] == ']') {
        return strndup(target + 1, bytes - 2);
    }
    return bytes == 0 ? strdup("localhost") : strndup(target, bytes);
}

static bool copy_hosts(struct fmx_fleet_tls *tls, const struct fmx_fleet_group *group)
{
    bool is_whole = true;

    tls->hosts = calloc(group->targets_count + 1, sizeof(*tls->hosts));
    for (size_t i = 0; tls->hosts != NULL && i < group->targets_count; i++) {
        tls->hosts[i] = host_of(group->targets[i]);
        is_whole = is_whole && tls->hosts[i] != NULL;
    }
    return tls->hosts != NULL && is_whole;
}

static bool copy_text(const char **text)
{
    if (*text != NULL) {
        *text = strdup(*text);
        return *text != NULL;
    }
    return true;
}

/* Keeps of the options what connections need. False: no memory. */
static bool keep_options(struct fmx_fleet_tls *tls)
{
    struct fmx_tls_client *options = &tls->options;
    const char *server_name = options->server_name;
    const char *identity = options->psk_identity;

    options->server_name = options->psk_identity = NULL;
    options->ca = options->suites = options->key_log = NULL;
    options->cert = options->key = options->psk_key = NULL;
    bool has_name = copy_text(&server_name);
    bool has_identity = copy_text(&identity);
    options->server_name = has_name ? server_name : NULL;
    options->psk_identity = has_identity ? identity : NULL;
    return has_name && has_identity;
}

/* A client that comes once has nothing to resume. */
static bool comes_again(const struct fmx_fleet_team *team, const struct fmx_fleet_group *group)
{
    const struct fmx_fleet_plan *plan = &team->fleet->plan;
    bool is_told_to = false;

    for (size_t i = 0; i < plan->stages_count; i++) {
        is_told_to = is_told_to || plan->stages[i].kind == FMX_FLEET_CHURN ||
                     plan->stages[i].kind == FMX_FLEET_STORM;
    }
    return is_told_to || group->reconnect != FMX_FLEET_RECONNECT_NONE ||
           group->platform.registration != FMX_FLEET_REGISTER_NONE;
}

static void say_what_is_risky(const struct fmx_fleet_team *team,
                              const struct fmx_fleet_group *group)
{
    struct fmx_log log;

    fmx_log_init(&log, &team->fleet->plan.mux);
    if (group->tls->insecure) {
        fmx_log_line(&log, FMX_LOG_WARN,
                     "TLS IS INSECURE: no server is verified, whoever answers is trusted");
    }
    if (group->tls->key_log != NULL) {
        fmx_log_line(&log, FMX_LOG_WARN,
                     "the secrets of every TLS connection are written to %s: whoever reads it can "
                     "read all traffic",
                     group->tls->key_log);
    }
}

enum fmx_status fmx_fleet_tls_open(struct fmx_fleet_team *team, const struct fmx_fleet_group *group,
                                   char *error, size_t error_bytes)
{
    if (group->tls == NULL) {
        return FMX_OK;
    }
    struct fmx_fleet_tls *tls = team->tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    struct fmx_tls_client options = *group->tls; /* still the caller's texts */
    if (options.psk != FMX_TLS_PSK_NONE && options.max > FMX_TLS_12) {
        options.max = FMX_TLS_12;
    }
    options.resume = comes_again(team, group) ? options.resume : 0;
    tls->keeps_sessions = options.resume > 0;
    char words[WORDS_BYTES] = "";
    enum fmx_status status = fmx_tls_client_open(&options, &tls->context, words, sizeof(words));
    if (status != FMX_OK) {
        snprintf(error, error_bytes, "%s%s", status != FMX_LIMIT_MEMORY ? "tls." : "", words);
    }
    if (status == FMX_OK && options.cert != NULL) {
        status = fmx_fleet_certs_open(team, options.cert, options.key, error, error_bytes);
    }
    if (status != FMX_OK) {
        return status;
    }
    if (options.psk == FMX_TLS_PSK_GIVEN) {
        tls->psk_key_bytes = (uint32_t)read_key(options.psk_key, tls->psk_key);
    }
    tls->options = options;
    team->plan.tls = &tls->options;
    if (!keep_options(tls) || !copy_hosts(tls, group)) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    say_what_is_risky(team, group);
    return FMX_OK;
}

void fmx_fleet_tls_close(struct fmx_fleet_team *team)
{
    struct fmx_fleet_tls *tls = team->tls;

    if (tls == NULL) {
        return;
    }
    for (size_t i = 0; tls->hosts != NULL && tls->hosts[i] != NULL; i++) {
        free(tls->hosts[i]);
    }
    free(tls->hosts);
    free((void *)tls->options.server_name);
    free((void *)tls->options.psk_identity);
    fmx_fleet_certs_close(tls);
    fmx_tls_context_drop(tls->context);
    explicit_bzero(tls->psk_key, sizeof(tls->psk_key));
    free(tls);
    team->tls = NULL;
}
