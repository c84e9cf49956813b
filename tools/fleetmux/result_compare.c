/*
 * result_compare — what two runs are compared by, as figures and ratios
 *
 * Why it is so:   page and terminal show the same rows. A ratio to the first run says how far, and
 *                 which direction is the better one is part of the row. Within 2 % two runs are
 *                 called the same: so much they differ by themselves
 * Threads:        pure
 */
#include "tools/fleetmux/result_compare.h"

#include "tools/fleetmux/words.h"

#include <math.h>
#include <string.h>

#define SAME 0.02

#define AT(member) offsetof(struct fmx_fleet_counters, member)
#define FIGURE(latency, member)                                                                    \
    ((size_t)FMX_FLEET_##latency * 8 + offsetof(struct fmx_latency, member) / sizeof(uint64_t))

static double counter(const struct result *result, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)&result->counters + offset, sizeof(value));
    return (double)value;
}

static double rate(const struct result *result, size_t offset)
{
    return counter(result, offset) > 0 ? result_rate(result, offset) : NAN;
}

static double figure(const struct result *result, size_t what)
{
    const struct fmx_latency *latency = &result->latency[what / 8];
    uint64_t value;

    memcpy(&value, (const char *)latency + what % 8 * sizeof(value), sizeof(value));
    return latency->count > 0 ? (double)value : NAN;
}

static double clients(const struct result *result, size_t what)
{
    (void)what;
    return result->clients_count;
}

static double sent_share(const struct result *result, size_t what)
{
    const struct fmx_fleet_counters *now = &result->counters;

    (void)what;
    return now->publishes_planned > 0 ? (double)now->publishes_sent / (double)now->publishes_planned
                                      : NAN;
}

static double lost(const struct result *result, size_t what)
{
    (void)what;
    return (double)result_messages_lost(result);
}

static double ready(const struct result *result, size_t what)
{
    (void)what;
    return result->ready_ns > 0 ? (double)result->ready_ns : NAN;
}

/* Of the shards, for each message that was sent or received. */
static double cpu_per_message(const struct result *result, size_t what)
{
    double cpu_ns = 0,
           messages = counter(result, AT(publishes_sent)) + counter(result, AT(received));

    (void)what;
    for (size_t i = 0; i < result->rows_count; i++) {
        cpu_ns += (double)result->rows[i].cpu_ns;
    }
    return messages > 0 && cpu_ns > 0 ? cpu_ns / messages : NAN;
}

const struct compare_row compare_rows[] = {
    {"clients", PLOT_COUNT, 0, clients, 0},
    {"all clients ready after", PLOT_LATENCY, -1, ready, 0},
    {"connects a second", PLOT_RATE, 1, rate, AT(connects_ok)},
    {"connects failed", PLOT_COUNT, -1, counter, AT(connects_failed)},
    {"connections lost", PLOT_COUNT, -1, counter, AT(connections_lost)},
    {"connect p99", PLOT_LATENCY, -1, figure, FIGURE(CONNECT, p99_ns)},
    {"messages sent", PLOT_COUNT, 0, counter, AT(publishes_sent)},
    {"of those planned", PLOT_SHARE, 1, sent_share, 0},
    {"sent a second", PLOT_RATE, 1, rate, AT(publishes_sent)},
    {"acknowledged a second", PLOT_RATE, 1, rate, AT(publishes_acked)},
    {"received a second", PLOT_RATE, 1, rate, AT(received)},
    {"messages lost", PLOT_COUNT, -1, lost, 0},
    {"received twice", PLOT_COUNT, -1, counter, AT(received_duplicate)},
    {"received out of order", PLOT_COUNT, -1, counter, AT(received_reordered)},
    {"PUBACK p50", PLOT_LATENCY, -1, figure, FIGURE(PUBACK, p50_ns)},
    {"PUBACK p99", PLOT_LATENCY, -1, figure, FIGURE(PUBACK, p99_ns)},
    {"PUBACK p99.9", PLOT_LATENCY, -1, figure, FIGURE(PUBACK, p999_ns)},
    {"PUBACK max", PLOT_LATENCY, -1, figure, FIGURE(PUBACK, max_ns)},
    {"PUBACK p99, raw", PLOT_LATENCY, -1, figure, FIGURE(PUBACK_RAW, p99_ns)},
    {"delivery p50", PLOT_LATENCY, -1, figure, FIGURE(DELIVERY, p50_ns)},
    {"delivery p99", PLOT_LATENCY, -1, figure, FIGURE(DELIVERY, p99_ns)},
    {"delivery p99.9", PLOT_LATENCY, -1, figure, FIGURE(DELIVERY, p999_ns)},
    {"request p99", PLOT_LATENCY, -1, figure, FIGURE(REQUEST, p99_ns)},
    {"generator's lag p99", PLOT_LATENCY, 0, figure, FIGURE(LAG, p99_ns)},
    {"generator's time a message", PLOT_LATENCY, 0, cpu_per_message, 0},
};
const size_t compare_rows_count = sizeof(compare_rows) / sizeof(compare_rows[0]);

