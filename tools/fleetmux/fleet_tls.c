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

static char cert_text[PATH_BYTES], key_text[PATH_BYTES];

static const char *const tls_options[] = {
    "cafile",       "insecure",      "tls-server-name", "tls-min",
    "tls-max",      "tls-suites",    "tls-alpn",        "cert",
    "key",          "cert-template", "key-template",    "psk",
    "psk-identity", "psk-key",       "tls-resume",      "tls-record-bytes",
    "tls-workers",  "tls-key-log",
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
    bool is_off = schemes.plain > 0 || (flags_is_given(set, "tls") && !settings->has_tls);
    if (is_off && (settings->has_tls || schemes.tls > 0 || option != NULL)) {
        return refuse(set, option != NULL ? option : "tls",
                      "is about TLS, which mqtt:// or --tls false turn off; write mqtts://");
    }
    *out_has_tls = settings->has_tls || schemes.tls > 0 || option != NULL;
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

/* What the library would refuse too, in the words of options. */
static bool check_psk(const struct fleet_settings *settings, struct flag_set *set)
{
    const struct fmx_tls_client *tls = &settings->tls;
    bool is_device = settings->devices_file != NULL || settings->plan.platform.product_key != NULL;

    if (tls->psk != FMX_TLS_PSK_NONE && flags_is_given(set, "tls-max") && tls->max > FMX_TLS_12) {
        return refuse(set, "tls-max", "is above 1.2, up to which a PSK works; leave one out");
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

bool fleet_tls_make(struct fleet_settings *settings, struct flag_set *set)
{
    bool has_tls = false;

    if (!decide(settings, set, &has_tls)) {
        return false;
    }
    if (!has_tls) {
        return true;
    }
    settings->plan.tls = &settings->tls;
    if (!flags_is_given(set, "port")) {
        settings->port = TLS_PORT;
    }
    return check_psk(settings, set) &&
           make_path(set, "cert", settings->cert, "cert-template", settings->cert_template,
                     cert_text, &settings->tls.cert) &&
           make_path(set, "key", settings->key, "key-template", settings->key_template, key_text,
                     &settings->tls.key);
}
