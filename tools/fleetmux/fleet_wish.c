/*
 * fleet_wish — what somebody asks of a running fleet, as it is written
 *
 * Why it is so:   HTTP, the Unix socket and the command take the same words and refuse the same
 * Words:          factor: the rate is so many times what the plan says; share: of the open clients
 * Threads:        pure
 * Not here:       granting: fleet_watch.c
 */
#include "tools/fleetmux/fleet_serving.h"
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/number.h"

#include <string.h>

#define RATE_MAX   1e6
#define TEXT_BYTES 64

struct wish_verb {
    const char *name;
    enum fleet_wish_kind kind;
    bool takes_value;
    double value; /* where it takes none */
    const char *like;
};

static const struct wish_verb verbs[] = {
    {"rate", FLEET_WISH_RATE, true, 0, "a factor: 2, 0.5 or 150%"},
    {"pause", FLEET_WISH_PAUSE, false, 1, NULL},
    {"resume", FLEET_WISH_PAUSE, false, 0, NULL},
    {"storm", FLEET_WISH_STORM, true, 0, "a share of the open clients: 10% or 0.1"},
    {"stop", FLEET_WISH_QUIT, false, 0, NULL},
};

#define VERBS_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct wish_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERBS_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

bool fleet_wish_is_verb(const char *name, char *error)
{
    struct nearest nearest = {.word = name};

    if (find_verb(name) != NULL) {
        return true;
    }
    for (size_t i = 0; i < VERBS_COUNT; i++) {
        nearest_consider(&nearest, verbs[i].name);
    }
    nearest_consider(&nearest, "status");
    snprintf(error, FLEET_SERVING_ERROR_BYTES, "'%.64s' is unknown; %s%s%s", name,
             nearest.best != NULL ? "did you mean '"
                                  : "write status, rate, pause, resume, storm or stop",
             nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
    return false;
}

static bool refuse(const struct wish_verb *verb, const char *value, const char *why, char *error)
{
    snprintf(error, FLEET_SERVING_ERROR_BYTES, "'%.64s' %s; write %s", value, why, verb->like);
    return false;
}

static bool check(const struct wish_verb *verb, double value, const char *text,
                  struct fleet_wish *out_wish, char *error)
{
    if (verb->kind == FLEET_WISH_RATE && !(value >= 0 && value <= RATE_MAX)) {
        return refuse(verb, text, "is not from 0 to 1,000,000", error);
    }
    if (verb->kind == FLEET_WISH_STORM && !(value > 0 && value <= 1)) {
        return refuse(verb, text, "is not above 0 and at most 100%", error);
    }
    *out_wish = (struct fleet_wish){.kind = verb->kind, .value = value};
    return true;
}

/* "2", "150%" */
static bool read_value(const char *text, double *out_value)
{
    char digits[TEXT_BYTES];
    size_t bytes = strlen(text);

    if (bytes == 0 || bytes >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, text, bytes + 1);
    bool is_percent = digits[bytes - 1] == '%';
    if (is_percent) {
        digits[bytes - 1] = '\0';
    }
    if (number_read_real(digits, out_value) != NUMBER_OK) {
        return false;
    }
    *out_value = is_percent ? *out_value / 100 : *out_value;
    return true;
}

bool fleet_wish_read(const char *name, const char *text, struct fleet_wish *out_wish, char *error)
{
    const struct wish_verb *verb = find_verb(name);
    double value = 0;

    if (verb == NULL) {
        return fleet_wish_is_verb(name, error);
    }
    if (!verb->takes_value) {
        *out_wish = (struct fleet_wish){.kind = verb->kind, .value = verb->value};
        if (text != NULL) {
            snprintf(error, FLEET_SERVING_ERROR_BYTES, "%s takes no value", name);
        }
        return text == NULL;
    }
    if (text == NULL) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "%s needs a value; write %s", name, verb->like);
        return false;
    }
    if (!read_value(text, &value)) {
        return refuse(verb, text, "is not a number", error);
    }
    return check(verb, value, text, out_wish, error);
}

bool fleet_wish_make(const char *name, double value, struct fleet_wish *out_wish, char *error)
{
    const struct wish_verb *verb = find_verb(name);
    char text[TEXT_BYTES];

    if (verb == NULL || !verb->takes_value) {
        return fleet_wish_read(name, "", out_wish, error);
    }
    snprintf(text, sizeof(text), "%g", value);
    return check(verb, value, text, out_wish, error);
}

void fleet_wishes_add(struct fleet_wishes *wishes, struct fleet_wish wish)
{
    struct fleet_wish *waiting = wishes->waiting;

    if (wish.kind == FLEET_WISH_NONE || wish.kind == FLEET_WISH_QUIT) {
        return;
    }
    for (size_t i = 0; i < wishes->count; i++) {
        if (waiting[i].kind == wish.kind) {
            double both = waiting[i].value + wish.value - waiting[i].value * wish.value;
            waiting[i].value = wish.kind == FLEET_WISH_STORM ? both : wish.value;
            return;
        }
    }
    waiting[wishes->count++] = wish;
}

void fleet_wishes_drop_first(struct fleet_wishes *wishes)
{
    wishes->count--;
    memmove(wishes->waiting, wishes->waiting + 1, wishes->count * sizeof(wishes->waiting[0]));
}

void fleet_wish_words(struct fleet_wish wish, char *out_words, size_t words_bytes)
{
    switch (wish.kind) {
    case FLEET_WISH_RATE:
        snprintf(out_words, words_bytes, "rate %g", wish.value);
        break;
    case FLEET_WISH_PAUSE:
        snprintf(out_words, words_bytes, "%s", wish.value != 0 ? "pause" : "resume");
        break;
    case FLEET_WISH_STORM:
        snprintf(out_words, words_bytes, "storm %g%%", wish.value * 100);
        break;
    case FLEET_WISH_QUIT:
        snprintf(out_words, words_bytes, "stop");
        break;
    default:
        snprintf(out_words, words_bytes, "nothing");
        break;
    }
}
