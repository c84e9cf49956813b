/*
 * result_html_plots — what the page plots: rates, latencies, clients by state, the generator itself
 *
 * Why it is so:   of several runs the same plots stand side by side on the same scales, so that a
 *                 look compares them; what is compared most stands in one plot, a colour each
 * Memory:         a plot's points live until it is drawn
 * Threads:        one
 * Not here:       how it is drawn: result_svg.c; tables: result_html_tables.c
 */
#include "tools/fleetmux/result_html.h"

#include <math.h>
#include <string.h>

#define AT(member) offsetof(struct fmx_fleet_counters, member)
#define SHORT_S    0.25

enum colour { BLUE = 1, ORANGE, TEAL, MAGENTA, VIOLET, OLIVE, RED, GREY };

/* ── values of a row ── */

struct source {
    double (*value)(const struct result *result, size_t row, size_t what);
    size_t what;
};

/* In seconds; NaN of what is left of a second at the end: too short to tell a rate. */
static double length_of(const struct result_row *row)
{
    double length = (double)(row->end_ns - row->begin_ns) / 1e9;

    return length >= SHORT_S ? length : NAN;
}

static double counter_rate(const struct result *result, size_t row, size_t offset)
{
    return isnan(length_of(&result->rows[row])) ? NAN : result_row_rate(result, row, offset);
}

static double wanted_publishes(const struct result *result, size_t row, size_t what)
{
    (void)what;
    return result->rows[row].publishes_wanted / length_of(&result->rows[row]);
}

static double wanted_connects(const struct result *result, size_t row, size_t what)
{
    (void)what;
    return result->rows[row].connects_wanted / length_of(&result->rows[row]);
}

static double counter_now(const struct result *result, size_t row, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)&result->rows[row].counters + offset, sizeof(value));
    return (double)value;
}

/* Open and not subscribed are part of open: what is left of it. */
static double open_now(const struct result *result, size_t row, size_t what)
{
    (void)what;
    return (double)result->rows[row].counters.clients_open;
}

/* `what` is the latency × 8 + the place of the figure in struct fmx_latency. */
#define FIGURE(latency, member)                                                                    \
    ((size_t)(latency)*8 + offsetof(struct fmx_latency, member) / sizeof(uint64_t))

static double latency_figure(const struct result *result, size_t row, size_t what)
{
    const struct fmx_latency *latency = &result->rows[row].latency[what / 8];
    uint64_t value;

    memcpy(&value, (const char *)latency + what % 8 * sizeof(value), sizeof(value));
    return latency->count > 0 ? (double)value : NAN;
}

/* Shares of one processor. */
static double cpu_share(const struct result *result, size_t row, size_t what)
{
    double length = length_of(&result->rows[row]);
    uint64_t time_ns = what == 0 ? result->rows[row].cpu_ns : result->rows[row].cpu_wait_ns;
    double shards = result->shards_count > 0 ? result->shards_count : 1;

    return (double)time_ns / 1e9 / length / shards;
}

static double again_share(const struct result *result, size_t row, size_t what)
{
    const struct result_row *at = &result->rows[row];

    (void)what;
    return at->segments_out > 0 ? (double)at->segments_again / (double)at->segments_out : NAN;
}

/* ── plots over time ── */

static void add_rows(struct plot *plot, const struct result *result, const char *name,
                     enum colour colour, enum plot_style style, struct source source)
{
    struct plot_line *line = plot_add(plot, name, colour, style, result->rows_count);

    for (size_t i = 0; line != NULL && i < result->rows_count; i++) {
        const struct result_row *row = &result->rows[i];
        line->x[i] = ((double)row->begin_ns + (double)row->end_ns) / 2e9;
        line->y[i] = source.value(result, i, source.what);
    }
    if (line == NULL || result->rows_count < 2) {
        return;
    }
    size_t last = result->rows_count - 1;
    if (!isnan(line->y[0]) && !isnan(line->y[1])) { /* no gaps at the edges */
        line->x[0] = (double)result->rows[0].begin_ns / 1e9;
    }
    if (!isnan(line->y[last]) && !isnan(line->y[last - 1])) {
        line->x[last] = (double)result->rows[last].end_ns / 1e9;
    }
}

