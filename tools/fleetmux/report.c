/*
 * report — the verb that shows results again: parts put together, runs side by side
 *
 * Why it is so:   the same files are parts of one run or runs to compare, and they know themselves
 *                 which: what has the same seed, scenario and number of parts, and another part, is
 *                 put together; all else is compared. What was put together is judged anew, by the
 *                 rules of a run that has just ended; with a part missing it would be the verdict
 *                 of a run that never was, so that is refused
 * Memory:         one result for each run; a part is given back as soon as it is added
 * Threads:        one
 * Limits:         FILES_MAX files, HTML_RESULTS_MAX runs beside one another
 * Not here:       what a result means: verdict.h; files: result.h
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/help.h"
#include "tools/fleetmux/result_compare.h"
#include "tools/fleetmux/result_file.h"
#include "tools/fleetmux/result_html.h"
#include "tools/fleetmux/verbs.h"
#include "tools/fleetmux/verdict.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX   4096u
#define ERROR_BYTES 768

struct report_settings {
    struct flag_list thresholds;
    const char *html, *csv, *hdr, *merge;
    uint32_t latency;
    bool wants_help;
};

#define AT(member) FLAG_AT(struct report_settings, member)

static const struct flag_choice latencies[] = {
#define OF_LATENCY(NAME, name, words) {#name, FMX_FLEET_##NAME},
    FMX_FLEET_LATENCY_LIST(OF_LATENCY)
#undef OF_LATENCY
        {NULL, 0}};

static const struct flag rows[] = {
    {.name = "html",
     .kind = FLAG_TEXT,
     AT(html),
     .argument = "FILE",
     .group = "Output",
     .help = "write a page with plots that needs nothing else; - is standard output, as below"},
    {.name = "csv",
     .kind = FLAG_TEXT,
     AT(csv),
     .argument = "FILE",
     .group = "Output",
     .help = "write a line a second"},
    {.name = "hdr",
     .kind = FLAG_TEXT,
     AT(hdr),
     .argument = "FILE",
     .group = "Output",
     .help = "write the percentiles of --latency as text that HdrHistogram's plotters read"},
    {.name = "latency",
     .kind = FLAG_CHOICE,
     .choices = latencies,
     AT(latency),
     .argument = "NAME",
     .group = "Output",
     .help = "which one --hdr writes: connect, suback, puback, puback_raw, delivery, request, lag "
             "and so on"},
    {.name = "merge",
     .kind = FLAG_TEXT,
     AT(merge),
     .argument = "FILE",
     .group = "Output",
     .help = "put all files together, which then must be the parts of one run, each once, and "
             "write that result"},
    {THRESHOLD_FLAG, AT(thresholds), .group = "Judgement",
     .help = "judge by these instead of those the run had, as in 'puback.p99<50ms' 'lost==0'; "
             "several may follow one another"},
    {.name = "help",
     .kind = FLAG_SWITCH,
     AT(wants_help),
     .group = "General",
     .help = "print this text"},
};

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS_COUNT <= FLAG_ROWS_MAX, "the set of flags holds no more rows");

/* What tells the run, or the part of one, in a file from that in another. */
struct identity {
    const char *path;
    uint64_t seed, began_unix_ns, elapsed_ns;
    uint32_t part, parts_count, parts_merged;
};

struct report {
    struct report_settings settings;
    struct flag_set set;
    const char *files[FILES_MAX];
    struct identity identities[FILES_MAX];
    size_t identities_count;
    struct result *runs[FILES_MAX];
    bool is_joined[FILES_MAX]; /* of more than one file */
    size_t runs_count;
    struct threshold thresholds[FLAG_ITEMS_MAX];
    char error[ERROR_BYTES];
};

#define ERROR(report) (report)->error, sizeof((report)->error)

/* ── telling ── */

static int refuse(const struct report *report, enum exit_status status)
{
    fflush(stdout);
    fprintf(stderr, "fleetmux report: %s\n", report->error);
    return status;
}

static void init_flags(struct report *report)
{
    memset(&report->settings, 0, sizeof(report->settings));
    report->settings.latency = FMX_FLEET_PUBACK;
    flags_init(&report->set, rows, ROWS_COUNT, 0, &report->settings);
    report->set.operands = report->files;
    report->set.operands_max = FILES_MAX;
}

