/*
 * result_html_tables — what the page tells in words and tables
 *
 * Why it is so:   the verdict comes first, then what is measured; rows without a figure are left
 *                 out. The ledger stands as sums, so that a reader can add it up
 * Threads:        one
 * Not here:       plots: result_html_plots.c; the page around all: result_html.c
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/result_columns.h"
#include "tools/fleetmux/result_compare.h"
#include "tools/fleetmux/result_html.h"
#include "tools/fleetmux/words.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define COUNT(value) words_count(value).text

/* ── figures ── */

const struct fmx_fleet_counters *html_clients_of(const struct result *result)
{
    static const struct fmx_fleet_counters none;

    return memcmp(&result->before_drain, &none, sizeof(none)) == 0 ? &result->counters
                                                                   : &result->before_drain;
}

static struct plot_words time_of(uint64_t time_ns)
{
    return plot_words((double)time_ns, PLOT_LATENCY);
}

/* "1 min 30 s": how long something took. */
static struct plot_words span_of(uint64_t time_ns)
{
    uint64_t seconds = (time_ns + 500000000) / 1000000000;
    struct plot_words words;

    if (seconds < 60) {
        return time_of(time_ns);
    }
    if (seconds < 3600) {
        snprintf(words.text, sizeof(words.text), "%" PRIu64 " min %" PRIu64 " s", seconds / 60,
                 seconds % 60);
    } else {
        snprintf(words.text, sizeof(words.text), "%" PRIu64 " h %" PRIu64 " min", seconds / 3600,
                 seconds / 60 % 60);
    }
    return words;
}

static struct plot_words date_of(uint64_t unix_ns)
{
    struct plot_words words = {.text = ""};
    time_t seconds = (time_t)(unix_ns / 1000000000);
    struct tm parts;

    if (unix_ns != 0 && gmtime_r(&seconds, &parts) != NULL) {
        strftime(words.text, sizeof(words.text), "%Y-%m-%d %H:%M:%S UTC", &parts);
    }
    return words;
}

#define RATE(member) result_rate(result, offsetof(struct fmx_fleet_counters, member))

static struct plot_words rate_words(double rate)
{
    return plot_words(rate >= 100 ? floor(rate + 0.5) : rate, PLOT_RATE);
}

/* ── the verdict ── */

static const char *class_of(const struct result *result)
{
    return !result->is_valid || !result->adds_up || result->status != EXIT_PASS ? "bad"
           : result->limit != RESULT_OK                                         ? "warn"
                                                                                : "ok";
}

static void print_badges(const struct page *page, const struct result *result)
{
    bool is_good = result->status == EXIT_PASS && result->limit == RESULT_OK;

    fputs("<p class=\"badges\">", page->file);
    fprintf(page->file, "<span class=\"badge %s\">%s</span>",
            is_good && result->adds_up ? "ok"
            : result->is_valid && (result->limit != RESULT_OK && result->status == EXIT_PASS)
                ? "warn"
                : "bad",
            result->limit == RESULT_OK && !is_good ? "NOT OK" : result_limit_name(result->limit));
    if (!result->is_valid) {
        fputs("<span class=\"badge bad\">INVALID</span>", page->file);
    }
    if (!result->adds_up) {
        fputs("<span class=\"badge bad\">THE LEDGER DOES NOT ADD UP</span>", page->file);
    }
    if (result->is_insecure) {
        fputs("<span class=\"badge warn\">INSECURE</span>", page->file);
    }
    fputs("</p>", page->file);
}

static void print_why(const struct page *page, const char *kind, const char *text)
{
    if (text[0] != '\0') {
        fprintf(page->file, "<p class=\"why %s\">", kind);
        html_words(page->file, text);
        fputs("</p>", page->file);
    }
}

