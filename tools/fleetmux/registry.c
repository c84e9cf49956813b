/*
 * registry — the verb that edits the registry of products and devices
 *
 * Why it is so:   one table of deeds gives the words, what follows them, the help and the errors.
 *                 The registry is a file, so nothing here needs a gateway that runs; one that does
 *                 sees each change by itself
 * Threads:        one
 * Not here:       options: registry_flags.c; the deeds: registry_edit.c, registry_show.c,
 *                 registry_import.c
 */
#include "tools/fleetmux/registry.h"

#include "tools/fleetmux/help.h"
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/verbs.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int create(struct registry_run *run);

static const struct deed {
    const char *noun; /* "" if there is none */
    const char *verb;
    enum registry_deed deed;
    size_t operands_min, operands_max;
    const char *operands;
    const char *help;
    int (*run)(struct registry_run *run);
} deeds[] = {
    {"", "create", REGISTRY_CREATE, 0, 1, "FILE", "make a new registry", create},
    {"product", "add", REGISTRY_PRODUCT_ADD, 1, 1, "PK", "add a product; prints PK,SECRET",
     registry_product_add},
    {"product", "list", REGISTRY_PRODUCT_LIST, 0, 0, "", "list the products",
     registry_product_list},
    {"product", "limit", REGISTRY_PRODUCT_LIMIT, 2, REGISTRY_OPERANDS_MAX, "PK NAME=[VALUE]...",
     "set limits of a product; without a value: the gateway's", registry_product_limit},
    {"product", "register", REGISTRY_PRODUCT_REGISTER, 2, 2, "PK known,new|none",
     "which devices may get secrets over MQTT", registry_product_register},
    {"topic", "add", REGISTRY_TOPIC_ADD, 3, 3, "PK user/... pub|sub|pubsub",
     "allow a custom topic, or change what is allowed", registry_topic_set},
    {"topic", "delete", REGISTRY_TOPIC_DELETE, 2, 2, "PK user/...", "allow it no more",
     registry_topic_set},
    {"topic", "list", REGISTRY_TOPIC_LIST, 1, 1, "PK", "list a product's custom topics",
     registry_topic_list},
    {"device", "add", REGISTRY_DEVICE_ADD, 2, 2, "PK DN", "add a device; prints PK,DN,SECRET",
     registry_device_add},
    {"device", "list", REGISTRY_DEVICE_LIST, 0, 1, "[PK]", "list devices", registry_device_list},
    {"", "list", REGISTRY_DEVICE_LIST, 0, 1, "[PK]", "the same", registry_device_list},
    {"", "import", REGISTRY_IMPORT, 1, 1, "FILE.csv|-", "add many devices, all or none",
     registry_import},
    {"", "export", REGISTRY_EXPORT, 0, 1, "[PK]", "print devices as CSV, with secrets",
     registry_export},
    {"", "enable", REGISTRY_ENABLE, 1, 1, "PK[/DN]", "let a product or a device connect again",
     registry_set_status},
    {"", "disable", REGISTRY_DISABLE, 1, 1, "PK[/DN]", "end its sessions and refuse it",
     registry_set_status},
    {"", "delete", REGISTRY_DELETE, 1, 1, "PK[/DN]", "the same, for good; a product's devices too",
     registry_delete},
    {"", "sign", REGISTRY_SIGN, 1, 1, "PK/DN", "print client id, user name and password",
     registry_sign},
};

#define DEEDS_COUNT (sizeof(deeds) / sizeof(deeds[0]))

static struct registry_settings settings;

/* ── telling ── */

int registry_refuse(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "fleetmux registry: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    return EXIT_USAGE;
}

int registry_tell(const struct registry_run *run, enum fmx_status status)
{
    if (status == FMX_OK) {
        return EXIT_PASS;
    }
    registry_refuse("%s", run->error[0] != '\0' ? run->error : fmx_status_text(status));
    return status == FMX_LIMIT_MEMORY ? EXIT_NO_START : EXIT_USAGE;
}

static void print_limits(FILE *out)
{
    fprintf(out, "\nLimits, with their ranges:\n");
    for (int i = 0; i < FMX_LIMITS_COUNT; i++) {
        enum fmx_limit limit = (enum fmx_limit)i;
        uint32_t least, most;
        bool may_be_unlimited;
        char words[256];

        fmx_limit_range(limit, &least, &most, &may_be_unlimited);
        snprintf(words, sizeof(words), "%s (%" PRIu32 " to %" PRIu32 "%s)", fmx_limit_words(limit),
                 least, most, may_be_unlimited ? ", or none" : "");
        fprintf(out, "  %-32s", fmx_limit_name(limit));
        help_print_wrapped(out, words, 34, 34);
    }
}

