/*
 * cert — the verb that makes certificates: an authority, servers, devices, and keys of tickets
 *
 * Why it is so:   a certificate's place follows from whose it is, so nobody needs options to find
 *                 it: DIR/ca.crt, DIR/server.crt, DIR/PK/DN.crt, each with its .key beside. What
 *                 is there is never written over. One table of deeds gives words, help and errors
 * Threads:        one
 * Not here:       options: cert_flags.c; all at once: cert_dev.c; many: cert_devices.c
 */
#include "tools/fleetmux/cert.h"

#include "tools/fleetmux/help.h"
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/verbs.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int ca(struct cert_run *run);
static int server(struct cert_run *run);
static int device(struct cert_run *run);
static int tickets(struct cert_run *run);

static const struct deed {
    const char *name;
    enum cert_deed deed;
    size_t operands_min, operands_max;
    const char *operands;
    const char *help;
    int (*run)(struct cert_run *run);
} deeds[] = {
    {"dev", CERT_DEV, 1, 1, "DIR",
     "all that a first try needs: an authority, a server's certificates and a device's; prints how "
     "to use them. What is there already stays",
     cert_dev},
    {"ca", CERT_CA, 1, 1, "DIR", "an authority: DIR/ca.crt", ca},
    {"server", CERT_SERVER, 2, CERT_OPERANDS_MAX, "DIR HOST...",
     "a server of these DNS names and IP addresses: DIR/server.crt, or with --rsa server-rsa.crt",
     server},
    {"device", CERT_DEVICE, 2, CERT_OPERANDS_MAX, "DIR [PK/]DN...",
     "devices: DIR/PK/DN.crt, without a product DIR/devices/DN.crt", device},
    {"devices", CERT_DEVICES, 1, 1, "DIR",
     "the same for all of a registry, or for --count of them; those that have one are left out",
     cert_devices},
    {"tickets", CERT_TICKETS, 1, 1, "FILE",
     "make a file of ticket keys, or move its keys one on; gateways that use it see that within a "
     "minute",
     tickets},
};

#define DEEDS_COUNT (sizeof(deeds) / sizeof(deeds[0]))

static struct cert_settings settings;

/* ── telling ── */

int cert_refuse(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "fleetmux cert: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    return EXIT_USAGE;
}

int cert_tell(const struct cert_run *run, enum fmx_status status)
{
    if (status == FMX_OK) {
        return EXIT_PASS;
    }
    cert_refuse("%s", run->error[0] != '\0' ? run->error : fmx_status_text(status));
    return status == FMX_LIMIT_MEMORY ? EXIT_NO_START : EXIT_USAGE;
}

void cert_print_quoted(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+:,@=";

    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        printf("%s", word);
        return;
    }
    putchar('\'');
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            printf("'\\''");
        } else {
            putchar(*word);
        }
    }
    putchar('\'');
}

void cert_help(FILE *out)
{
    struct flag_set set;

    fprintf(
        out,
        "usage: fleetmux cert COMMAND [OPTIONS]\n\n"
        "Makes certificates for TLS, signed by an authority of your own, and keys for tickets.\n"
        "Each NAME.crt has its key beside it in NAME.key, which only its owner can read; what is\n"
        "there is never written over. DIR is a folder, made if needed, PK a product key, DN a\n"
        "device name: the organization and common name of a device's certificate.\n\nCommands:\n");
    for (size_t i = 0; i < DEEDS_COUNT; i++) {
        char synopsis[80];
        snprintf(synopsis, sizeof(synopsis), "%s %s", deeds[i].name, deeds[i].operands);
        fprintf(out, "  %-24s", synopsis);
        help_print_wrapped(out, deeds[i].help, 26, 26);
    }
    cert_flags_init(&settings, (enum cert_deed)UINT32_MAX, &set);
    help_print_rows(&set, out);
}

/* ── files and names ── */

