/*
 * threshold — "puback.p99<50ms": a metric, a comparison, a bound
 *
 * Why it is so:   a pipeline wants a yes or a no. What a threshold says is checked before anything
 *                 connects: an unknown metric, a time without a unit or a comparison that nobody
 *                 knows would otherwise show after an hour, or never
 * Memory:         a result's thresholds are the result's; the given text is the caller's
 * Threads:        pure
 * Limits:         a bound is a number that number.h takes; text beyond what a result keeps is cut
 * Not here:       what a metric is: metric.c
 */
#include "tools/fleetmux/number.h"
#include "tools/fleetmux/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    enum comparison comparison;
} comparisons[] = {{"<=", AT_MOST},   {">=", AT_LEAST}, {"==", EQUAL},
                   {"!=", NOT_EQUAL}, {"<", LESS},      {">", MORE}};

static bool refuse(char *error, size_t error_bytes, const char *text, const char *words)
{
    snprintf(error, error_bytes, "threshold '%.100s': %s", text, words);
    return false;
}

static bool read_comparison(const char *at, enum comparison *out_comparison, size_t *out_bytes)
{
    for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
        size_t bytes = strlen(comparisons[i].text);
        if (strncmp(at, comparisons[i].text, bytes) == 0) {
            *out_comparison = comparisons[i].comparison;
            *out_bytes = bytes;
            return true;
        }
    }
    return false;
}

/* Without the blanks on both sides. False: it does not fit, or nothing is left. */
static bool copy_trimmed(const char *from, size_t bytes, char *out_text, size_t text_bytes)
{
    while (bytes > 0 && *from == ' ') {
        from++;
        bytes--;
    }
    while (bytes > 0 && from[bytes - 1] == ' ') {
        bytes--;
    }
    if (bytes == 0 || bytes >= text_bytes) {
        return false;
    }
    memcpy(out_text, from, bytes);
    out_text[bytes] = '\0';
    return true;
}

static bool read_share(char *text, double *out_share)
{
    size_t bytes = strlen(text);
    bool is_percent = text[bytes - 1] == '%';

    if (is_percent) {
        text[bytes - 1] = '\0';
    }
    if (bytes > 1 && is_percent && text[bytes - 2] == ' ') {
        text[bytes - 2] = '\0';
    }
    if (number_read_real(text, out_share) != NUMBER_OK) {
        return false;
    }
    *out_share /= is_percent ? 100 : 1;
    return true;
}

static bool read_time(const char *text, double *out_time)
{
    uint64_t time_ns = 0;
    bool has_unit = text[strlen(text) - 1] > '9' || strcmp(text, "0") == 0;

    if (!has_unit || number_read_time(text, 1, 1, &time_ns) != NUMBER_OK) {
        return false;
    }
    *out_time = (double)time_ns;
    return true;
}

static bool read_bound(char *text, struct threshold *threshold, const char **out_words)
{
    switch (threshold->metric.kind) {
    case METRIC_TIME:
        *out_words = "the bound is a time: write for example 50ms, 1.5s or 300us";
        return read_time(text, &threshold->bound);
    case METRIC_SHARE:
        *out_words = "the bound is a share: write for example 1% or 0.01";
        return read_share(text, &threshold->bound);
    default:
        *out_words = "the bound is a number: write for example 0, 9900 or 10k";
        return number_read_real(text, &threshold->bound) == NUMBER_OK;
    }
}

bool threshold_parse(const char *text, struct threshold *out_threshold, char *error,
                     size_t error_bytes)
{
    size_t name_bytes = strcspn(text, "<>=!"), comparison_bytes = 0;
    char name[METRIC_NAME_BYTES], bound[64], why[256];
    const char *words = NULL;

    *out_threshold = (struct threshold){.text = text};
    if (!read_comparison(text + name_bytes, &out_threshold->comparison, &comparison_bytes)) {
        return refuse(error, error_bytes, text,
                      "write a metric, one of < <= > >= == != and a bound, as in "
                      "'puback.p99<50ms' or 'lost==0'");
    }
    if (!copy_trimmed(text, name_bytes, name, sizeof(name))) {
        return refuse(error, error_bytes, text,
                      "there is no metric before the comparison: write for example "
                      "'puback.p99<50ms'");
    }
    if (!metric_find(name, &out_threshold->metric, why, sizeof(why))) {
        return refuse(error, error_bytes, text, why);
    }
    const char *rest = text + name_bytes + comparison_bytes;
    bool has_bound = copy_trimmed(rest, strlen(rest), bound, sizeof(bound));
    if (!has_bound) {
        bound[0] = '?'; /* is no number: the answer says what to write */
        bound[1] = '\0';
    }
    return read_bound(bound, out_threshold, &words) || refuse(error, error_bytes, text, words);
}

bool thresholds_parse(const char *const *texts, size_t count, struct threshold *out_thresholds,
                      char *error, size_t error_bytes)
{
    char words[512];

    for (size_t i = 0; i < count; i++) {
        if (!threshold_parse(texts[i], &out_thresholds[i], words, sizeof(words))) {
            snprintf(error, error_bytes, "option '--threshold': %s", words);
            return false;
        }
    }
    return true;
}

bool threshold_holds(const struct threshold *threshold, double measured)
{
    if (isnan(measured)) {
        return false;
    }
    switch (threshold->comparison) {
    case LESS:
        return measured < threshold->bound;
    case AT_MOST:
        return measured <= threshold->bound;
    case MORE:
        return measured > threshold->bound;
    case AT_LEAST:
        return measured >= threshold->bound;
    case EQUAL:
        return measured == threshold->bound;
    default:
        return measured != threshold->bound;
    }
}

bool thresholds_judge(const struct threshold *thresholds, size_t count, struct result *result)
{
    if (count != result->thresholds_count) {
        struct result_threshold *rows = calloc(count > 0 ? count : 1, sizeof(*rows));
        if (rows == NULL) {
            return false;
        }
        free(result->thresholds);
        result->thresholds = rows;
        result->thresholds_count = count;
    }
    for (size_t i = 0; i < count; i++) {
        struct result_threshold *row = &result->thresholds[i];
        double measured = metric_of(result, &thresholds[i].metric);
        snprintf(row->text, sizeof(row->text), "%s", thresholds[i].text);
        snprintf(row->value, sizeof(row->value), "%s",
                 metric_words(&thresholds[i].metric, measured).text);
        row->measured = measured;
        row->is_met = threshold_holds(&thresholds[i], measured);
    }
    return true;
}
