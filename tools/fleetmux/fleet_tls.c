/*
 * fleet_tls — options about TLS, and what hosts say of it, become the plan's
 *
 * Why it is so:   whoever names an authority or a key wants TLS: any option that is about nothing
 *                 else turns it on, as mqtts:// before a host does, and with it comes the port
 *                 that is usual then. mqtt:// is the way to say that it must be off; with an option
 *                 about TLS beside it something was meant that is not known here, so it is refused
 * Memory:         the texts that had to be put together live in this file, for the one plan of the
 *                 process
 * Threads:        one
 * Not here:       what the settings mean, and which go together: the library checks its plan
 */
#include "tools/fleetmux/fleet.h"

#include <string.h>

#define TLS_PORT   8883
#define PATH_BYTES 4096

static char cert_text[PATH_BYTES], key_text[PATH_BYTES], suites_text[PATH_BYTES];

static const char *const tls_options[] = {
    "cafile",       "insecure",      "tls-server-name", "tls-min",
    "tls-max",      "tls-suites",    "tls-alpn",        "cert",
    "key",          "cert-template", "key-template",    "psk",
    "psk-identity", "psk-key",       "tls-resume",      "tls-record-bytes",
    "tls-workers",  "tls-key-log",   "ssl-version",     "tls-version",
};

static bool refuse(struct flag_set *set, const char *option, const char *words)
{
    snprintf(set->error, sizeof(set->error), "option '--%s' %s", option, words);
    return false;
}

/* ── is there TLS? ── */

struct schemes {
    size_t plain;
    size_t tls;
};

/* Cuts mqtt:// or mqtts:// off. False: there is another one, or a path behind the host. */
static bool cut_scheme(const char **host, struct schemes *schemes)
{
    if (strncmp(*host, "mqtts://", 8) == 0) {
        schemes->tls++;
        *host += 8;
    } else if (strncmp(*host, "mqtt://", 7) == 0) {
        schemes->plain++;
        *host += 7;
    }
    return **host != '\0' && strchr(*host, '/') == NULL;
}

static bool cut_schemes(struct fleet_settings *settings, struct flag_set *set,
                        struct schemes *out_schemes)
{
    *out_schemes = (struct schemes){0};
    for (size_t index = 0; index < settings->hosts.count; index++) {
        if (!cut_scheme(&settings->hosts.items[index], out_schemes)) {
            return refuse(set, "host",
                          "is not a host; write HOST, HOST:PORT, mqtt://HOST:PORT or "
                          "mqtts://HOST:PORT");
        }
    }
    if (out_schemes->plain > 0 && out_schemes->tls > 0) {
        return refuse(set, "host", "says mqtt:// and mqtts://; a fleet does either");
    }
    return true;
}

/* The first option that makes no sense without TLS; NULL: none is given. */
static const char *find_tls_option(const struct flag_set *set)
{
    for (size_t index = 0; index < sizeof(tls_options) / sizeof(tls_options[0]); index++) {
        if (flags_is_given(set, tls_options[index])) {
            return tls_options[index];
        }
    }
    return NULL;
}

static bool decide(struct fleet_settings *settings, struct flag_set *set, bool *out_has_tls)
{
    const char *option = find_tls_option(set);
    struct schemes schemes;

    if (!cut_schemes(settings, set, &schemes)) {
        return false;
    }
    bool is_on = settings->has_tls || settings->has_ssl || schemes.tls > 0 || option != NULL;
    bool is_off = schemes.plain > 0 || (flags_is_given(set, "tls") && !settings->has_tls) ||
                  (flags_is_given(set, "ssl") && !settings->has_ssl);
    if (is_off && is_on) {
        return refuse(set, option != NULL ? option : "tls",
                      "is about TLS, which mqtt://, --tls false or --ssl false turn off; write "
                      "mqtts://");
    }
    *out_has_tls = is_on;
    return true;
}

/* ── certificates ── */

/* A path in which % means itself. False: it is too long. */
static bool quote(const char *path, char *out_text)
{
    size_t used = 0;

    for (; *path != '\0' && used + 3 <= PATH_BYTES; path++) {
        out_text[used++] = *path;
        if (*path == '%') {
            out_text[used++] = '%';
        }
    }
    out_text[used] = '\0';
    return *path == '\0';
}

/* One of a path and a template; neither is fine too. */
static bool make_path(struct flag_set *set, const char *name, const char *path,
                      const char *template_name, const char *template, char *text,
                      const char **out_path)
{
    if (path != NULL && template != NULL) {
        return refuse(set, template_name, "has no meaning beside the one for all; leave one out");
    }
    if (template != NULL && strchr(template, '%') == NULL) {
        return refuse(set, template_name, "is the same for all clients; put %i, %d … into it");
    }
    if (path != NULL && !quote(path, text)) {
        return refuse(set, name, "is too long");
    }
    *out_path = path != NULL ? text : template;
    return true;
}

/* ── pre-shared keys ── */