/* The same for all, so that plots can be compared. */
static double longest(const struct page *page)
{
    double most = 1;

    for (size_t i = 0; i < page->count; i++) {
        const struct result *result = page->results[i];
        uint64_t end_ns = result->rows_count > 0 ? result->rows[result->rows_count - 1].end_ns : 0;
        most = (double)end_ns / 1e9 > most ? (double)end_ns / 1e9 : most;
    }
    return most;
}

static void finish(struct page *page, struct plot *plot)
{
    plot_draw(page->file, plot);
    page->is_broken = page->is_broken || plot->is_broken;
    plot_close(plot);
}

/*
 * Plots of one run flow into as many columns as there is room for; of several runs each kind has a
 * row of its own, so that what is compared stands beside one another.
 */
static void open_row(const struct page *page, const char *kind)
{
    fprintf(page->file, "<div class=\"plots%s\">\n", kind);
}

static void close_row(const struct page *page)
{
    fputs("</div>\n", page->file);
}

static void begin_plots(const struct page *page, bool is_one)
{
    if (page->count == 1) {
        open_row(page, is_one ? " one" : "");
    }
}

static void end_plots(const struct page *page)
{
    if (page->count == 1) {
        close_row(page);
    }
}

static void begin_each(const struct page *page)
{
    if (page->count > 1) {
        open_row(page, page->count % 3 == 0 || page->count > 4 ? " by3" : " by2");
    }
}

static void end_each(const struct page *page)
{
    if (page->count > 1) {
        close_row(page);
    }
}

typedef void fill_plot(struct plot *plot, const struct result *result, size_t what);

/*
 * The same plot of each run, on the same scales. False: none of them has anything to show, and
 * nothing was drawn.
 */
static bool draw_each(struct page *page, const struct plot *kind, fill_plot *fill, size_t what)
{
    double y_min = 0, y_max = 0;
    bool has_any = false;

    for (size_t i = 0; i < page->count; i++) {
        struct plot plot = *kind;
        fill(&plot, page->results[i], what);
        plot_stretch(&plot);
        has_any = has_any || plot_has_any(&plot);
        y_max = plot.y_max > y_max ? plot.y_max : y_max;
        y_min = y_min == 0 || (plot.y_min > 0 && plot.y_min < y_min) ? plot.y_min : y_min;
        plot_close(&plot);
    }
    if (!has_any) {
        return false;
    }
    begin_each(page);
    for (size_t i = 0; i < page->count; i++) {
        struct plot plot = *kind;
        char title[96];
        snprintf(title, sizeof(title), "%c · %.80s", html_letter(i), kind->title);
        plot.title = page->count > 1 ? title : kind->title;
        plot.x_max = longest(page);
        plot.y_min = y_min;
        plot.y_max = y_max;
        plot.course = page->results[i];
        fill(&plot, page->results[i], what);
        finish(page, &plot);
    }
    end_each(page);
    return true;
}

/* One plot with a line of each run. */
static void draw_overlaid(struct page *page, struct plot plot, struct source source)
{
    if (page->count < 2) {
        return;
    }
    plot.x_max = longest(page);
    for (size_t i = 0; i < page->count; i++) {
        char name[2] = {html_letter(i)};
        add_rows(&plot, page->results[i], name, (enum colour)(i + 1), PLOT_LINE, source);
    }
    if (plot_has_any(&plot)) {
        open_row(page, " one");
        finish(page, &plot);
        close_row(page);
    } else {
        plot_close(&plot);
    }
}

/* ── rates ── */

static void fill_messages(struct plot *plot, const struct result *result, size_t what)
{
    const struct fmx_fleet_counters *now = &result->counters;

    (void)what;
    if (now->publishes_planned > 0) {
        add_rows(plot, result, "sent", BLUE, PLOT_WIDE,
                 (struct source){counter_rate, AT(publishes_sent)});
    }
    if (now->publishes_acked > 0) {
        add_rows(plot, result, "acknowledged", TEAL, PLOT_LINE,
                 (struct source){counter_rate, AT(publishes_acked)});
    }
    if (now->received > 0) {
        add_rows(plot, result, "received", ORANGE, PLOT_THIN,
                 (struct source){counter_rate, AT(received)});
    }
    if (now->publishes_skipped > 0) {
        add_rows(plot, result, "skipped", RED, PLOT_THIN,
                 (struct source){counter_rate, AT(publishes_skipped)});
    }
    if (now->publishes_planned > 0 && result->base_rate > 0) {
        add_rows(plot, result, "planned", GREY, PLOT_DASHED, (struct source){wanted_publishes, 0});
    }
}

