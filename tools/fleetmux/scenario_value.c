/*
 * scenario_value — shares, rates, times and the like, as scenarios have them
 *
 * Why it is so:   a bare "10" is ten seconds to one reader and ten milliseconds to another, so a
 *                 time without a unit is refused, while "50%" and "500/s" say what they mean.
 *                 Everything else is read by the rows of the command line, with their words. What
 *                 is written reads back to the very same bits, which is why doubles are tried with
 *                 ever more digits and shares in per cent first.
 * Words:          factor: how many times as fast, 150%; rate: so many a second
 * Invariants:     (1) settings change only if the whole text was good
 *                 (2) what scenario_value_text says of a value, scenario_value_read reads as it
 * Threads:        pure; numbers have a point whatever the locale, which is the caller's promise
 * Limits:         numbers of up to 63 characters
 * Not here:       which keys there are: scenario_keys.c
 */
#include "tools/fleetmux/nearest.h"
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/scenario_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 64

/* The answer to a text that is wrong. */
struct answer {
    char *words;
    size_t bytes;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct answer *answer,
                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(answer->words, answer->bytes, format, arguments);
    va_end(arguments);
    return false;
}

static bool refuse_value(const struct answer *answer, const struct scenario_key *key,
                         const char *text, const char *wrong)
{
    char words[FLAG_VALUE_BYTES];

    scenario_value_describe(key, words, sizeof(words));
    return refuse(answer, "'%.100s' %s; write %s", text, wrong, words);
}

static void *place(const struct scenario_key *key, const void *settings)
{
    return (char *)(uintptr_t)settings + key->row.offset;
}

/* ── numbers with a fraction ── */

/* Digits, perhaps a fraction and an exponent. Its length; 0: it is none. */
static size_t measure_number(const char *text)
{
    size_t digits = strspn(text, "0123456789"), bytes = digits;

    if (digits > 0 && text[bytes] == '.') {
        size_t fraction = strspn(text + bytes + 1, "0123456789");
        bytes = fraction > 0 ? bytes + 1 + fraction : 0;
    }
    if (bytes > 0 && (text[bytes] == 'e' || text[bytes] == 'E')) {
        size_t sign = text[bytes + 1] == '+' || text[bytes + 1] == '-' ? 1 : 0;
        size_t exponent = strspn(text + bytes + 1 + sign, "0123456789");
        bytes = exponent > 0 ? bytes + 1 + sign + exponent : bytes;
    }
    return bytes < NUMBER_BYTES ? bytes : 0;
}

/* A number and its unit, which is what stands behind it. */
static bool split_number(const char *text, double *out_number, const char **out_unit)
{
    char number[NUMBER_BYTES];
    size_t bytes = measure_number(text);

    if (bytes == 0) {
        return false;
    }
    memcpy(number, text, bytes);
    number[bytes] = '\0';
    *out_number = strtod(number, NULL);
    *out_unit = text + bytes;
    return true;
}

/* "" and "%", of shares and factors. */
static bool scale_share(double *number, const char *unit)
{
    if (strcmp(unit, "%") == 0) {
        *number /= 100;
        return true;
    }
    return *unit == '\0';
}

/* "", "/s", "/m", "/h", each perhaps with k or M before it */
static bool scale_rate(double *number, const char *unit)
{
    if (*unit == 'k' || *unit == 'M') {
        *number *= *unit == 'k' ? 1e3 : 1e6;
        unit++;
    }
    if (strcmp(unit, "/m") == 0) {
        *number /= 60;
    } else if (strcmp(unit, "/h") == 0) {
        *number /= 3600;
    } else {
        return *unit == '\0' || strcmp(unit, "/s") == 0;
    }
    return true;
}

typedef bool scale_fn(double *number, const char *unit);