bool cert_pair_of(const char *folder, const char *name, struct cert_pair *out_pair)
{
    int cert = snprintf(out_pair->cert, sizeof(out_pair->cert), "%s/%s.crt", folder, name);
    int key = snprintf(out_pair->key, sizeof(out_pair->key), "%s/%s.key", folder, name);

    if (cert >= (int)sizeof(out_pair->cert) || key >= (int)sizeof(out_pair->key)) {
        cert_refuse("the name of the folder is longer than %d bytes", CERT_PATH_BYTES - 256);
        return false;
    }
    return true;
}

static bool has_content(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0;
}

enum cert_state cert_pair_state(const struct cert_pair *pair)
{
    if (has_content(pair->cert) && has_content(pair->key)) {
        return CERT_THERE;
    }
    bool is_any = access(pair->cert, F_OK) == 0 || access(pair->key, F_OK) == 0;
    return is_any ? CERT_HALF : CERT_MISSING;
}

int cert_refuse_half(const struct cert_pair *pair)
{
    bool has_key = access(pair->key, F_OK) == 0;

    return cert_refuse("'%s' is there without '%s', or is empty; remove it, and try again",
                       has_key ? pair->key : pair->cert, has_key ? pair->cert : pair->key);
}

int cert_make_folder(const char *path)
{
    char part[CERT_PATH_BYTES];

    for (size_t bytes = 1; bytes <= strlen(path) && bytes < sizeof(part); bytes++) {
        if (path[bytes] != '/' && path[bytes] != '\0') {
            continue;
        }
        snprintf(part, sizeof(part), "%.*s", (int)bytes, path);
        if (mkdir(part, 0755) != 0 && errno != EEXIST) {
            return cert_refuse("the folder '%s' cannot be made: %s", part, strerror(errno));
        }
    }
    return EXIT_PASS;
}

static bool is_name(const char *text, size_t bytes, size_t bytes_max)
{
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f || strchr("/+#&|,", text[i]) != NULL) {
            return false;
        }
    }
    return bytes > 0 && bytes <= bytes_max;
}

int cert_device_of(const char *folder, const char *text, struct cert_device *out_device)
{
    const char *slash = strchr(text, '/');
    const char *name = slash != NULL ? slash + 1 : text;
    size_t product_bytes = slash != NULL ? (size_t)(slash - text) : 0;
    char place[CERT_PATH_BYTES];

    if (slash != NULL && (!is_name(text, product_bytes, 32) || text[0] == '.')) {
        return cert_refuse("device '%.120s': before the slash stands a product key of 1 to 32 "
                           "letters and digits",
                           text);
    }
    if (!is_name(name, strlen(name), 64)) {
        return cert_refuse("device '%.120s': its name has 1 to 64 letters, digits and - _ @ . :",
                           text);
    }
    snprintf(out_device->product_key, sizeof(out_device->product_key), "%.*s", (int)product_bytes,
             text);
    snprintf(out_device->device_name, sizeof(out_device->device_name), "%s", name);
    if (snprintf(place, sizeof(place), "%s/%s", folder,
                 slash != NULL ? out_device->product_key : "devices") >= (int)sizeof(place)) {
        return cert_refuse("the name of the folder is too long");
    }
    return cert_pair_of(place, name, &out_device->pair) ? EXIT_PASS : EXIT_USAGE;
}

/* ── making one ── */

int cert_set_issuer(const struct cert_run *run, const char *folder, struct cert_pair *room,
                    struct fmx_cert_options *options)
{
    const struct cert_settings *given = run->settings;

    options->issuer_cert = given->ca;
    options->issuer_key = given->ca_key;
    if ((given->ca == NULL) != (given->ca_key == NULL)) {
        return cert_refuse("option '--%s' needs '--%s' beside it",
                           given->ca != NULL ? "ca" : "ca-key",
                           given->ca != NULL ? "ca-key" : "ca");
    }
    if (given->ca != NULL) {
        return EXIT_PASS;
    }
    if (!cert_pair_of(folder, "ca", room)) {
        return EXIT_USAGE;
    }
    if (cert_pair_state(room) == CERT_MISSING) {
        return cert_refuse("there is no authority in '%s'; make one with 'fleetmux cert ca', or "
                           "name one with --ca and --ca-key",
                           folder);
    }
    options->issuer_cert = room->cert;
    options->issuer_key = room->key;
    return EXIT_PASS;
}