static void print_facts(const struct page *page, const struct result *result)
{
    fputs("<p class=\"facts\">", page->file);
    if (result->began_unix_ns != 0) {
        fprintf(page->file, "<span>%s</span>", date_of(result->began_unix_ns).text);
    }
    fprintf(page->file, "<span>ran %s</span><span>%s client%s</span>",
            span_of(result->elapsed_ns).text, COUNT(result->clients_count),
            result->clients_count == 1 ? "" : "s");
    if (result->parts_count > 1) {
        fprintf(page->file, "<span>%" PRIu32 " of %" PRIu32 " parts</span>", result->parts_merged,
                result->parts_count);
    }
    if (result->host[0] != '\0') {
        fputs("<span>on ", page->file);
        html_text(page->file, result->host);
        fputs("</span>", page->file);
    }
    fputs("</p>", page->file);
}

static void print_tile(const struct page *page, bool is_bad, const char *title, const char *figure,
                       const char *more)
{
    fprintf(page->file, "<div class=\"tile%s\"><dt>%s</dt><dd>", is_bad ? " bad" : "", title);
    html_text(page->file, figure);
    fputs("<small><span>", page->file);
    for (size_t bytes; *more != '\0'; more += bytes) { /* a line breaks between parts only */
        char part[64];
        const char *space = strpbrk(more, ",;");
        while (space != NULL && space[1] != ' ') {
            space = strpbrk(space + 1, ",;");
        }
        bytes = space != NULL ? (size_t)(space - more) + 1 : strlen(more);
        bytes = bytes < sizeof(part) ? bytes : sizeof(part) - 1;
        snprintf(part, sizeof(part), "%.*s", (int)bytes, more);
        html_text(page->file, part);
        fputs(more[bytes] == ' ' ? "</span> <span>" : "", page->file);
        bytes += more[bytes] == ' ';
    }
    fputs("</span></small></dd></div>", page->file);
}

static void print_client_tiles(const struct page *page, const struct result *result)
{
    const struct fmx_fleet_counters *clients = html_clients_of(result);
    uint64_t away = clients->clients_lost + clients->clients_failed;
    char more[128];

    if (away > 0) {
        snprintf(more, sizeof(more), "of %s; %s failed, %s lost", COUNT(result->clients_count),
                 COUNT(clients->clients_failed), COUNT(clients->clients_lost));
    } else {
        snprintf(more, sizeof(more), "of %s", COUNT(result->clients_count));
    }
    print_tile(page, away > 0, "Clients open", COUNT(clients->clients_open), more);
    const struct fmx_latency *connect = &result->latency[FMX_FLEET_CONNECT];
    snprintf(more, sizeof(more), "p99 %s, max %s", time_of(connect->p99_ns).text,
             time_of(connect->max_ns).text);
    print_tile(page, result->counters.connects_ok == 0, "Connects",
               rate_words(RATE(connects_ok)).text, connect->count > 0 ? more : "none got in");
}

static void print_message_tiles(const struct page *page, const struct result *result)
{
    const struct fmx_fleet_counters *now = &result->counters;
    char more[128], figure[64];

    if (now->publishes_planned > 0) {
        double share = (double)now->publishes_sent / (double)now->publishes_planned;
        int used = snprintf(
            more, sizeof(more), "%s, %s of those planned", COUNT(now->publishes_sent),
            share >= 1 ? "all" : plot_words(floor(share * 10000) / 10000, PLOT_SHARE).text);
        if (now->publishes_sent_again > 0) {
            snprintf(more + used, sizeof(more) - (size_t)used, "; %s sent again",
                     COUNT(now->publishes_sent_again));
        }
        print_tile(page, share < 0.99, "Messages sent", rate_words(RATE(publishes_sent)).text,
                   more);
    }
    if (now->received > 0) {
        snprintf(more, sizeof(more), "%s in all", COUNT(now->received));
        print_tile(page, false, "Received", rate_words(RATE(received)).text, more);
    }
    if (now->publishes_sent_qos1 > 0 || now->received > 0) {
        uint64_t lost = result_messages_lost(result);
        snprintf(figure, sizeof(figure), "%s", COUNT(lost));
        snprintf(more, sizeof(more), "%s twice, %s out of order", COUNT(now->received_duplicate),
                 COUNT(now->received_reordered));
        print_tile(page, lost > 0, "Messages lost", figure,
                   now->received > 0 ? more
                   : lost > 0        ? "not acknowledged"
                                     : "all acknowledged");
    }
}