/* One number in its unit; without one in that of `other`. */
static bool read_one(const char *text, size_t bytes, scale_fn *scale, const char *other,
                     double *out_number)
{
    char copy[NUMBER_BYTES];
    const char *unit = NULL;

    if (bytes >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return split_number(copy, out_number, &unit) && scale(out_number, *unit != '\0' ? unit : other);
}

/* FROM..TO, or one number for both. */
static bool read_pair(const char *text, scale_fn *scale, double *out_from, double *out_to)
{
    const char *dots = strstr(text, "..");
    const char *last = dots != NULL ? dots + 2 : text;

    if (!read_one(last, strlen(last), scale, "", out_to)) {
        return false;
    }
    *out_from = *out_to;
    return dots == NULL ||
           read_one(text, (size_t)(dots - text), scale, last + measure_number(last), out_from);
}

static bool is_within(const struct scenario_key *key, double number)
{
    return number >= (double)key->row.min && number <= (double)key->row.max;
}

static bool give_share(const struct scenario_key *key, void *settings, const char *text,
                       const struct answer *answer)
{
    double share = 0;

    if (!read_one(text, strlen(text), scale_share, "", &share)) {
        return refuse_value(answer, key, text, "is not a share");
    }
    if (!is_within(key, share)) {
        return refuse_value(answer, key, text, "is out of range");
    }
    memcpy(place(key, settings), &share, sizeof(share));
    return true;
}

/* The second number lies behind the first: scenario_keys.c has seen to that. */
static bool give_pair(const struct scenario_key *key, void *settings, const char *text,
                      const struct answer *answer)
{
    double pair[2];
    scale_fn *scale = key->form == FORM_RATES ? scale_rate : scale_share;

    if (key->form == FORM_RATES && strcmp(text, "max") == 0 && key->row.min == 0) {
        pair[0] = pair[1] = 0;
    } else if (!read_pair(text, scale, &pair[0], &pair[1])) {
        return refuse_value(answer, key, text,
                            key->form == FORM_RATES ? "is not a rate" : "is not a factor");
    }
    if (!is_within(key, pair[0]) || !is_within(key, pair[1])) {
        return refuse_value(answer, key, text, "is out of range");
    }
    memcpy(place(key, settings), pair, sizeof(pair));
    return true;
}

/* As few digits as give the same number again. */
static const char *real_text(double number, char *out_text, size_t text_bytes)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out_text, text_bytes, "%.*g", digits, number);
        if (strtod(out_text, NULL) == number) {
            break;
        }
    }
    return out_text;
}

static void share_text(double share, char *out_text, size_t text_bytes)
{
    double again = 0;
    int bytes = snprintf(out_text, text_bytes, "%.6g%%", share * 100);

    if (!read_one(out_text, (size_t)bytes, scale_share, "", &again) || again != share) {
        real_text(share, out_text, text_bytes);
    }
}

static void rate_text(double rate, char *out_text, size_t text_bytes)
{
    char number[NUMBER_BYTES];

    snprintf(out_text, text_bytes, "%s/s", real_text(rate, number, sizeof(number)));
}

static void pair_text(const struct scenario_key *key, const void *settings, char *out_text,
                      size_t text_bytes)
{
    double pair[2];
    char from[NUMBER_BYTES], to[NUMBER_BYTES];
    void (*one)(double, char *, size_t) = key->form == FORM_RATES ? rate_text : share_text;

    memcpy(pair, place(key, settings), sizeof(pair));
    one(pair[0], from, sizeof(from));
    one(pair[1], to, sizeof(to));
    if (pair[0] == pair[1]) {
        snprintf(out_text, text_bytes, "%s", to);
        return;
    }
    if (strchr(from, '%') == NULL || strchr(to, '%') == NULL) { /* one unit for both */
        real_text(pair[0], from, sizeof(from));
        if (key->form != FORM_RATES) {
            real_text(pair[1], to, sizeof(to));
        }
    }
    snprintf(out_text, text_bytes, "%s..%s", from, to);
}

/* ── whole numbers ── */

static void store(const struct scenario_key *key, void *settings, uint64_t value)
{
    uint8_t narrow8 = (uint8_t)value;
    uint16_t narrow16 = (uint16_t)value;
    uint32_t narrow32 = (uint32_t)value;
    const void *from = key->row.width == 1   ? (const void *)&narrow8
                       : key->row.width == 2 ? (const void *)&narrow16
                       : key->row.width == 4 ? (const void *)&narrow32
                                             : (const void *)&value;

    memcpy(place(key, settings), from, key->row.width);
}