bool compare_is_shown(const struct compare_row *row, struct result *const *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value = row->value(results[i], row->what);
        if (!isnan(value) && value > 0) {
            return true;
        }
    }
    return false;
}

struct plot_words compare_ratio(const struct compare_row *row, double first, double other,
                                int *out_verdict)
{
    struct plot_words words = {.text = ""};

    *out_verdict = 0;
    if (isnan(first) || isnan(other)) {
        return words;
    }
    if (first > 0) {
        double ratio = other / first;
        if (ratio >= 0.1) {
            snprintf(words.text, sizeof(words.text), ratio < 9.995 ? "×%.2f" : "×%.0f", ratio);
        } else if (ratio > 0) {
            snprintf(words.text, sizeof(words.text), "÷%s", words_real(1 / ratio).text);
        }
        *out_verdict = fabs(ratio - 1) <= SAME ? 0 : ratio > 1 ? row->better : -row->better;
    } else if (other > 0) {
        *out_verdict = row->better;
    }
    return words;
}

/* As the summary above it writes times. */
static struct plot_words terminal_words(double value, enum plot_scale scale)
{
    struct plot_words words = plot_words(value, scale);
    char *unit = strstr(words.text, "µs");

    if (unit != NULL) {
        snprintf(unit, sizeof("us"), "us");
    }
    return words;
}

/* Columns as wide as people see them: a character beyond ASCII has several bytes. */
static void print_right(FILE *out, const char *text, size_t columns)
{
    size_t width = 0;

    for (const char *at = text; *at != '\0'; at++) {
        width += ((unsigned char)*at & 0xc0) != 0x80;
    }
    fprintf(out, "%*s%s", width < columns ? (int)(columns - width) : 0, "", text);
}

void compare_print(struct result *const *results, size_t count, FILE *out)
{
    fprintf(out, "%-27s", "");
    for (size_t i = 0; i < count; i++) {
        char letter[2] = {(char)('A' + i)};
        print_right(out, letter, 14);
        print_right(out, i > 0 ? "/A" : "", i > 0 ? 8 : 0);
    }
    fputc('\n', out);
    fprintf(out, "%-27s", "verdict");
    for (size_t i = 0; i < count; i++) {
        print_right(out, result_limit_name(results[i]->limit), i > 0 ? 22 : 14);
    }
    fputc('\n', out);
    for (size_t j = 0; j < compare_rows_count; j++) {
        const struct compare_row *row = &compare_rows[j];
        if (!compare_is_shown(row, results, count)) {
            continue;
        }
        fprintf(out, "%-27s", row->name);
        double first = row->value(results[0], row->what);
        for (size_t i = 0; i < count; i++) {
            int verdict;
            double value = row->value(results[i], row->what);
            print_right(out, terminal_words(value, row->scale).text, 14);
            print_right(out, i > 0 ? compare_ratio(row, first, value, &verdict).text : "",
                        i > 0 ? 8 : 0);
        }
        fputc('\n', out);
    }
}