static void print_latency_tiles(const struct page *page, const struct result *result)
{
    static const char *const titles[] = {[FMX_FLEET_PUBACK] = "PUBACK p99",
                                         [FMX_FLEET_DELIVERY] = "Delivery p99",
                                         [FMX_FLEET_REQUEST] = "Request p99"};
    enum fmx_fleet_latency which = result_main_latency(result);
    const struct fmx_latency *lag = &result->latency[FMX_FLEET_LAG];
    char more[128];

    if (which != FMX_FLEET_CONNECT) {
        const struct fmx_latency *latency = &result->latency[which];
        snprintf(more, sizeof(more), "raw %s; max %s",
                 time_of(result->latency[which + 1].p99_ns).text, time_of(latency->max_ns).text);
        print_tile(page, false, titles[which], time_of(latency->p99_ns).text, more);
    }
    if (lag->count > 0) {
        snprintf(more, sizeof(more), "p99 of it; max %s", time_of(lag->max_ns).text);
        print_tile(page, !result->is_valid, "Generator&#39;s lag", time_of(lag->p99_ns).text, more);
    }
}

static void print_verdict(const struct page *page, size_t index)
{
    const struct result *result = page->results[index];

    fprintf(page->file, "<div><header class=\"verdict %s\"><p class=\"eyebrow\">",
            class_of(result));
    if (page->count > 1) {
        fprintf(page->file, "<span class=\"letter c%zu\">%c</span>", index + 1, html_letter(index));
    }
    html_text(page->file, result->name[0] != '\0' ? result->name : result->verb);
    if (page->count > 1 && result->path != NULL) {
        fputs(" · ", page->file);
        html_text(page->file, result->path);
    }
    fputs("</p>", page->file);
    print_badges(page, result);
    fprintf(page->file, "<h%d>", page->count > 1 ? 2 : 1);
    html_words(page->file, result->words[0] != '\0' ? result->words : "it has not ended");
    fprintf(page->file, "</h%d>", page->count > 1 ? 2 : 1);
    print_why(page, result->is_valid ? "" : "bad", result->limit_words);
    print_why(page, "bad", result->adds_up ? "" : result->ledger_words);
    print_why(page, "", result->find_words);
    print_facts(page, result);
    fputs("</header><dl class=\"tiles\">", page->file);
    print_client_tiles(page, result);
    print_message_tiles(page, result);
    print_latency_tiles(page, result);
    fputs("</dl></div>\n", page->file);
}

void html_verdicts(const struct page *page)
{
    fputs("<div class=\"verdicts\">\n", page->file);
    for (size_t i = 0; i < page->count; i++) {
        print_verdict(page, i);
    }
    fputs("</div>\n", page->file);
}

/* ── differences ── */

static void print_difference(const struct page *page, const struct compare_row *row)
{
    static const char *const kinds[] = {"bad", "dim", "ok"};
    double first = row->value(page->results[0], row->what);

    fprintf(page->file, "<tr><td>%s</td>", row->name);
    for (size_t i = 0; i < page->count; i++) {
        int verdict = 0;
        double value = row->value(page->results[i], row->what);
        fprintf(page->file, "<td>%s</td>", plot_words(value, row->scale).text);
        if (i > 0) {
            struct plot_words ratio = compare_ratio(row, first, value, &verdict);
            fprintf(page->file, "<td class=\"%s\">%s%s</td>", kinds[verdict + 1], ratio.text,
                    verdict < 0   ? " worse"
                    : verdict > 0 ? " better"
                                  : "");
        }
    }
    fputs("</tr>\n", page->file);
}

