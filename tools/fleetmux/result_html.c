/*
 * result_html — one or several results as a page that needs nothing else
 *
 * Why it is so:   a report is mailed, kept and printed: style, script and drawings are in the file,
 *                 and its policy forbids the browser to fetch anything. What counts comes first:
 *                 the verdict, then differences, rates, latencies. A run that is invalid says so
 *                 in every section, since sections are what is copied out
 * Threads:        one
 * Limits:         HTML_RESULTS_MAX results
 * Not here:       plots: result_html_plots.c; tables: result_html_tables.c; looks:
 *                 result_html_style.c
 */
#include "tools/fleetmux/result_html.h"

#include "tools/fleetmux/result_file.h"

#include <string.h>

char html_letter(size_t index)
{
    return (char)('A' + index % 26);
}

static bool is_any_invalid(const struct page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        if (!page->results[i]->is_valid) {
            return true;
        }
    }
    return false;
}

void html_section(const struct page *page, const char *title, const char *words)
{
    fprintf(page->file, "<section%s><h2>", is_any_invalid(page) ? " class=\"invalid\"" : "");
    html_text(page->file, title);
    for (size_t i = 0; i < page->count; i++) {
        if (page->results[i]->is_valid) {
            continue;
        }
        fputs(" <span class=\"tag bad\">", page->file);
        if (page->count > 1) {
            fprintf(page->file, "%c ", html_letter(i));
        }
        fputs("INVALID: the generator was the limit</span>", page->file);
    }
    fputs("</h2>", page->file);
    if (words != NULL) {
        fputs("<p>", page->file);
        html_text(page->file, words);
        fputs("</p>", page->file);
    }
    fputs("\n", page->file);
}

void html_section_end(const struct page *page)
{
    fputs("</section>\n", page->file);
}

void html_run_title(const struct page *page, size_t index)
{
    const struct result *result = page->results[index];

    if (page->count < 2) {
        return;
    }
    fprintf(page->file, "<h4><span class=\"letter c%zu\">%c</span> ", index + 1,
            html_letter(index));
    html_text(page->file, result->name[0] != '\0' ? result->name : result->verb);
    fputs("</h4>\n", page->file);
}

static void print_title(const struct page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct result *result = page->results[i];
        fputs(i > 0 ? " and " : "", page->file);
        html_text(page->file, result->name[0] != '\0' ? result->name : result->verb);
    }
}

static void print_head(const struct page *page)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>fleetmux: ",
          page->file);
    print_title(page);
    fprintf(page->file, "</title>\n<style>%s</style></head>\n<body><main>\n", html_style);
    fputs("<div class=\"brand\"><span><b>fleetmux</b> report</span><span>", page->file);
    print_title(page);
    fputs("</span></div>\n", page->file);
    if (page->count > 1) {
        fprintf(page->file, "<h1 class=\"many\">%zu runs beside one another</h1>\n", page->count);
    }
}

static void print_all(struct page *page)
{
    print_head(page);
    html_verdicts(page);
    html_differences(page);
    html_thresholds(page);
    html_steps(page);
    html_rates(page);
    html_latency_over_time(page);
    html_latency_by_percentile(page);
    html_clients(page);
    html_health(page);
    html_groups(page);
    html_ledger(page);
    html_how(page);
    fprintf(page->file,
            "<footer>Made by fleetmux %s. What each figure means is in docs/RESULTS.md."
            "</footer></main>\n<script>%s</script></body></html>\n",
            fmx_version_string(), html_script);
}

bool result_write_html(struct result *const *results, size_t results_count, const char *path,
                       char *error, size_t error_bytes)
{
    struct page page = {.results = results, .count = results_count};

    if (results_count == 0 || results_count > HTML_RESULTS_MAX) {
        snprintf(error, error_bytes, "a page has 1 to %d runs beside one another, not %zu",
                 HTML_RESULTS_MAX, results_count);
        return false;
    }
    page.file = result_file_open(path, error, error_bytes);
    if (page.file == NULL) {
        return false;
    }
    print_all(&page);
    if (page.is_broken) {
        snprintf(error, error_bytes, "'%.200s' could not be written: memory ran out", path);
        result_file_abandon(page.file, path);
        return false;
    }
    return result_file_close(page.file, path, error, error_bytes);
}
