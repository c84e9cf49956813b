/*
 * result_svg_words — texts, figures and labels as a page writes them
 *
 * Why it is so:   a page has room for "µs" and has to escape what people have named; a label of an
 *                 axis has room for next to nothing
 * Threads:        any
 * Not here:       figures as terminals show them: words.c, fleet_tell.c
 */
#include "tools/fleetmux/result_svg_parts.h"

#include "tools/fleetmux/words.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ── words ── */

static void put_escaped(FILE *file, char byte)
{
    switch (byte) {
    case '&':
        fputs("&amp;", file);
        break;
    case '<':
        fputs("&lt;", file);
        break;
    case '>':
        fputs("&gt;", file);
        break;
    case '"':
        fputs("&quot;", file);
        break;
    case '\'':
        fputs("&#39;", file);
        break;
    default:
        fputc(byte, file);
    }
}

void html_text(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        put_escaped(file, *text);
    }
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

void html_words(FILE *file, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        bool is_unit = strncmp(at, "us", 2) == 0 && !is_letter(at[2]) && at >= text + 2 &&
                       at[-1] == ' ' && is_digit(at[-2]);
        if (is_unit) {
            fputs("µ", file);
        } else {
            put_escaped(file, *at);
        }
    }
}

/* words_time for terminals says "us". */
static void time_words(double value_ns, char *out_text, size_t text_bytes)
{
    struct words words = words_time((uint64_t)(value_ns + 0.5));
    char *unit = strstr(words.text, " us");

    if (unit != NULL) {
        *unit = '\0';
    }
    snprintf(out_text, text_bytes, "%s%s", words.text, unit != NULL ? " µs" : "");
}

struct plot_words plot_words(double value, enum plot_scale scale)
{
    struct plot_words words = {.text = "–"};

    if (!isfinite(value) || value < 0 || value >= 1.8e19) {
        return words;
    }
    if (scale == PLOT_LATENCY) {
        time_words(value, words.text, sizeof(words.text));
    } else if (scale == PLOT_SHARE) {
        snprintf(words.text, sizeof(words.text), "%.*f %%",
                 value < 0.1 ? 2
                 : value < 1 ? 1
                             : 0,
                 100 * value);
    } else {
        snprintf(words.text, sizeof(words.text), "%s%s",
                 value == floor(value) ? words_count((uint64_t)value).text : words_real(value).text,
                 scale == PLOT_RATE ? "/s" : "");
    }
    return words;
}

void plot_short_count(double value, char *out_text, size_t text_bytes)
{
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    snprintf(out_text, text_bytes, "%.4g%s", value, units[unit]);
}

void plot_short_time(double value_ns, char *out_text, size_t text_bytes)
{
    static const char *const units[] = {"ns", "µs", "ms", "s"};
    size_t unit = 0;

    while (value_ns >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value_ns /= 1000;
        unit++;
    }
    snprintf(out_text, text_bytes, "%.4g %s", value_ns, units[unit]);
}

void plot_clock_words(double seconds, double step, char *out_text, size_t text_bytes)
{
    uint64_t whole = (uint64_t)(seconds + 0.5);

    if (step < 1) {
        snprintf(out_text, text_bytes, "%.1f s", seconds);
    } else if (step >= 60 && whole < 7200 && step < 3600) {
        snprintf(out_text, text_bytes, "%" PRIu64 " min", whole / 60);
    } else if (step >= 60) {
        snprintf(out_text, text_bytes, whole % 3600 == 0 ? "%" PRIu64 " h" : "%" PRIu64 ":%02d h",
                 whole / 3600, (int)(whole / 60 % 60));
    } else if (whole < 60) {
        snprintf(out_text, text_bytes, "%" PRIu64 " s", whole);
    } else if (whole < 3600) {
        snprintf(out_text, text_bytes, "%" PRIu64 ":%02" PRIu64, whole / 60, whole % 60);
    } else {
        snprintf(out_text, text_bytes, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, whole / 3600,
                 whole / 60 % 60, whole % 60);
    }
}