void html_differences(const struct page *page)
{
    if (page->count < 2) {
        return;
    }
    html_section(page, "Differences",
                 "Beside each figure how many times A's it is. What is "
                 "within 2 % is the same.");
    fputs("<div class=\"table differences\"><table><thead><tr><th></th>", page->file);
    for (size_t i = 0; i < page->count; i++) {
        fprintf(page->file, "<th><span class=\"letter c%zu\">%c</span></th>%s", i + 1,
                html_letter(i), i > 0 ? "<th>to A</th>" : "");
    }
    fputs("</tr></thead><tbody>\n<tr><td>verdict</td>", page->file);
    for (size_t i = 0; i < page->count; i++) {
        fprintf(page->file, "<td class=\"%s\">%s</td>%s",
                strcmp(class_of(page->results[i]), "bad") == 0 ? "bad" : "",
                result_limit_name(page->results[i]->limit), i > 0 ? "<td></td>" : "");
    }
    fputs("</tr>\n", page->file);
    for (size_t i = 0; i < compare_rows_count; i++) {
        if (compare_is_shown(&compare_rows[i], page->results, page->count)) {
            print_difference(page, &compare_rows[i]);
        }
    }
    fputs("</tbody></table></div>\n", page->file);
    html_section_end(page);
}

/* ── thresholds and search ── */

void html_thresholds(const struct page *page)
{
    bool has_any = false;

    for (size_t i = 0; i < page->count; i++) {
        has_any = has_any || page->results[i]->thresholds_count > 0;
    }
    if (!has_any) {
        return;
    }
    html_section(page, "Thresholds", NULL);
    for (size_t i = 0; i < page->count; i++) {
        const struct result *result = page->results[i];
        if (result->thresholds_count == 0) {
            continue;
        }
        html_run_title(page, i);
        fputs("<div class=\"table small\"><table><thead><tr><th class=\"text\">threshold</th>"
              "<th>measured</th><th></th></tr></thead><tbody>\n",
              page->file);
        for (size_t j = 0; j < result->thresholds_count; j++) {
            const struct result_threshold *threshold = &result->thresholds[j];
            fputs("<tr><td class=\"text\"><code>", page->file);
            html_text(page->file, threshold->text);
            fputs("</code></td><td>", page->file);
            html_words(page->file, threshold->value);
            fprintf(page->file, "</td><td class=\"%s\">%s</td></tr>\n",
                    threshold->is_met ? "ok" : "bad", threshold->is_met ? "met" : "MISSED");
        }
        fputs("</tbody></table></div>\n", page->file);
    }
    html_section_end(page);
}

void html_steps(const struct page *page)
{
    bool has_any = false;

    for (size_t i = 0; i < page->count; i++) {
        has_any = has_any || page->results[i]->steps_count > 0;
    }
    if (!has_any) {
        return;
    }
    html_section(page, "Search for the highest rate", NULL);
    for (size_t i = 0; i < page->count; i++) {
        const struct result *result = page->results[i];
        if (result->steps_count == 0) {
            continue;
        }
        html_run_title(page, i);
        print_why(page, "", result->find_words);
        fputs("<div class=\"table small\"><table><thead><tr><th>step</th><th>asked for</th>"
              "<th>reached</th><th>measured</th><th></th></tr></thead><tbody>\n",
              page->file);
        for (size_t j = 0; j < result->steps_count; j++) {
            const struct result_step *step = &result->steps[j];
            fprintf(page->file, "<tr><td>%zu</td><td>%s</td><td>%s</td><td>", j + 1,
                    rate_words(step->rate).text, rate_words(step->achieved).text);
            html_words(page->file, step->value);
            fprintf(page->file, "</td><td class=\"%s\">%s</td></tr>\n",
                    step->is_held ? "ok" : "bad", step->is_held ? "held" : "did not hold");
        }
        fputs("</tbody></table></div>\n", page->file);
    }
    html_section_end(page);
}

/* ── latencies ── */