int cert_make_pair(struct cert_run *run, struct fmx_cert_options *options,
                   const struct cert_pair *pair, const char *what)
{
    options->days = run->settings->days;
    options->out_cert = pair->cert;
    options->out_key = pair->key;
    int result = cert_tell(run, fmx_cert_make(options, run->error, sizeof(run->error)));
    if (result == EXIT_PASS) {
        printf("made %s: %s\n", pair->cert, what);
    }
    return result;
}

int cert_make_authority(struct cert_run *run, const char *folder, const struct cert_pair *pair)
{
    struct fmx_cert_options options;
    struct cert_pair room;
    char host[40] = "", name[64];

    fmx_cert_options_init(&options);
    gethostname(host, sizeof(host) - 1);
    snprintf(name, sizeof(name), "fleetmux authority of %s", host[0] != '\0' ? host : "nobody");
    options.is_authority = true;
    options.key = run->settings->wants_rsa ? FMX_CERT_KEY_RSA2048 : FMX_CERT_KEY_P256;
    options.common_name = run->settings->common_name != NULL ? run->settings->common_name : name;
    if (run->settings->ca != NULL || run->settings->ca_key != NULL) {
        int result = cert_set_issuer(run, folder, &room, &options);
        if (result != EXIT_PASS) {
            return result;
        }
    }
    return cert_make_pair(run, &options, pair,
                          options.issuer_cert != NULL ? "an authority below another"
                                                      : "an authority");
}

int cert_make_server(struct cert_run *run, const char *folder, const struct cert_pair *pair,
                     enum fmx_cert_key key, const char *const *names, size_t names_count)
{
    struct fmx_cert_options options;
    struct cert_pair room;
    char what[120];

    fmx_cert_options_init(&options);
    options.key = key;
    options.common_name = strlen(names[0]) <= 64 ? names[0] : "server";
    options.names = names;
    options.names_count = names_count;
    int result = cert_set_issuer(run, folder, &room, &options);
    if (result != EXIT_PASS) {
        return result;
    }
    snprintf(what, sizeof(what), "a server, %s, %.64s%s",
             key == FMX_CERT_KEY_P256 ? "ECDSA" : "RSA", names[0],
             names_count > 1 ? " and its other names" : "");
    return cert_make_pair(run, &options, pair, what);
}

/* The folder of its files. */
static int make_place(const struct cert_pair *pair)
{
    char place[CERT_PATH_BYTES];

    snprintf(place, sizeof(place), "%s", pair->cert);
    *strrchr(place, '/') = '\0';
    return cert_make_folder(place);
}

int cert_make_device(struct cert_run *run, const char *folder, const struct cert_device *device)
{
    struct fmx_cert_options options;
    struct cert_pair room;

    fmx_cert_options_init(&options);
    options.is_client = true;
    options.common_name = device->device_name;
    options.organization = device->product_key[0] != '\0' ? device->product_key : NULL;
    int result = cert_set_issuer(run, folder, &room, &options);
    if (result == EXIT_PASS) {
        result = make_place(&device->pair);
    }
    return result == EXIT_PASS ? cert_make_pair(run, &options, &device->pair, "a device") : result;
}

/* ── the deeds ── */

static int ca(struct cert_run *run)
{
    struct cert_pair pair;
    int result = cert_make_folder(run->operands[0]);

    if (result != EXIT_PASS || !cert_pair_of(run->operands[0], "ca", &pair)) {
        return EXIT_USAGE;
    }
    return cert_make_authority(run, run->operands[0], &pair);
}