void report_help(FILE *out)
{
    struct report *report = calloc(1, sizeof(*report));

    if (report == NULL) {
        return;
    }
    fprintf(out,
            "usage: fleetmux report RESULT.json... [OPTIONS]\n\n"
            "Shows results that 'fleetmux fleet ... --json FILE' has written. Parts of one run "
            "(--shard)\nare put together exactly and judged anew; other runs are compared, the "
            "first one being A.\nWithout an output option the summary is printed.\n");
    init_flags(report);
    help_print_rows(&report->set, out);
    fprintf(out, "\nexit status: 0 done; with --threshold, and where parts were put together, that "
                 "of the run:\n0 passed, 2 threshold missed, 3 generator-limited, 4 aborted or "
                 "lost; 1 wrong usage or file;\n4 an output could not be written\n");
    free(report);
}

/* ── reading ── */

static bool is_disjoint(const struct result *a, const struct result *b)
{
    for (uint32_t i = 0; i < a->parts_merged; i++) {
        for (uint32_t j = 0; j < b->parts_merged; j++) {
            if ((a->parts != NULL ? a->parts[i] : a->part) ==
                (b->parts != NULL ? b->parts[j] : b->part)) {
                return false;
            }
        }
    }
    return true;
}

/* The run that this file is a part of; runs_count: none so far. */
static size_t run_of(const struct report *report, const struct result *part)
{
    char words[128];

    for (size_t i = 0; i < report->runs_count; i++) {
        const struct result *run = report->runs[i];
        if (report->settings.merge != NULL ||
            (part->parts_count > 1 && result_is_same_run(run, part, words, sizeof(words)) &&
             is_disjoint(run, part))) {
            return i;
        }
    }
    return report->runs_count;
}

static bool are_same(const struct identity *a, const struct identity *b)
{
    return a->seed == b->seed && a->began_unix_ns == b->began_unix_ns &&
           a->elapsed_ns == b->elapsed_ns && a->part == b->part &&
           a->parts_count == b->parts_count && a->parts_merged == b->parts_merged;
}

/* The same part of another run may be compared, but a file twice is a slip. */
static bool is_new(struct report *report, const struct result *result, const char *path)
{
    const struct identity own = {.path = path,
                                 .seed = result->seed,
                                 .began_unix_ns = result->began_unix_ns,
                                 .elapsed_ns = result->elapsed_ns,
                                 .part = result->part,
                                 .parts_count = result->parts_count,
                                 .parts_merged = result->parts_merged};
    char what[64] = "run";

    if (own.parts_count > 1 && own.parts_merged == 1) {
        snprintf(what, sizeof(what), "part, %" PRIu32 " of %" PRIu32 " of one run", own.part + 1,
                 own.parts_count);
    }
    for (size_t i = 0; i < report->identities_count; i++) {
        if (are_same(&report->identities[i], &own)) {
            snprintf(report->error, sizeof(report->error),
                     "'%.200s' and '%.200s' are the same %s; leave one out",
                     report->identities[i].path, path, what);
            return false;
        }
    }
    report->identities[report->identities_count++] = own;
    return true;
}

static bool take_file(struct report *report, const char *path)
{
    char words[256];
    struct result *result = result_read(path, ERROR(report));

    if (result == NULL) {
        return false;
    }
    if (!is_new(report, result, path)) {
        result_close(result);
        return false;
    }
    size_t place = run_of(report, result);
    if (place == report->runs_count) {
        report->runs[report->runs_count++] = result;
        return true;
    }
    struct result *run = report->runs[place];
    bool is_merged = result_merge(run, result, words, sizeof(words));
    if (!is_merged) {
        snprintf(report->error, sizeof(report->error), "'%.200s' and '%.200s': %s", run->path, path,
                 words);
    }
    report->is_joined[place] = true;
    result_close(result);
    return is_merged;
}

