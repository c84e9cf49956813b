/*
 * result_html.h — the page of one or several results, put together of sections
 */
#ifndef FMX_TOOLS_RESULT_HTML_H
#define FMX_TOOLS_RESULT_HTML_H

#include "tools/fleetmux/result_svg.h"

/* More lines than these cannot be told apart. */
#define HTML_RESULTS_MAX 8

struct page {
    FILE *file;
    struct result *const *results;
    size_t count;
    bool is_broken; /* memory ran out */
};

/* Style and script, as they stand in the page's head. */
extern const char html_style[], html_script[];

/* "A", "B" …: what a result is called beside others. */
char html_letter(size_t index);

/* Begins a section; one whose results do not count says so. NULL id: none. */
void html_section(const struct page *page, const char *title, const char *words);
void html_section_end(const struct page *page);

/* The run beside others, as a heading above its plots or tables; nothing if it is alone. */
void html_run_title(const struct page *page, size_t index);

/* ── result_html_plots.c: sections of plots ── */

void html_rates(struct page *page);
void html_latency_over_time(struct page *page);
void html_latency_by_percentile(struct page *page);
void html_clients(struct page *page);
void html_health(struct page *page);

/* ── result_html_tables.c: sections of tables ── */

void html_verdicts(const struct page *page);
void html_differences(const struct page *page);
void html_thresholds(const struct page *page);
void html_steps(const struct page *page);
void html_latency_table(const struct page *page);
void html_causes(const struct page *page);
void html_ledger(const struct page *page);
void html_groups(const struct page *page);
void html_how(const struct page *page);

/* Clients by state when the end began, or now. */
const struct fmx_fleet_counters *html_clients_of(const struct result *result);

#endif