static void print_latency_row(const struct page *page, size_t latency,
                              const struct fmx_latency *figures)
{
    const char *name = fmx_fleet_latency_name((enum fmx_fleet_latency)latency);

    fprintf(page->file, "<tr%s><td title=\"", strstr(name, "_raw") != NULL ? " class=\"raw\"" : "");
    html_text(page->file, fmx_fleet_latency_words((enum fmx_fleet_latency)latency));
    fputs("\">", page->file);
    html_text(page->file, name);
    fprintf(page->file,
            "</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>"
            "<td class=\"dim\">%s</td></tr>\n",
            time_of(figures->min_ns).text, time_of(figures->p50_ns).text,
            time_of(figures->p90_ns).text, time_of(figures->p99_ns).text,
            time_of(figures->p999_ns).text, time_of(figures->max_ns).text, COUNT(figures->count));
}

static void begin_latency_table(const struct page *page)
{
    fputs("<div class=\"table\"><table><thead><tr><th>latency</th><th>min</th><th>p50</th>"
          "<th>p90</th><th>p99</th><th>p99.9</th><th>max</th><th>count</th></tr></thead><tbody>\n",
          page->file);
}

void html_latency_table(const struct page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        html_run_title(page, i);
        begin_latency_table(page);
        for (size_t j = 0; j < FMX_FLEET_LATENCIES; j++) {
            if (page->results[i]->latency[j].count > 0) {
                print_latency_row(page, j, &page->results[i]->latency[j]);
            }
        }
        fputs("</tbody></table></div>\n", page->file);
    }
}

/* ── causes ── */

static void print_cause(const struct page *page, const struct result *result,
                        const struct result_cause *cause)
{
    struct fmx_fleet_cause known = cause->cause;

    known.words = cause->more[0] != '\0' ? cause->more : NULL;
    const char *hint = fleet_hint(&known, result->counters.connects_ok > 0);
    fprintf(page->file, "<tr><td>%s</td><td class=\"text\">", COUNT(known.count));
    html_text(page->file, fmx_status_text(known.status));
    if (known.words != NULL || known.sys_errno != 0 || known.reason != 0) {
        fputs(" <small>", page->file);
        html_text(page->file, known.words != NULL ? known.words : "");
        if (known.sys_errno != 0) {
            fputs(known.words != NULL ? ": " : "", page->file);
            html_text(page->file, strerror(known.sys_errno));
        }
        if (known.reason != 0) {
            const char *reason = fmx_fleet_cause_reason(&known);
            fprintf(page->file, "%s%s (code 0x%02X)", known.words != NULL ? ": " : "",
                    reason != NULL ? reason : "", (unsigned)known.reason);
        }
        fputs("</small>", page->file);
    }
    fputs("</td><td class=\"text dim\">", page->file);
    html_text(page->file, hint != NULL ? hint : "");
    fputs("</td></tr>\n", page->file);
}

void html_causes(const struct page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct result *result = page->results[i];
        if (result->causes_count == 0) {
            continue;
        }
        html_run_title(page, i);
        fputs("<div class=\"table causes\"><table><thead><tr><th>times</th>"
              "<th class=\"text\">what went wrong</th>"
              "<th class=\"text\">what to do</th></tr></thead><tbody>\n",
              page->file);
        for (size_t j = 0; j < result->causes_count; j++) {
            print_cause(page, result, &result->causes[j]);
        }
        fputs("</tbody></table></div>\n", page->file);
    }
}

/* ── the ledger ── */

struct item {
    const char *name;
    uint64_t count;
};

/* "1,000 planned = 990 sent + 10 overdue", without what is 0. */
static void print_sum(const struct page *page, struct item whole, const struct item *parts,
                      size_t count)
{
    const char *sign = "=";

    if (whole.count == 0) {
        return;
    }
    fprintf(page->file, "<p class=\"sum\"><b>%s</b> %s", COUNT(whole.count), whole.name);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].count > 0) {
            fprintf(page->file, " <span class=\"op\">%s</span> <b>%s</b> %s", sign,
                    COUNT(parts[i].count), parts[i].name);
            sign = "+";
        }
    }
    fputs("</p>\n", page->file);
}

#define SUM(page, whole, ...)                                                                      \
    print_sum((page), (whole), (const struct item[]){__VA_ARGS__},                                 \
              sizeof((const struct item[]){__VA_ARGS__}) / sizeof(struct item))