/* A file that holds a part may be looked at; what is put together has to be whole. */
static bool check_parts(struct report *report, size_t place)
{
    const struct result *run = report->runs[place];
    char missing[128];

    if (run->parts_merged >= run->parts_count) {
        return true;
    }
    result_missing_parts(run, missing, sizeof(missing));
    if (!report->is_joined[place] && report->settings.merge == NULL) {
        fprintf(stderr,
                "fleetmux report: '%.200s': %" PRIu32 " of %" PRIu32 " parts; missing: %s\n",
                run->path, run->parts_merged, run->parts_count, missing);
        return true;
    }
    snprintf(report->error, sizeof(report->error),
             "'%.200s' and what goes with it are %" PRIu32 " of %" PRIu32
             " parts; missing: %s. Name their files too",
             run->path, run->parts_merged, run->parts_count, missing);
    return false;
}

static bool take_files(struct report *report)
{
    for (size_t i = 0; i < report->set.operands_count; i++) {
        if (!take_file(report, report->files[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < report->runs_count; i++) {
        if (!check_parts(report, i)) {
            return false;
        }
    }
    return true;
}

/* ── judging ── */

/* By the given thresholds, or by those it had. */
static bool judge_run(struct report *report, struct result *run)
{
    size_t count = report->settings.thresholds.count;
    struct threshold *thresholds = NULL;
    char(*texts)[sizeof(run->thresholds->text)] = NULL;
    char words[sizeof(run->limit_words)];
    bool is_sound = true;

    for (size_t i = 0; i < run->rows_count; i++) {
        run->rows[i].limit =
            verdict_row(run, &run->rows[i], i > 0 ? &run->rows[i - 1] : NULL, words, sizeof(words));
    }
    if (count == 0 && run->thresholds_count > 0) {
        count = run->thresholds_count;
        thresholds = calloc(count, sizeof(*thresholds));
        texts = calloc(count, sizeof(*texts));
        is_sound = thresholds != NULL && texts != NULL;
        snprintf(report->error, sizeof(report->error), "memory ran out");
        for (size_t i = 0; i < count && is_sound; i++) {
            memcpy(texts[i], run->thresholds[i].text, sizeof(*texts));
            is_sound = threshold_parse(texts[i], &thresholds[i], ERROR(report));
        }
    }
    if (is_sound) {
        is_sound =
            thresholds_judge(thresholds != NULL ? thresholds : report->thresholds, count, run);
        snprintf(report->error, sizeof(report->error), "memory ran out");
    }
    if (is_sound) {
        verdict_make(run, run->has_planned_end);
    }
    free(thresholds);
    free(texts);
    return is_sound;
}

/* The first that did not pass. */
static enum exit_status judge(struct report *report, bool *out_is_sound)
{
    bool has_thresholds = report->settings.thresholds.count > 0;
    enum exit_status status = EXIT_PASS;

    *out_is_sound = true;
    for (size_t i = 0; i < report->runs_count && *out_is_sound; i++) {
        struct result *run = report->runs[i];
        if (has_thresholds || run->parts_merged > 1) {
            *out_is_sound = judge_run(report, run);
            status = status == EXIT_PASS ? run->status : status;
        }
    }
    return status;
}

/* ── writing ── */

static bool is_one(struct report *report, const char *option)
{
    if (report->runs_count == 1) {
        return true;
    }
    snprintf(report->error, sizeof(report->error),
             "option '--%s' takes one run, or all the parts of one; these are %zu runs", option,
             report->runs_count);
    return false;
}

/* No output takes the place of a file that is read, or of another output. */
static bool check_outputs(struct report *report)
{
    const struct report_settings *given = &report->settings;
    const struct {
        const char *option, *path;
    } outputs[] = {
        {"merge", given->merge}, {"html", given->html}, {"csv", given->csv}, {"hdr", given->hdr}};

    if (given->hdr == NULL && flags_is_given(&report->set, "latency")) {
        snprintf(report->error, sizeof(report->error),
                 "option '--latency' says what --hdr writes; write --hdr FILE too");
        return false;
    }
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        const char *path = outputs[i].path;
        for (size_t j = 0; path != NULL && j < report->set.operands_count; j++) {
            if (result_file_is_same(path, report->files[j])) {
                snprintf(report->error, sizeof(report->error),
                         "option '--%s': '%.200s' is one of the results; name another file",
                         outputs[i].option, path);
                return false;
            }
        }
        for (size_t j = 0; path != NULL && j < i; j++) {
            if (outputs[j].path != NULL && result_file_is_same(path, outputs[j].path)) {
                snprintf(report->error, sizeof(report->error),
                         "options '--%s' and '--%s' name the same file; give each its own",
                         outputs[j].option, outputs[i].option);
                return false;
            }
        }
    }
    return true;
}

/* Before anything is written. */
static bool can_write(struct report *report)
{
    const struct report_settings *given = &report->settings;

    if (given->html != NULL && report->runs_count > HTML_RESULTS_MAX) {
        snprintf(report->error, sizeof(report->error),
                 "option '--html': a page has at most %d runs; these are %zu", HTML_RESULTS_MAX,
                 report->runs_count);
        return false;
    }
    if (given->hdr != NULL && report->runs_count == 1 &&
        report->runs[0]->distributions[given->latency]->total == 0) {
        snprintf(report->error, sizeof(report->error),
                 "option '--latency': this run has no '%s'; see its summary for those it has",
                 fmx_fleet_latency_name((enum fmx_fleet_latency)given->latency));
        return false;
    }
    return (given->csv == NULL || is_one(report, "csv")) &&
           (given->hdr == NULL || is_one(report, "hdr"));
}

static bool write_all(struct report *report)
{
    const struct report_settings *given = &report->settings;
    struct result *first = report->runs[0];

    if (given->merge != NULL && !result_write(first, given->merge, ERROR(report))) {
        return false;
    }
    if (given->html != NULL &&
        !result_write_html(report->runs, report->runs_count, given->html, ERROR(report))) {
        return false;
    }
    if (given->csv != NULL && !result_write_csv(first, given->csv, ERROR(report))) {
        return false;
    }
    return given->hdr == NULL || result_write_hdr(first, (enum fmx_fleet_latency)given->latency,
                                                  given->hdr, ERROR(report));
}

static bool print_summaries(struct report *report)
{
    for (size_t i = 0; i < report->runs_count; i++) {
        if (report->runs_count > 1) {
            printf("%s%c  %s\n", i > 0 ? "\n" : "", html_letter(i), report->runs[i]->path);
        }
        fleet_summary_print(report->runs[i], stdout);
    }
    if (report->runs_count > 1 && report->runs_count <= HTML_RESULTS_MAX) {
        putchar('\n');
        compare_print(report->runs, report->runs_count, stdout);
    }
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        snprintf(report->error, sizeof(report->error), "the output could not be written whole: %m");
        return false;
    }
    return true;
}

/* ── the verb ── */

static bool parse_thresholds(struct report *report)
{
    return thresholds_parse(report->settings.thresholds.items, report->settings.thresholds.count,
                            report->thresholds, ERROR(report));
}

static int run_report(struct report *report)
{
    const struct report_settings *given = &report->settings;
    bool is_sound;

    if (!check_outputs(report) || !take_files(report)) {
        return refuse(report, EXIT_USAGE);
    }
    enum exit_status status = judge(report, &is_sound);
    if (!is_sound) {
        return refuse(report, EXIT_NO_START);
    }
    if (!can_write(report)) {
        return refuse(report, EXIT_USAGE);
    }
    if (!write_all(report)) {
        return refuse(report, EXIT_ABORTED);
    }
    bool has_output =
        given->html != NULL || given->csv != NULL || given->hdr != NULL || given->merge != NULL;
    if (!has_output && !print_summaries(report)) {
        return refuse(report, EXIT_ABORTED);
    }
    return (int)status;
}

int verb_report(int argc, char **argv)
{
    struct report *report = calloc(1, sizeof(*report));
    int result;

    if (report == NULL) {
        fprintf(stderr, "fleetmux report: memory ran out\n");
        return EXIT_NO_START;
    }
    init_flags(report);
    if (!flags_parse(&report->set, argc, argv)) {
        result = usage_error("report", report->set.error);
    } else if (report->settings.wants_help) {
        report_help(stdout);
        result = EXIT_PASS;
    } else if (report->set.operands_count == 0) {
        result = usage_error("report", "name the result to show: a file that 'fleetmux fleet ... "
                                       "--json FILE' has written");
    } else if (!parse_thresholds(report)) {
        result = usage_error("report", report->error);
    } else {
        result = run_report(report);
    }
    for (size_t i = 0; i < report->runs_count; i++) {
        result_close(report->runs[i]);
    }
    free(report);
    return result;
}
