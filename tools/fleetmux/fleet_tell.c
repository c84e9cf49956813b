/*
 * fleet_tell — what screen, lines and summary say in the same words
 *
 * Why it is so:   a person looks at the screen, then at the summary, then into a log file. What is
 *                 called PUBACK in one must not be an acknowledgement in the other, and a rate must
 *                 not differ because two places have divided by different seconds
 * Words:          raw: measured from the sending; corrected: from the planned time
 * Threads:        pure
 * Not here:       figures as text: words.c; hints: fleet_hints.c
 */
#include "tools/fleetmux/fleet_tell.h"
#include "tools/fleetmux/fleet.h"

#include <inttypes.h>
#include <string.h>

#define NS_PER_S    UINT64_C(1000000000)
#define LOOKED_BACK 60u /* rows in which a processor's share must show if it can be told at all */

struct words tell_clock(uint64_t time_ns)
{
    struct words words;
    uint64_t seconds = time_ns / NS_PER_S;
    uint64_t minutes = seconds / 60, hours = minutes / 60;

    if (hours > 0) {
        snprintf(words.text, sizeof(words.text), "%" PRIu64 ":%02u:%02u", hours,
                 (unsigned)(minutes % 60), (unsigned)(seconds % 60));
    } else {
        snprintf(words.text, sizeof(words.text), "%u:%02u", (unsigned)minutes,
                 (unsigned)(seconds % 60));
    }
    return words;
}

struct words tell_time(uint64_t time_ns)
{
    struct words words = words_time(time_ns);
    char *space = strchr(words.text, ' ');

    if (space != NULL) {
        memmove(space, space + 1, strlen(space));
    }
    return words;
}

struct words tell_share(double share)
{
    struct words words;
    double percent = share * 100;

    snprintf(words.text, sizeof(words.text), "%.*f %%", percent > 0 && percent < 9.95 ? 1 : 0,
             percent);
    return words;
}

const char *tell_prefix(const struct result *result)
{
    return result->is_valid ? "" : "INVALID: generator-limited";
}

/* ── causes ── */

void tell_cause(const struct result_cause *told, char *out_words, size_t words_bytes)
{
    const struct fmx_fleet_cause *cause = &told->cause;
    bool says_all = cause->status == FMX_TLS_ALERT && told->more[0] != '\0';
    int used = snprintf(out_words, words_bytes, "%s",
                        says_all ? told->more : fmx_status_text(cause->status));
    size_t at = used < 0 || (size_t)used >= words_bytes ? words_bytes - 1 : (size_t)used;

    if (told->more[0] != '\0' && !says_all && cause->reason != 0) {
        used = snprintf(out_words + at, words_bytes - at, " (%s, code 0x%02X)", told->more,
                        (unsigned)cause->reason);
    } else if (told->more[0] != '\0' && !says_all) {
        used = snprintf(out_words + at, words_bytes - at, " (%s)", told->more);
    } else if (cause->sys_errno != 0) {
        used = snprintf(out_words + at, words_bytes - at, ": %s", strerror(cause->sys_errno));
    } else if (cause->reason != 0) {
        const char *reason = fmx_fleet_cause_reason(cause);
        used = snprintf(out_words + at, words_bytes - at, "%s%s (code 0x%02X)",
                        reason != NULL ? ": " : "", reason != NULL ? reason : "",
                        (unsigned)cause->reason);
    }
    (void)used;
}

const char *tell_hint(const struct result *result, const struct result_cause *told)
{
    struct fmx_fleet_cause cause = told->cause;

    cause.words = told->more[0] != '\0' ? told->more : NULL;
    return fleet_hint(&cause, result->counters.connects_ok > 0);
}

/* ── latencies ── */

struct candidate {
    struct tell_latency row;
    unsigned leaves; /* the higher, the sooner it is left out */
};

static const struct candidate candidates[] = {
    {{FMX_FLEET_CONNECT, "connect", false}, 3},     {{FMX_FLEET_TLS_FULL, "TLS full", false}, 4},
    {{FMX_FLEET_TLS_RESUMED, "resumed", false}, 7}, {{FMX_FLEET_CONNACK, "CONNACK", false}, 5},
    {{FMX_FLEET_SUBACK, "SUBACK", false}, 6},       {{FMX_FLEET_PUBACK, "PUBACK", false}, 0},
    {{FMX_FLEET_PUBACK_RAW, "  raw", true}, 1},     {{FMX_FLEET_DELIVERY, "delivery", false}, 0},
    {{FMX_FLEET_DELIVERY_RAW, "  raw", true}, 1},   {{FMX_FLEET_REQUEST, "request", false}, 0},
    {{FMX_FLEET_REQUEST_RAW, "  raw", true}, 2},
};