static void print_sums(const struct page *page, const struct result *result)
{
    const struct fmx_fleet_counters *now = &result->counters;

    SUM(page, ((struct item){"connects begun", now->connects_begun}), {"good", now->connects_ok},
        {"failed", now->connects_failed}, {"unanswered", now->clients_connecting});
    SUM(page, ((struct item){"messages planned", now->publishes_planned}),
        {"sent", now->publishes_sent}, {"skipped while away", now->publishes_skipped},
        {"overdue", now->publishes_overdue});
    SUM(page, ((struct item){"sent at QoS 1", now->publishes_sent_qos1}),
        {"acknowledged", now->publishes_acked}, {"refused", now->publishes_refused},
        {"never acknowledged", now->publishes_unacked},
        {"outstanding", now->publishes_outstanding});
    SUM(page, ((struct item){"received", now->received}),
        {"for the first time", now->received_once},
        {"by another filter, too", now->received_copies},
        {"again, with DUP", now->received_redelivered},
        {"again, without DUP", now->received_duplicate}, {"unmarked", now->received_foreign},
        {"unchecked", now->received_unchecked});
    SUM(page, ((struct item){"deliveries expected", now->deliveries_expected}),
        {"came", now->received_once}, {"lost", now->deliveries_lost});
}

static void print_counters(const struct page *page, const struct result *result)
{
    fputs("<details><summary>All counters</summary><div class=\"table\"><table><thead><tr>"
          "<th>counter</th><th>count</th><th class=\"text\">what it counts</th></tr></thead>"
          "<tbody>\n",
          page->file);
    for (size_t i = 0; i < result_counters_count; i++) {
        uint64_t count = result_field_get(&result->counters, &result_counters[i]);
        if (count > 0) {
            fprintf(page->file, "<tr><td>%s</td><td>%s</td><td class=\"text dim\">",
                    result_counters[i].name, COUNT(count));
            html_text(page->file, result_counters[i].words);
            fputs("</td></tr>\n", page->file);
        }
    }
    for (size_t i = 0; i < result_stats_count; i++) {
        uint64_t count = result_field_get(&result->stats, &result_stats[i]);
        if (count > 0) {
            fprintf(page->file, "<tr class=\"raw\"><td>%s</td><td>%s</td><td class=\"text dim\">",
                    result_stats[i].name, COUNT(count));
            html_text(page->file, result_stats[i].words);
            fputs("</td></tr>\n", page->file);
        }
    }
    fputs("</tbody></table></div></details>\n", page->file);
}

void html_ledger(const struct page *page)
{
    html_section(page, "The ledger", "What was planned and what became of it.");
    for (size_t i = 0; i < page->count; i++) {
        html_run_title(page, i);
        if (!page->results[i]->adds_up) {
            print_why(page, "bad", page->results[i]->ledger_words);
        }
        print_sums(page, page->results[i]);
        print_counters(page, page->results[i]);
    }
    html_section_end(page);
}

/* ── groups and stages ── */

static void print_group(const struct page *page, const struct result_group *group)
{
    static const enum fmx_fleet_latency order[] = {FMX_FLEET_PUBACK, FMX_FLEET_DELIVERY,
                                                   FMX_FLEET_REQUEST, FMX_FLEET_CONNECT};
    const struct fmx_fleet_counters *now = &group->counters;
    size_t which = 0;

    while (which < 3 && group->latency[order[which]].count == 0) {
        which++;
    }
    fputs("<tr><td>", page->file);
    html_text(page->file, group->name);
    fprintf(page->file,
            "</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>"
            "<td>%s <small>%s</small></td></tr>\n",
            COUNT(group->clients_count), COUNT(now->connects_ok),
            COUNT(now->connects_failed + now->connections_lost), COUNT(now->publishes_sent),
            COUNT(now->publishes_acked), COUNT(now->received),
            group->latency[order[which]].count > 0
                ? time_of(group->latency[order[which]].p99_ns).text
                : "–",
            group->latency[order[which]].count > 0 ? fmx_fleet_latency_name(order[which]) : "");
}