void registry_help(FILE *out)
{
    struct flag_set set;

    fprintf(out,
            "usage: fleetmux registry COMMAND [OPTIONS]\n\n"
            "Edits the registry: a file of products and devices, with their secrets, that a\n"
            "gateway of profile platform checks its clients against. A gateway that runs sees\n"
            "each change at once. PK is a product key, DN a device name.\n\nCommands:\n");
    for (size_t i = 0; i < DEEDS_COUNT; i++) {
        char synopsis[80];
        snprintf(synopsis, sizeof(synopsis), "%s%s%s %s", deeds[i].noun,
                 deeds[i].noun[0] != '\0' ? " " : "", deeds[i].verb, deeds[i].operands);
        fprintf(out, "  %-44s", synopsis);
        help_print_wrapped(out, deeds[i].help, 46, 46);
    }
    registry_flags_init(&settings, (enum registry_deed)UINT32_MAX, &set);
    help_print_rows(&set, out);
    print_limits(out);
    fprintf(out,
            "\nA CSV file has the columns product_key,device_name,device_secret; a secret that\n"
            "is empty or missing is made. With a header the columns may stand in any order,\n"
            "and status (enabled or disabled) may be among them.\n");
}

/* ── picking the deed ── */

static bool is_noun(const char *word)
{
    for (size_t i = 0; i < DEEDS_COUNT; i++) {
        if (deeds[i].noun[0] != '\0' && strcmp(deeds[i].noun, word) == 0) {
            return true;
        }
    }
    return false;
}

static int unknown_deed(const char *noun, const char *word)
{
    struct nearest nearest = {.word = word};
    char words[256];

    for (size_t i = 0; i < DEEDS_COUNT; i++) {
        if (strcmp(deeds[i].noun, noun) == 0) {
            nearest_consider(&nearest, deeds[i].verb);
        } else if (noun[0] == '\0') {
            nearest_consider(&nearest, deeds[i].noun);
        }
    }
    snprintf(words, sizeof(words), "there is no '%s%s%.60s'%s%s%s", noun,
             noun[0] != '\0' ? " " : "", word, nearest.best != NULL ? "; did you mean '" : "",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    return usage_error("registry", words);
}

static const struct deed *find_deed(const char *noun, const char *verb)
{
    for (size_t i = 0; i < DEEDS_COUNT; i++) {
        if (strcmp(deeds[i].noun, noun) == 0 && strcmp(deeds[i].verb, verb) == 0) {
            return &deeds[i];
        }
    }
    return NULL;
}

/* ── running it ── */

static int create(struct registry_run *run)
{
    const char *path = run->operands_count > 0 ? run->operands[0] : run->settings->registry;

    if (path == NULL) {
        return usage_error("registry", "write the name of the new file: create FILE");
    }
    return registry_tell(run, fmx_registry_create(path, run->error, sizeof(run->error)));
}

static int open_and_run(const struct deed *deed, struct registry_run *run)
{
    if (run->settings->registry == NULL) {
        run->settings->registry = getenv("FLEETMUX_REGISTRY");
    }
    if (deed->deed == REGISTRY_CREATE) {
        return create(run);
    }
    if (run->settings->registry == NULL || run->settings->registry[0] == '\0') {
        return usage_error("registry",
                           "which one? write --registry FILE, or set FLEETMUX_REGISTRY");
    }
    enum fmx_status status =
        fmx_registry_open(run->settings->registry, &run->registry, run->error, sizeof(run->error));
    if (status != FMX_OK) {
        return registry_tell(run, status);
    }
    int result = deed->run(run);
    fmx_registry_close(run->registry);
    return result;
}

static int run_deed(const struct deed *deed, int argc, char **argv)
{
    static struct registry_run run;
    struct flag_set set;
    char words[256];

    run.deed = deed->deed;
    run.settings = &settings;
    registry_flags_init(&settings, deed->deed, &set);
    set.operands = run.operands;
    set.operands_max = deed->operands_max;
    if (!flags_parse(&set, argc, argv)) {
        return usage_error("registry", set.error);
    }
    run.operands_count = set.operands_count;
    if (settings.wants_help) {
        registry_help(stdout);
        return EXIT_PASS;
    }
    if (run.operands_count < deed->operands_min) {
        snprintf(words, sizeof(words), "something is missing; write %s%s%s %s", deed->noun,
                 deed->noun[0] != '\0' ? " " : "", deed->verb, deed->operands);
        return usage_error("registry", words);
    }
    return open_and_run(deed, &run);
}

int verb_registry(int argc, char **argv)
{
    const char *noun = "";

    if (argc == 0) {
        return usage_error("registry", "write what is to be done, as in 'product list'");
    }
    if (strcmp(argv[0], "--help") == 0) {
        registry_help(stdout);
        return EXIT_PASS;
    }
    if (is_noun(argv[0])) {
        noun = *argv++;
        if (--argc == 0) {
            char words[80];
            snprintf(words, sizeof(words), "write what is to be done: %s add, %s list, ...", noun,
                     noun);
            return usage_error("registry", words);
        }
    }
    const struct deed *deed = find_deed(noun, argv[0]);
    return deed == NULL ? unknown_deed(noun, argv[0]) : run_deed(deed, argc - 1, argv + 1);
}

struct registry_place registry_place_of(const char *text)
{
    struct registry_place place = {0};
    const char *slash = strchr(text, '/');
    size_t bytes = slash != NULL ? (size_t)(slash - text) : strlen(text);

    snprintf(place.product_key, sizeof(place.product_key), "%.*s", (int)bytes, text);
    place.device_name = slash != NULL ? slash + 1 : NULL;
    return place;
}