static uint64_t load(const struct scenario_key *key, const void *settings)
{
    uint64_t value = 0;

    memcpy(&value, place(key, settings), key->row.width); /* little-endian, as all we run on */
    return value;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load reads the low bytes first");

static bool give_time(const struct scenario_key *key, void *settings, const char *text,
                      const struct answer *answer)
{
    const struct flag *row = &key->row;
    uint64_t time = 0;
    size_t bytes = strlen(text);
    bool is_bare = bytes > 0 && text[bytes - 1] >= '0' && text[bytes - 1] <= '9';

    enum number_status status = number_read_time(text, NUMBER_NS_PER_S, row->stored_ns, &time);
    if (status == NUMBER_OK && is_bare && time != 0) {
        return refuse(answer, "'%.60s' has no unit; write for example %.60sms, %.60ss or %.60sm",
                      text, text, text, text);
    }
    if (status != NUMBER_OK || time < row->min || time > row->max) {
        return refuse_value(answer, key, text,
                            status == NUMBER_NOT        ? "is not a time"
                            : status == NUMBER_FRACTION ? "has a fraction that is too fine"
                                                        : "is out of range");
    }
    store(key, settings, time);
    return true;
}

static bool give_signed(const struct scenario_key *key, void *settings, const char *text,
                        const struct answer *answer)
{
    uint64_t size = 0;
    bool is_negative = text[0] == '-';

    if (number_read_count(text + (is_negative ? 1 : 0), &size) != NUMBER_OK) {
        return refuse_value(answer, key, text, "is not a number");
    }
    if (size > (is_negative ? key->row.min : key->row.max)) {
        return refuse_value(answer, key, text, "is out of range");
    }
    int value = is_negative ? -(int)size : (int)size;
    memcpy(place(key, settings), &value, sizeof(value));
    return true;
}

/* Bytes a second; the "/s" may be there. */
static bool give_speed(const struct scenario_key *key, void *settings, const char *text,
                       const struct answer *answer)
{
    char copy[NUMBER_BYTES];
    size_t bytes = strlen(text);
    uint64_t speed = 0;

    if (bytes > 2 && strcmp(text + bytes - 2, "/s") == 0) {
        bytes -= 2;
    }
    snprintf(copy, sizeof(copy), "%.*s", (int)(bytes < sizeof(copy) ? bytes : 0), text);
    enum number_status status = number_read_count(copy, &speed);
    if (status != NUMBER_OK || speed < key->row.min || speed > key->row.max) {
        return refuse_value(answer, key, text,
                            status == NUMBER_OK ? "is out of range" : "is not a speed");
    }
    store(key, settings, speed);
    return true;
}

static bool give_none_text(const struct scenario_key *key, void *settings, const char *text,
                           const struct answer *answer)
{
    if (*text == '\0') {
        return refuse_value(answer, key, text, "is empty");
    }
    *(const char **)place(key, settings) = strcmp(text, "none") == 0 ? "" : text;
    return true;
}

/* By the row, as on the command line. */
static bool give_row(const struct scenario_key *key, void *settings, const char *text,
                     const struct answer *answer)
{
    struct flag_set set;

    flags_init(&set, &key->row, 1, 0, settings);
    set.verbs = UINT32_MAX;
    if (flags_give(&set, &key->row, text)) {
        return true;
    }
    struct nearest nearest = {.word = text};
    const struct flag_choice *choice = key->row.kind == FLAG_CHOICE ? key->row.choices : NULL;
    for (; choice != NULL && choice->name != NULL; choice++) {
        nearest_consider(&nearest, choice->name);
    }
    return refuse(answer, "%s%s%s%s", set.error, nearest.best != NULL ? "; did you mean '" : "",
                  nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "'?" : "");
}

bool scenario_value_read(const struct scenario_key *key, void *settings, const char *text,
                         char *words, size_t words_bytes)
{
    const struct answer answer = {.words = words, .bytes = words_bytes};

    switch (key->form) {
    case FORM_SHARE:
        return give_share(key, settings, text, &answer);
    case FORM_FACTORS:
    case FORM_RATES:
        return give_pair(key, settings, text, &answer);
    case FORM_SIGNED:
        return give_signed(key, settings, text, &answer);
    case FORM_SPEED:
        return give_speed(key, settings, text, &answer);
    case FORM_NONE_TEXT:
        return give_none_text(key, settings, text, &answer);
    case FORM_PLAIN:
    case FORM_PATH:
    case FORM_PATH_TEMPLATE:
    case FORM_MORE:
        break;
    }
    return key->row.kind == FLAG_TIME ? give_time(key, settings, text, &answer)
                                      : give_row(key, settings, text, &answer);
}

/* ── values back to text ── */

const char *scenario_time_text(uint64_t time_ns, char *out_text, size_t text_bytes)
{
    static const struct {
        const char *name;
        uint64_t scale;
    } units[] = {{"h", UINT64_C(3600) * NUMBER_NS_PER_S},
                 {"m", UINT64_C(60) * NUMBER_NS_PER_S},
                 {"s", NUMBER_NS_PER_S},
                 {"ms", NUMBER_NS_PER_MS},
                 {"us", NUMBER_NS_PER_US},
                 {"ns", 1}};
    size_t unit = 0;

    while (time_ns % units[unit].scale != 0) {
        unit++;
    }
    if (time_ns == 0) {
        unit = 2;
    }
    snprintf(out_text, text_bytes, "%" PRIu64 "%s", time_ns / units[unit].scale, units[unit].name);
    return out_text;
}

static const char *row_text(const struct scenario_key *key, const void *settings, char *out_text,
                            size_t text_bytes)
{
    struct flag_set set;

    flags_init(&set, &key->row, 1, 0, (void *)(uintptr_t)settings);
    set.verbs = UINT32_MAX;
    return flags_format(&set, &key->row, 0, out_text, text_bytes) ? out_text : NULL;
}

const char *scenario_value_text(const struct scenario_key *key, const void *settings,
                                char *out_text, size_t text_bytes)
{
    if (key->row.kind == FLAG_TEXT) {
        const char *text = *(const char *const *)place(key, settings);
        return text != NULL && *text == '\0' && key->form == FORM_NONE_TEXT ? "none" : text;
    }
    switch (key->form) {
    case FORM_SHARE: {
        double share;
        memcpy(&share, place(key, settings), sizeof(share));
        share_text(share, out_text, text_bytes);
        return out_text;
    }
    case FORM_FACTORS:
    case FORM_RATES:
        pair_text(key, settings, out_text, text_bytes);
        return out_text;
    case FORM_SIGNED:
        snprintf(out_text, text_bytes, "%d", *(const int *)place(key, settings));
        return out_text;
    case FORM_SPEED:
        snprintf(out_text, text_bytes, "%" PRIu64, load(key, settings));
        return out_text;
    default:
        break;
    }
    return key->row.kind == FLAG_TIME
               ? scenario_time_text(load(key, settings) * key->row.stored_ns, out_text, text_bytes)
               : row_text(key, settings, out_text, text_bytes);
}

bool scenario_value_equal(const struct scenario_key *key, const void *a, const void *b)
{
    bool is_pair = key->form == FORM_FACTORS || key->form == FORM_RATES;

    if (key->row.kind == FLAG_TEXT) {
        const char *one = *(const char *const *)place(key, a);
        const char *other = *(const char *const *)place(key, b);
        return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
    }
    return memcmp(place(key, a), place(key, b), key->row.width * (is_pair ? 2 : 1)) == 0;
}

/* ── what is to be written ── */

void scenario_value_describe(const struct scenario_key *key, char *out_text, size_t text_bytes)
{
    const struct flag *row = &key->row;
    char min[32], max[32];

    if (key->words != NULL) {
        snprintf(out_text, text_bytes, "%s", key->words);
        return;
    }
    switch (key->form) {
    case FORM_SHARE:
        snprintf(out_text, text_bytes, "a share from %" PRIu64 "%% to %" PRIu64 "%%",
                 row->min * 100, row->max * 100);
        return;
    case FORM_FACTORS:
        snprintf(out_text, text_bytes,
                 "a factor such as 150%% or 1.5, or two as in 50%%..150%%, up to %" PRIu64 "%%",
                 row->max * 100);
        return;
    case FORM_RATES:
        snprintf(out_text, text_bytes,
                 "a rate such as 500/s or 30/m, two as in 100..500/s, or max; up to %" PRIu64 "/s",
                 row->max);
        return;
    case FORM_SIGNED:
        snprintf(out_text, text_bytes, "a number from -%" PRIu64 " to %" PRIu64, row->min,
                 row->max);
        return;
    case FORM_SPEED:
        snprintf(out_text, text_bytes,
                 "bytes a second such as 64Ki/s, from %" PRIu64 " to %" PRIu64, row->min, row->max);
        return;
    case FORM_NONE_TEXT:
        snprintf(out_text, text_bytes, "%s, or none", row->argument);
        return;
    case FORM_PATH:
    case FORM_PATH_TEMPLATE:
        snprintf(out_text, text_bytes, "the name of a file");
        return;
    case FORM_PLAIN:
    case FORM_MORE:
        break;
    }
    if (row->kind == FLAG_TIME) {
        snprintf(out_text, text_bytes, "a time from %s to %s, such as 250ms, 10s or 5m",
                 scenario_time_text(row->min * row->stored_ns, min, sizeof(min)),
                 scenario_time_text(row->max * row->stored_ns, max, sizeof(max)));
        return;
    }
    flags_describe(row, out_text, text_bytes);
}