static void fill_connects(struct plot *plot, const struct result *result, size_t what)
{
    (void)what;
    add_rows(plot, result, "connected", BLUE, PLOT_WIDE,
             (struct source){counter_rate, AT(connects_ok)});
    if (result->counters.connects_failed > 0) {
        add_rows(plot, result, "failed", RED, PLOT_LINE,
                 (struct source){counter_rate, AT(connects_failed)});
    }
    if (result->counters.connections_lost > 0) {
        add_rows(plot, result, "lost", MAGENTA, PLOT_THIN,
                 (struct source){counter_rate, AT(connections_lost)});
    }
    add_rows(plot, result, "planned", GREY, PLOT_DASHED, (struct source){wanted_connects, 0});
}

void html_rates(struct page *page)
{
    html_section(
        page, "Planned and achieved rates",
        "A second each. The strip at the bottom of a plot marks seconds in which something "
        "was the limit: the server (orange), the network (violet), this generator (red).");
    begin_plots(page, false);
    draw_overlaid(page,
                  (struct plot){.title = "Messages sent a second, all runs", .scale = PLOT_RATE},
                  (struct source){counter_rate, AT(publishes_sent)});
    draw_overlaid(page, (struct plot){.title = "Connects a second, all runs", .scale = PLOT_RATE},
                  (struct source){counter_rate, AT(connects_ok)});
    bool has_any = draw_each(page, &(struct plot){.title = "Messages a second", .scale = PLOT_RATE},
                             fill_messages, 0);
    has_any = draw_each(page, &(struct plot){.title = "Connects a second", .scale = PLOT_RATE},
                        fill_connects, 0) ||
              has_any;
    end_plots(page);
    if (!has_any) {
        fputs("<p class=\"none\">The run was over within its first second.</p>", page->file);
    }
    html_section_end(page);
}

/* ── latencies ── */

/* Those that have plots of their own, and beside what they would be without a plan. */
static const struct {
    enum fmx_fleet_latency planned, raw;
    const char *title, *words;
} measured[] = {
    {FMX_FLEET_PUBACK, FMX_FLEET_PUBACK_RAW, "Publish to PUBACK", "from the planned time"},
    {FMX_FLEET_DELIVERY, FMX_FLEET_DELIVERY_RAW, "Publish to its receiver",
     "from the planned time"},
    {FMX_FLEET_REQUEST, FMX_FLEET_REQUEST_RAW, "Request to its answer", "from the planned time"},
    {FMX_FLEET_CONNECT, FMX_FLEET_CONNACK, "Connect to CONNACK", "from the planned time"},
    {FMX_FLEET_SUBACK, FMX_FLEET_LATENCIES, "SUBSCRIBE to SUBACK", NULL},
};

#define MEASURED_COUNT (sizeof(measured) / sizeof(measured[0]))

static bool was_measured(const struct page *page, enum fmx_fleet_latency latency)
{
    for (size_t i = 0; i < page->count; i++) {
        if (page->results[i]->distributions[latency]->total > 0) {
            return true;
        }
    }
    return false;
}

static void fill_latency(struct plot *plot, const struct result *result, size_t what)
{
    enum fmx_fleet_latency planned = measured[what].planned, raw = measured[what].raw;

    add_rows(plot, result, "max", GREY, PLOT_THIN,
             (struct source){latency_figure, FIGURE(planned, max_ns)});
    add_rows(plot, result, "p99.9", MAGENTA, PLOT_LINE,
             (struct source){latency_figure, FIGURE(planned, p999_ns)});
    add_rows(plot, result, "p99", BLUE, PLOT_LINE,
             (struct source){latency_figure, FIGURE(planned, p99_ns)});
    add_rows(plot, result, "p50", TEAL, PLOT_LINE,
             (struct source){latency_figure, FIGURE(planned, p50_ns)});
    if (raw < FMX_FLEET_LATENCIES) {
        add_rows(plot, result, "p99 raw", ORANGE, PLOT_DASHED,
                 (struct source){latency_figure, FIGURE(raw, p99_ns)});
    }
}