static int server(struct cert_run *run)
{
    const struct cert_settings *given = run->settings;
    enum fmx_cert_key key = given->wants_rsa ? FMX_CERT_KEY_RSA2048 : FMX_CERT_KEY_P256;
    const char *name = given->wants_rsa ? "server-rsa" : "server";
    struct cert_pair pair;

    if (given->as != NULL && strchr(given->as, '/') != NULL) {
        return cert_refuse("option '--as': '%.120s' has a slash; the file is in DIR", given->as);
    }
    int result = cert_make_folder(run->operands[0]);
    if (result != EXIT_PASS ||
        !cert_pair_of(run->operands[0], given->as != NULL ? given->as : name, &pair)) {
        return EXIT_USAGE;
    }
    return cert_make_server(run, run->operands[0], &pair, key, run->operands + 1,
                            run->operands_count - 1);
}

static int device(struct cert_run *run)
{
    struct cert_device made;
    int result = EXIT_PASS;

    for (size_t i = 1; i < run->operands_count && result == EXIT_PASS; i++) {
        result = cert_device_of(run->operands[0], run->operands[i], &made);
    }
    for (size_t i = 1; i < run->operands_count && result == EXIT_PASS; i++) {
        result = cert_device_of(run->operands[0], run->operands[i], &made);
        if (result == EXIT_PASS) {
            result = cert_make_device(run, run->operands[0], &made);
        }
    }
    return result;
}

static int tickets(struct cert_run *run)
{
    const char *file = run->operands[0];
    bool is_old = has_content(file);
    int result = cert_tell(run, fmx_cert_rotate_tickets(file, run->error, sizeof(run->error)));

    if (result == EXIT_PASS) {
        printf("%s %s\n", is_old ? "moved on the ticket keys" : "made ticket keys:", file);
    }
    return result;
}

/* ── picking the deed ── */

static int unknown_deed(const char *word)
{
    struct nearest nearest = {.word = word};
    char words[256];

    for (size_t i = 0; i < DEEDS_COUNT; i++) {
        nearest_consider(&nearest, deeds[i].name);
    }
    snprintf(words, sizeof(words), "there is no '%.60s'%s%s%s", word,
             nearest.best != NULL ? "; did you mean '" : "",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    return usage_error("cert", words);
}

static int run_deed(const struct deed *deed, int argc, char **argv)
{
    static struct cert_run run;
    struct flag_set set;
    char words[256];

    run.settings = &settings;
    run.set = &set;
    cert_flags_init(&settings, deed->deed, &set);
    set.operands = run.operands;
    set.operands_max = deed->operands_max;
    if (!flags_parse(&set, argc, argv)) {
        return usage_error("cert", set.error);
    }
    run.operands_count = set.operands_count;
    if (settings.wants_help) {
        cert_help(stdout);
        return EXIT_PASS;
    }
    if (run.operands_count < deed->operands_min) {
        snprintf(words, sizeof(words), "something is missing; write %s %s", deed->name,
                 deed->operands);
        return usage_error("cert", words);
    }
    if (run.operands[0][0] == '\0') {
        return usage_error("cert", "the name of the folder or file is empty");
    }
    int result = deed->run(&run);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        cert_refuse("the output cannot be written: %s", strerror(errno));
        return result == EXIT_PASS ? EXIT_ABORTED : result;
    }
    return result;
}

int verb_cert(int argc, char **argv)
{
    if (argc == 0) {
        return usage_error("cert", "write what is to be made, as in 'dev DIR'");
    }
    if (strcmp(argv[0], "--help") == 0) {
        cert_help(stdout);
        return EXIT_PASS;
    }
    for (size_t i = 0; i < DEEDS_COUNT; i++) {
        if (strcmp(deeds[i].name, argv[0]) == 0) {
            return run_deed(&deeds[i], argc - 1, argv + 1);
        }
    }
    return unknown_deed(argv[0]);
}