void html_groups(const struct page *page)
{
    bool has_any = false;

    for (size_t i = 0; i < page->count; i++) {
        has_any = has_any || page->results[i]->groups_count > 1;
    }
    if (!has_any) {
        return;
    }
    html_section(page, "Groups", NULL);
    for (size_t i = 0; i < page->count; i++) {
        html_run_title(page, i);
        fputs("<div class=\"table\"><table><thead><tr><th>group</th><th>clients</th>"
              "<th>connects</th><th>failed, lost</th><th>sent</th><th>acked</th><th>received</th>"
              "<th>p99</th></tr></thead><tbody>\n",
              page->file);
        for (size_t j = 0; j < page->results[i]->groups_count; j++) {
            print_group(page, &page->results[i]->groups[j]);
        }
        fputs("</tbody></table></div>\n", page->file);
    }
    html_section_end(page);
}

/* ── how it was run ── */

static void print_fact(const struct page *page, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        fprintf(page->file, "<dt>%s</dt><dd>", name);
        html_text(page->file, text);
        fputs("</dd>", page->file);
    }
}

static void print_machine(const struct page *page, const struct result *result)
{
    char text[512];

    snprintf(text, sizeof(text), "%s%s%s%s%s, %" PRIu32 " processor%s", result->host,
             result->host[0] != '\0' ? ": " : "", result->cpu, result->cpu[0] != '\0' ? ", " : "",
             result->kernel, result->cpus_count, result->cpus_count == 1 ? "" : "s");
    print_fact(page, "machine", text);
    uint64_t grown = result->rss_bytes > result->rss_before_bytes
                         ? result->rss_bytes - result->rss_before_bytes
                         : 0;
    snprintf(text, sizeof(text), "%" PRIu32 " shard%s, %s resident, %s for each client",
             result->shards_count, result->shards_count == 1 ? "" : "s",
             words_bytes(result->rss_bytes).text,
             words_bytes(result->clients_count > 0 ? grown / result->clients_count : 0).text);
    print_fact(page, "process", text);
}

static void print_run(const struct page *page, const struct result *result)
{
    char text[256];

    fputs("<dl class=\"how\">", page->file);
    if (result->command != NULL) {
        fputs("<dt>command</dt><dd><code>", page->file);
        html_text(page->file, result->command);
        fputs("</code></dd>", page->file);
    }
    print_fact(page, "file", result->path);
    print_fact(page, "began", date_of(result->began_unix_ns).text);
    snprintf(text, sizeof(text), "%s%s%s", span_of(result->elapsed_ns).text,
             result->ready_ns > 0 ? "; all clients were ready after " : "",
             result->ready_ns > 0 ? time_of(result->ready_ns).text : "");
    print_fact(page, "ran", text);
    snprintf(text, sizeof(text), "%" PRIu64 "; the streams' hash is %016" PRIx64, result->seed,
             result->hash);
    print_fact(page, "seed", text);
    if (result->tls_version[0] != '\0') {
        snprintf(text, sizeof(text), "%s, %s%s", result->tls_version, result->tls_suite,
                 result->is_insecure ? "; NO SERVER WAS VERIFIED" : "");
        print_fact(page, "TLS", text);
    }
    print_machine(page, result);
    snprintf(text, sizeof(text), "fleetmux %s; exit status %d", result->version,
             (int)result->status);
    print_fact(page, "program", text);
    fputs("</dl>\n", page->file);
    if (result->scenario != NULL) {
        fputs("<details><summary>The scenario</summary><pre>", page->file);
        html_text(page->file, result->scenario);
        fputs("</pre></details>\n", page->file);
    }
}

void html_how(const struct page *page)
{
    html_section(page, "How it was run", NULL);
    for (size_t i = 0; i < page->count; i++) {
        html_run_title(page, i);
        print_run(page, page->results[i]);
    }
    html_section_end(page);
}