void html_latency_over_time(struct page *page)
{
    bool has_any = false;

    html_section(page, "Latency over time",
                 "Percentiles of each second, counted from when a message should have left. Raw is "
                 "counted from when it did leave: what a closed loop would have reported.");
    begin_plots(page, false);
    for (size_t i = 0; i < MEASURED_COUNT; i++) {
        char title[96];
        if (!was_measured(page, measured[i].planned)) {
            continue;
        }
        snprintf(title, sizeof(title), "%s, p99, all runs", measured[i].title);
        draw_overlaid(page, (struct plot){.title = title, .scale = PLOT_LATENCY},
                      (struct source){latency_figure, FIGURE(measured[i].planned, p99_ns)});
        struct plot kind = {
            .title = measured[i].title, .words = measured[i].words, .scale = PLOT_LATENCY};
        has_any = draw_each(page, &kind, fill_latency, i) || has_any;
    }
    end_plots(page);
    if (!has_any) {
        fputs("<p class=\"none\">Nothing was measured.</p>", page->file);
    }
    html_section_end(page);
}

/* How far the axis goes: to the rarest that was counted. */
static double rarest(uint64_t total)
{
    double x = log10((double)total);

    return x < 1 ? 1 : x;
}

/* A point for each bucket, but of those too near to be told apart only the highest. */
static void add_distribution(struct plot *plot, const struct fmx_distribution *distribution,
                             const char *name, enum colour colour, enum plot_style style)
{
    const size_t points_max = 1200;
    struct plot_line *line = NULL;
    uint64_t seen = 0;
    size_t count = 0;

    if (distribution->total == 0 ||
        (line = plot_add(plot, name, colour, style, points_max + 2)) == NULL) {
        return;
    }
    double end = rarest(distribution->total), step = end / (double)points_max, before = -1;
    for (uint32_t i = 0; i < FMX_DISTRIBUTION_BUCKETS && seen < distribution->total; i++) {
        if (distribution->counts[i] == 0) {
            continue;
        }
        seen += distribution->counts[i];
        uint64_t edge_ns = fmx_distribution_edge_ns(i);
        double y = (double)(seen == distribution->total ? distribution->max_ns : edge_ns);
        double left = 1 - (double)seen / (double)distribution->total;
        double x = seen == distribution->total ? end : fmin(-log10(left), end);
        if (count == 0) {
            line->x[count] = 0;
            line->y[count++] = (double)distribution->min_ns;
        }
        if (x >= before + step || seen == distribution->total) {
            count += count < points_max + 2;
            before = x;
        }
        line->x[count - 1] = x;
        line->y[count - 1] = y;
    }
    line->count = count;
    plot->x_max = end > plot->x_max ? end : plot->x_max;
}

static void draw_percentiles(struct page *page, size_t index)
{
    struct plot plot = {
        .title = measured[index].title, .is_percentile = true, .scale = PLOT_LATENCY};

    for (size_t i = 0; i < page->count; i++) {
        const struct result *result = page->results[i];
        enum fmx_fleet_latency raw = measured[index].raw;
        enum colour colour = page->count > 1 ? (enum colour)(i + 1) : BLUE;
        const char *planned_name = raw == FMX_FLEET_CONNACK ? "from the planned time" : "corrected";
        const char *raw_name = raw == FMX_FLEET_CONNACK ? "from CONNECT sent" : "raw";
        char name[64];
        snprintf(name, sizeof(name), "%c %s", html_letter(i), planned_name);
        add_distribution(&plot, result->distributions[measured[index].planned],
                         page->count > 1              ? name
                         : raw == FMX_FLEET_LATENCIES ? "all"
                                                      : planned_name,
                         colour, PLOT_LINE);
        if (raw < FMX_FLEET_LATENCIES) {
            snprintf(name, sizeof(name), "%c %s", html_letter(i), raw_name);
            add_distribution(&plot, result->distributions[raw], page->count > 1 ? name : raw_name,
                             page->count > 1 ? colour : ORANGE, PLOT_DASHED);
        }
    }
    finish(page, &plot);
}