#define CANDIDATES_COUNT (sizeof(candidates) / sizeof(candidates[0]))

static bool has_any(const struct result *result, const struct candidate *candidate)
{
    return result->latency[candidate->row.latency].count > 0;
}

size_t tell_latencies(const struct result *result, size_t rows_max,
                      struct tell_latency out_rows[TELL_LATENCIES_MAX], size_t *out_missing)
{
    bool is_shown[CANDIDATES_COUNT];
    size_t count = 0, wanted, shown = 0;

    for (size_t i = 0; i < CANDIDATES_COUNT; i++) {
        is_shown[i] = has_any(result, &candidates[i]);
        count += is_shown[i];
    }
    wanted = count;
    while (count > rows_max) {
        size_t leaving = CANDIDATES_COUNT;
        for (size_t i = 0; i < CANDIDATES_COUNT; i++) {
            if (is_shown[i] && (leaving == CANDIDATES_COUNT ||
                                candidates[i].leaves >= candidates[leaving].leaves)) {
                leaving = i;
            }
        }
        is_shown[leaving] = false;
        count--;
    }
    for (size_t i = 0; i < CANDIDATES_COUNT; i++) {
        if (is_shown[i]) {
            out_rows[shown++] = candidates[i].row;
        }
    }
    *out_missing = wanted - count;
    return count;
}

bool tell_has_filters(const struct result *result)
{
    return result->latency[FMX_FLEET_SUBACK].count > 0 || result->counters.received > 0 ||
           result->counters.deliveries_expected > 0 || result->counters.subscribes_refused > 0;
}

/* ── the generator itself ── */

static void add_row(const struct result_row *row, struct result_row *sum)
{
    sum->end_ns += row->end_ns - row->begin_ns;
    sum->cpu_ns += row->cpu_ns;
    sum->cpu_wait_ns += row->cpu_wait_ns;
    sum->segments_out += row->segments_out;
    sum->segments_again += row->segments_again;
}

void tell_health(const struct result *result, bool is_whole, struct tell_health *out_health)
{
    const struct fmx_latency *latency = is_whole ? result->latency : result->recent;
    uint32_t shards = result->shards_count > 0 ? result->shards_count : 1;
    bool can_tell_wait = false;
    struct result_row sum = {0};

    size_t first =
        is_whole || result->rows_count < LOOKED_BACK ? 0 : result->rows_count - LOOKED_BACK;
    for (size_t i = first; i < result->rows_count; i++) { /* a day has 86,400 rows */
        can_tell_wait = can_tell_wait || result->rows[i].cpu_wait_ns > 0;
        if (is_whole || i + 1 == result->rows_count) {
            add_row(&result->rows[i], &sum);
        }
    }
    if (result->rows_count == 0) {
        add_row(&result->running, &sum);
    }
    double span = (double)sum.end_ns * shards;
    *out_health = (struct tell_health){
        .lag_p99_ns = latency[FMX_FLEET_LAG].p99_ns,
        .drift_p99_ns = latency[FMX_FLEET_DRIFT].p99_ns,
        .cpu = span > 0 ? (double)sum.cpu_ns / span : 0,
        .wait = !can_tell_wait ? -1
                : span > 0     ? (double)sum.cpu_wait_ns / span
                               : 0,
        .segments_again =
            sum.segments_out > 0 ? (double)sum.segments_again / (double)sum.segments_out : -1,
        .rss_bytes = result->rss_bytes,
        .bytes_per_client =
            result->rss_bytes > result->rss_before_bytes && result->clients_count > 0
                ? (result->rss_bytes - result->rss_before_bytes) / result->clients_count
                : 0,
    };
}

/* ── rates ── */

static double a_second(double count, uint64_t span_ns)
{
    return span_ns > 0 ? count * 1e9 / (double)span_ns : 0;
}

uint64_t tell_count(const struct fmx_fleet_counters *counters, size_t counter_offset)
{
    uint64_t count;

    memcpy(&count, (const char *)counters + counter_offset, sizeof(count));
    return count;
}

double tell_rate(const struct result *result, size_t counter_offset)
{
    if (result->rows_count > 0) {
        return result_row_rate(result, result->rows_count - 1, counter_offset);
    }
    return a_second((double)tell_count(&result->counters, counter_offset), result->elapsed_ns);
}

static const struct result_row *latest(const struct result *result)
{
    return result->rows_count > 0 ? &result->rows[result->rows_count - 1] : &result->running;
}

double tell_connects_wanted(const struct result *result)
{
    const struct result_row *row = latest(result);

    return a_second(row->connects_wanted, row->end_ns - row->begin_ns);
}

double tell_publishes_wanted(const struct result *result)
{
    const struct result_row *row = latest(result);

    return a_second(row->publishes_wanted, row->end_ns - row->begin_ns);
}