static bool is_hex(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");

    return text[digits] == '\0' && digits >= 2 && digits % 2 == 0;
}

/* A kind by its name, or mosquitto's --psk KEY. */
static bool read_psk(struct fleet_settings *settings, struct flag_set *set)
{
    static const char *const names[] = {[FMX_TLS_PSK_NONE] = "none",
                                        [FMX_TLS_PSK_SDK] = "sdk",
                                        [FMX_TLS_PSK_SECRET] = "secret",
                                        [FMX_TLS_PSK_GIVEN] = "given"};

    for (unsigned kind = 0; settings->psk != NULL && kind < sizeof(names) / sizeof(names[0]);
         kind++) {
        if (strcmp(settings->psk, names[kind]) == 0) {
            settings->tls.psk = (enum fmx_tls_psk)kind;
            return true;
        }
    }
    if (settings->psk == NULL) {
        return true;
    }
    if (!is_hex(settings->psk) || settings->tls.psk_key != NULL) {
        return refuse(set, "psk", "wants sdk, secret, given, none, or a key in hex digits");
    }
    settings->tls.psk = FMX_TLS_PSK_GIVEN;
    settings->tls.psk_key = settings->psk;
    return true;
}

/* What the library would refuse too, in the words of options. */
static bool check_psk(const struct fleet_settings *settings, struct flag_set *set)
{
    const struct fmx_tls_client *tls = &settings->tls;
    bool is_device = settings->devices_file != NULL || settings->group.platform.product_key != NULL;

    if (tls->psk != FMX_TLS_PSK_NONE && flags_is_given(set, "tls-max") && tls->max > FMX_TLS_12) {
        return refuse(set, "tls-max", "is above 1.2, up to which a PSK works; leave one out");
    }
    if (tls->psk != FMX_TLS_PSK_NONE && settings->tls_only > FMX_TLS_12) {
        return refuse(set, "ssl-version", "is above 1.2, up to which a PSK works; leave one out");
    }
    if ((tls->psk == FMX_TLS_PSK_SDK || tls->psk == FMX_TLS_PSK_SECRET) && !is_device) {
        return refuse(set, "psk",
                      "is made of devices' secrets; add --product or --devices, or "
                      "write given");
    }
    if (tls->psk != FMX_TLS_PSK_GIVEN && (tls->psk_identity != NULL || tls->psk_key != NULL)) {
        return refuse(set, tls->psk_key != NULL ? "psk-key" : "psk-identity",
                      "goes with --psk given only");
    }
    return true;
}

/* ── options of other tools ── */

/* emqtt-bench has commas between suites. */
static bool make_suites(struct fleet_settings *settings, struct flag_set *set)
{
    if (settings->tls.suites == NULL) {
        return true;
    }
    int bytes = snprintf(suites_text, sizeof(suites_text), "%s", settings->tls.suites);
    if ((size_t)bytes >= sizeof(suites_text)) {
        return refuse(set, "tls-suites", "is too long");
    }
    for (char *comma = suites_text; (comma = strchr(comma, ',')) != NULL;) {
        *comma = ':';
    }
    settings->tls.suites = suites_text;
    return true;
}

static bool make_versions(struct fleet_settings *settings, struct flag_set *set)
{
    if (settings->tls_only == 0) {
        return true;
    }
    if (flags_is_given(set, "tls-min") || flags_is_given(set, "tls-max") ||
        flags_is_given(set, "tls-version")) {
        return refuse(set, "ssl-version",
                      "is the only version; leave --tls-min, --tls-max and "
                      "--tls-version out");
    }
    settings->tls.min = settings->tls_only;
    settings->tls.max = settings->tls_only;
    return true;
}

static void trust_as_they_do(struct fleet_settings *settings, struct flag_set *set)
{
    bool has_proof = settings->tls.ca != NULL || settings->tls.psk != FMX_TLS_PSK_NONE ||
                     settings->tls.server_name != NULL || settings->has_tls;

    if (settings->has_ssl && !has_proof && !settings->tls.insecure) {
        settings->tls.insecure = true;
        flags_note(set, "ssl",
                   "without --cafile any server is trusted, as emqtt-bench does; --tls "
                   "checks it against the system's authorities");
    }
}

bool fleet_tls_make(struct fleet_settings *settings, struct flag_set *set)
{
    bool has_tls = false;

    if (!decide(settings, set, &has_tls)) {
        return false;
    }
    if (!has_tls) {
        return true;
    }
    settings->group.tls = &settings->tls;
    if (!flags_is_given(set, "port")) {
        settings->port = TLS_PORT;
    }
    if (!read_psk(settings, set)) {
        return false;
    }
    trust_as_they_do(settings, set);
    return make_versions(settings, set) && make_suites(settings, set) && check_psk(settings, set) &&
           make_path(set, "cert", settings->cert, "cert-template", settings->cert_template,
                     cert_text, &settings->tls.cert) &&
           make_path(set, "key", settings->key, "key-template", settings->key_template, key_text,
                     &settings->tls.key);
}