void html_latency_by_percentile(struct page *page)
{
    html_section(page, "Latency by percentile",
                 "Of the whole run: how long all but the slowest took. Where the corrected line "
                 "leaves the raw one, messages waited before they could be sent.");
    open_row(page, "");
    for (size_t i = 0; i < MEASURED_COUNT; i++) {
        if (was_measured(page, measured[i].planned)) {
            draw_percentiles(page, i);
        }
    }
    close_row(page);
    html_latency_table(page);
    html_section_end(page);
}

/* ── clients ── */

static void fill_clients(struct plot *plot, const struct result *result, size_t what)
{
    static const struct {
        const char *name;
        enum colour colour;
        size_t offset;
    } states[] = {
        {"connecting", OLIVE, AT(clients_connecting)}, {"waiting", GREY, AT(clients_waiting)},
        {"stopped", VIOLET, AT(clients_stopped)},      {"lost", MAGENTA, AT(clients_lost)},
        {"failed", RED, AT(clients_failed)},
    };

    (void)what;
    add_rows(plot, result, "open", TEAL, PLOT_LINE, (struct source){open_now, 0});
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        bool has_any = false;
        for (size_t row = 0; row < result->rows_count && !has_any; row++) {
            has_any = counter_now(result, row, states[i].offset) > 0;
        }
        if (has_any) {
            add_rows(plot, result, states[i].name, states[i].colour, PLOT_LINE,
                     (struct source){counter_now, states[i].offset});
        }
    }
}

void html_clients(struct page *page)
{
    html_section(page, "Clients by state", NULL);
    begin_plots(page, page->count == 1);
    bool has_any =
        draw_each(page, &(struct plot){.title = "Clients", .scale = PLOT_COUNT, .is_stacked = true},
                  fill_clients, 0);
    end_plots(page);
    if (!has_any) {
        fputs("<p class=\"none\">The run was over within its first second.</p>", page->file);
    }
    html_causes(page);
    html_section_end(page);
}

/* ── the generator ── */

static void fill_lag(struct plot *plot, const struct result *result, size_t what)
{
    (void)what;
    add_rows(plot, result, "lag max", GREY, PLOT_THIN,
             (struct source){latency_figure, FIGURE(FMX_FLEET_LAG, max_ns)});
    add_rows(plot, result, "lag p99", BLUE, PLOT_LINE,
             (struct source){latency_figure, FIGURE(FMX_FLEET_LAG, p99_ns)});
    add_rows(plot, result, "drift p99", OLIVE, PLOT_LINE,
             (struct source){latency_figure, FIGURE(FMX_FLEET_DRIFT, p99_ns)});
}

static void fill_cpu(struct plot *plot, const struct result *result, size_t what)
{
    (void)what;
    add_rows(plot, result, "busy", BLUE, PLOT_LINE, (struct source){cpu_share, 0});
    add_rows(plot, result, "ready, but not run", RED, PLOT_THIN, (struct source){cpu_share, 1});
}

static void fill_again(struct plot *plot, const struct result *result, size_t what)
{
    (void)what;
    add_rows(plot, result, "sent again", VIOLET, PLOT_LINE, (struct source){again_share, 0});
}

void html_health(struct page *page)
{
    html_section(page, "The generator's own health",
                 "Lag: how late messages left though nothing but this program was in the way. "
                 "Drift: how late its clock ticked. Where either matters beside the latencies "
                 "above, the run is invalid.");
    begin_plots(page, false);
    draw_each(page, &(struct plot){.title = "Lag and drift", .scale = PLOT_LATENCY}, fill_lag, 0);
    draw_each(page,
              &(struct plot){.title = "Processor",
                             .words = "of one core for each shard",
                             .scale = PLOT_SHARE,
                             .y_max = 1},
              fill_cpu, 0);
    draw_each(page,
              &(struct plot){.title = "TCP segments sent again",
                             .words = "of all that the system sent",
                             .scale = PLOT_SHARE},
              fill_again, 0);
    end_plots(page);
    html_section_end(page);
}
