/*
 * verdict — what held the run back: nothing, the server, the network, or we ourselves
 *
 * Why it is so:   a load test that measured its own machine must not look like one that measured a
 *                 server. So the first question is always about ourselves: were messages late where
 *                 nothing but this program was in the way? Were our threads out of time? Only if
 *                 not, whatever was late or missing is the network's or the server's. Every second
 *                 is judged alone; the whole is judged by how many there were, since one second of
 *                 trouble in a minute is a fact to be told, but not what the run was
 * Words:          own: this program and the machine it runs on; answers: what is measured from its
 *                 planned time to the server's answer; it suffers: it fell behind its plan, or
 *                 answers came ever later, or clients were refused or lost
 * Invariants:     (1) whoever else is slow, a generator that was the limit is told first
 *                 (2) the same result gives the same verdict, live or from a file
 *                 (3) what is short (half a second), paused or has nothing planned says nothing
 * Threads:        pure
 * Limits:         the bounds below; docs/FLEET.md has them for people
 * Not here:       ledger, first line and exit status: verdict_end.c
 */
#include "tools/fleetmux/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/* Own lateness counts from so much on, if it is also such a part of what answers took. */
#define OWN_NS        (20 * NS_PER_MS)
#define OWN_SHARE     0.25
#define OWN_ALONE_NS  (100 * NS_PER_MS) /* where there is no answer to compare with */
#define AWAKE_SHARE   0.95              /* our threads ran, and neither waited nor slept, */
#define SHORT_LINE_NS (NS_PER_MS / 10)  /* and what arrived waited so long; */
#define LINE_NS       (NS_PER_MS / 5)   /* or they ran or waited to run, and so long; */
#define MOSTLY_SHARE  0.75              /* or did so for most of the time, */
#define LONG_LINE_NS  (2 * NS_PER_MS)   /* and so long */
#define BEHIND_SHARE  0.02              /* of what was planned in a row: it fell so far behind */
#define BEHIND_LEAST  10.0              /* and not by a handful */
#define UNANSWERED    0.20              /* of what was sent in a row got no answer in it */
#define GROWTH_NS     (20 * NS_PER_MS)  /* the median answer took so much longer than before */
#define FAILED_SHARE  0.01              /* of connects, or of open clients */
#define RESENT_SHARE  0.01              /* of all segments */
#define RESENT_LEAST  10
#define SLOW_NS       (100 * NS_PER_MS) /* the 99th percentile of answers, when segments are lost */
#define ROW_NS        (500 * NS_PER_MS) /* shorter rows say nothing */
#define WHOLE_ROWS    5                 /* so many rows make a run worth judging as one */
#define ROWS_SHARE    10                /* every tenth row decides, */
#define ROWS_LEAST    3                 /* and so many at least; of fewer than ten rows one less */
#define SEARCH_NS     (5000 * NS_PER_MS)

/* ── words ── */

struct writer {
    char *text;
    size_t bytes;
};

static void __attribute__((format(printf, 2, 3)))
say(struct writer *writer, const char *format, ...)
{
    size_t used = writer->bytes > 0 ? strlen(writer->text) : 0;
    va_list arguments;

    if (used + 3 >= writer->bytes) {
        return;
    }
    if (used > 0) {
        used += (size_t)snprintf(writer->text + used, writer->bytes - used, "; ");
    }
    va_start(arguments, format);
    vsnprintf(writer->text + used, writer->bytes - used, format, arguments);
    va_end(arguments);
}

static struct writer write_to(char *text, size_t bytes)
{
    if (bytes > 0) {
        text[0] = '\0';
    }
    return (struct writer){.text = text, .bytes = bytes};
}

static void say_share(struct writer *writer, double share, const char *what)
{
    say(writer, "%.3g %% %s", share * 100, what);
}

/* ── a row, and what has changed in it ── */

struct view {
    const struct result *result;
    const struct result_row *row;
    const struct result_row *before; /* NULL: the row is the first */
    const struct fmx_fleet_counters *now;
    const struct fmx_fleet_counters *then;
    double seconds;
};

static const struct fmx_fleet_counters nothing_yet;

static struct view view_of(const struct result *result, const struct result_row *row,
                           const struct result_row *before)
{
    return (struct view){
        .result = result,
        .row = row,
        .before = before,
        .now = &row->counters,
        .then = before != NULL ? &before->counters : &nothing_yet,
        .seconds = (double)(row->end_ns - row->begin_ns) / 1e9,
    };
}

/* How much a counter, or a gauge, has changed. */
#define GREW(view, name) ((double)(view)->now->name - (double)(view)->then->name)

static bool is_worth_judging(const struct view *view)
{
    const struct result_row *row = view->row;

    return !row->is_paused && row->end_ns - row->begin_ns >= ROW_NS &&
           (row->publishes_wanted > 0 || row->connects_wanted > 0 ||
            GREW(view, publishes_planned) > 0 || GREW(view, publishes_sent) > 0 ||
            GREW(view, connects_begun) > 0 || GREW(view, connections_lost) > 0 ||
            GREW(view, received) > 0 || view->now->publishes_overdue > 0);
}

/* ── clients that misbehave by plan ── */

uint64_t verdict_apart(const struct result *result)
{
    uint64_t count = 0;

    for (size_t i = 0; i < result->groups_count; i++) {
        count += result->groups[i].is_apart ? result->groups[i].clients_count : 0;
    }
    return count;
}

uint64_t verdict_of_apart(const struct result *result, size_t counter_offset)
{
    uint64_t count = 0, value = 0;

    for (size_t i = 0; i < result->groups_count; i++) {
        const char *counters = (const char *)&result->groups[i].counters;
        memcpy(&value, counters + counter_offset, sizeof(value));
        count += result->groups[i].is_apart ? value : 0;
    }
    return count;
}

/* Rows do not tell groups apart: each such client may have failed once in a row. */
static double without_apart(const struct view *view, double count)
{
    double apart = (double)verdict_apart(view->result);

    return count > apart ? count - apart : 0;
}

/* ── ourselves ── */

/* The slowest kind of answer that there was; 0: none. */
static uint64_t answer_p99(const struct fmx_latency *latency)
{
    static const enum fmx_fleet_latency answers[] = {FMX_FLEET_PUBACK, FMX_FLEET_REQUEST,
                                                     FMX_FLEET_DELIVERY, FMX_FLEET_CONNECT};
    uint64_t slowest = 0;

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const struct fmx_latency *answer = &latency[answers[i]];
        if (answer->count > 0 && answer->p99_ns > slowest) {
            slowest = answer->p99_ns;
        }
    }
    return slowest;
}

static bool matters(uint64_t own_ns, uint64_t answer_ns)
{
    return answer_ns == 0 ? own_ns >= OWN_ALONE_NS
                          : own_ns >= OWN_NS && (double)own_ns >= OWN_SHARE * (double)answer_ns;
}

/* Were we late ourselves, so much that the answers' times are no longer the server's? */
static bool is_late(const struct fmx_latency *latency, struct writer *writer)
{
    const struct fmx_latency *lag = &latency[FMX_FLEET_LAG];
    const struct fmx_latency *drift = &latency[FMX_FLEET_DRIFT];
    uint64_t answer_ns = answer_p99(latency);
    bool lags = lag->count > 0 && matters(lag->p99_ns, answer_ns);
    bool drifts = drift->count > 0 && matters(drift->p50_ns, answer_ns);

    if (lags) {
        say(writer, "sent %s late (lag.p99) with only this program in the way",
            words_time(lag->p99_ns).text);
    }
    if (drifts) {
        say(writer, "half of what arrived waited %s or longer for us (drift.p50)",
            words_time(drift->p50_ns).text);
    }
    if ((lags || drifts) && answer_ns > 0) {
        say(writer, "answers took %s (p99)", words_time(answer_ns).text);
    }
    return lags || drifts;
}

struct share {
    double ran;
    double awake; /* ran, or waited to run */
};

/* Over two rows: threads say now and then how much time they have had. */
static struct share share_of_time(const struct view *view)
{
    static const struct result_row nothing;
    const struct result_row *before = view->before != NULL ? view->before : &nothing;
    uint32_t threads = view->result->shards_count > 0 ? view->result->shards_count : 1;
    uint64_t begin_ns = view->before != NULL ? before->begin_ns : view->row->begin_ns;
    double all_ns = (double)(view->row->end_ns - begin_ns) * threads;
    double ran = (double)(view->row->cpu_ns + before->cpu_ns) / all_ns;
    double awake = ran + (double)(view->row->cpu_wait_ns + before->cpu_wait_ns) / all_ns;

    return (struct share){.ran = ran < 1 ? ran : 1, .awake = awake < 1 ? awake : 1};
}

/*
 * Do answers wait for us to read them? Then windows are full, and it looks as if the server were
 * slow. That threads never sleep is no proof alone: with one answer at a time they have the most to
 * do for each, and beside a busy server on the same processor they wait for most of their time. Who
 * has more to do than time lets wait what arrives, and ticks with it; half of them come at once
 * where there is no line, however often others take the processor.
 */
static bool is_out_of_time(const struct view *view, struct writer *writer)
{
    const struct fmx_latency *drift = &view->row->latency[FMX_FLEET_DRIFT];
    struct share share = share_of_time(view);
    uint64_t line_ns = share.ran >= AWAKE_SHARE      ? SHORT_LINE_NS
                       : share.awake >= AWAKE_SHARE  ? LINE_NS
                       : share.awake >= MOSTLY_SHARE ? LONG_LINE_NS
                                                     : UINT64_MAX;

    if (drift->count == 0 || drift->p50_ns < line_ns) {
        return false;
    }
    say(writer, "half of what arrived waited %s or longer for our threads (drift.p50)",
        words_time(drift->p50_ns).text);
    say_share(writer, share.awake, "of the time they ran or waited to run");
    return true;
}

/* ── is anything wrong at all? ── */

/* Of those that should be there, how many are on their way back. */
static double away_share(const struct view *view)
{
    double away =
        without_apart(view, (double)(view->now->clients_waiting + view->now->clients_connecting));
    double there = (double)view->now->clients_open;

    return away > 0 ? away / (away + there) : 0;
}

static bool has_fallen_behind(const struct view *view, struct writer *writer)
{
    double wanted = view->row->publishes_wanted;
    double planned = GREW(view, publishes_planned);
    double grew = GREW(view, publishes_overdue);
    double all = wanted > planned ? wanted : planned;

    if (grew < BEHIND_LEAST || grew < (BEHIND_SHARE + away_share(view)) * all) {
        return false;
    }
    say(writer, "sent %s of %s messages in %s",
        words_count((uint64_t)GREW(view, publishes_sent)).text, words_count((uint64_t)planned).text,
        words_time(view->row->end_ns - view->row->begin_ns).text);
    return true;
}

static bool has_grown(const struct view *view, enum fmx_fleet_latency latency)
{
    const struct fmx_latency *now = &view->row->latency[latency];

    return view->before != NULL && view->before->latency[latency].count > 0 && now->count > 0 &&
           now->p50_ns > view->before->latency[latency].p50_ns + GROWTH_NS;
}

static double answers_a_second(const struct result_row *row)
{
    return (double)row->latency[FMX_FLEET_PUBACK].count * 1e9 /
           (double)(row->end_ns - row->begin_ns);
}

/* Fewer answers than before, though there is as much to be answered. */
static bool has_gone_dumb(const struct view *view)
{
    double sent = GREW(view, publishes_sent_qos1);
    double answered = GREW(view, publishes_acked) + GREW(view, publishes_refused);

    return view->before != NULL && view->before->end_ns > view->before->begin_ns &&
           sent - answered > UNANSWERED * sent &&
           answers_a_second(view->row) < (1 - UNANSWERED) * answers_a_second(view->before);
}

/* Do acknowledgements come ever later, or not at all? */
static bool is_owed_answers(const struct view *view, struct writer *writer)
{
    double sent = GREW(view, publishes_sent_qos1);
    double owed = GREW(view, publishes_outstanding) + GREW(view, publishes_overdue);
    bool is_dumb = has_gone_dumb(view);

    if (owed < BEHIND_LEAST || owed < (BEHIND_SHARE + away_share(view)) * sent ||
        (!is_dumb && !has_grown(view, FMX_FLEET_PUBACK))) {
        return false;
    }
    if (is_dumb) {
        say(writer, "acknowledged %s of %s messages",
            words_count((uint64_t)(GREW(view, publishes_acked) + GREW(view, publishes_refused)))
                .text,
            words_count((uint64_t)sent).text);
    } else {
        say(writer, "puback.p50 grew to %s",
            words_time(view->row->latency[FMX_FLEET_PUBACK].p50_ns).text);
    }
    return true;
}

/* A ramp without a rate has nothing to fall behind of. */
static bool is_slow_to_connect(const struct view *view, struct writer *writer)
{
    double wanted = view->row->connects_wanted;
    double behind = GREW(view, connects_planned) - GREW(view, connects_begun);
    double owed = without_apart(view, GREW(view, clients_connecting));

    if (wanted <= 0) {
        return false;
    }
    if (behind >= BEHIND_LEAST && behind >= BEHIND_SHARE * wanted) {
        say(writer, "began %s of %s connects",
            words_count((uint64_t)GREW(view, connects_begun)).text,
            words_count((uint64_t)GREW(view, connects_planned)).text);
        return true;
    }
    if (owed >= BEHIND_LEAST && owed >= BEHIND_SHARE * wanted &&
        has_grown(view, FMX_FLEET_CONNECT)) {
        say(writer, "connect.p50 grew to %s",
            words_time(view->row->latency[FMX_FLEET_CONNECT].p50_ns).text);
        return true;
    }
    return false;
}

static bool is_turned_away(const struct view *view, struct writer *writer)
{
    double failed = without_apart(view, GREW(view, connects_failed));
    double begun = GREW(view, connects_begun), lost = GREW(view, connections_lost);
    double there = (double)view->now->clients_open + lost;
    bool is_refused = failed > 0 && failed >= FAILED_SHARE * (begun > failed ? begun : failed);
    bool is_dropped = lost > 0 && lost >= FAILED_SHARE * there;

    if (is_refused) {
        say(writer, "%s of %s connects failed", words_count((uint64_t)failed).text,
            words_count((uint64_t)(begun > failed ? begun : failed)).text);
    }
    if (is_dropped) {
        say(writer, "%s connections were lost", words_count((uint64_t)lost).text);
    }
    return is_refused || is_dropped;
}

static bool suffers(const struct view *view, struct writer *writer)
{
    bool is_behind = has_fallen_behind(view, writer);
    bool is_owed = is_owed_answers(view, writer);
    bool is_slow = is_slow_to_connect(view, writer);

    return is_behind || is_owed || is_slow;
}

/* ── whose doing it is when connections fail ── */

static bool is_ours(const struct fmx_fleet_cause *cause)
{
    switch (cause->sys_errno) {
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EACCES:
    case EPERM:
        return true;
    default:
        return cause->status == FMX_LIMIT_SESSIONS || cause->status == FMX_LIMIT_MEMORY ||
               cause->status == FMX_SYS_SOCKET || cause->status == FMX_SYS_BIND ||
               cause->status == FMX_SYS_RING || cause->status == FMX_SYS_FILE;
    }
}

static bool is_of_the_way(const struct fmx_fleet_cause *cause)
{
    return cause->sys_errno == ETIMEDOUT || cause->sys_errno == EHOSTUNREACH ||
           cause->sys_errno == ENETUNREACH || cause->sys_errno == EHOSTDOWN ||
           cause->sys_errno == ENETDOWN;
}

/* Refusals and what is tolerated end nothing; whom the plan has thrown out says nothing. */
static bool is_end(const struct result_cause *cause)
{
    switch (cause->cause.status) {
    case FMX_PEER_UNASKED:
    case FMX_PEER_MESSAGE_REFUSED:
    case FMX_PEER_FILTER_REFUSED:
        return false;
    default:
        return strcmp(cause->more, FMX_FLEET_WORDS_SILENT) != 0 &&
               strcmp(cause->more, FMX_FLEET_WORDS_HALF_CONNECT) != 0;
    }
}

/* Who has ended most of the connections that failed or were lost. */
static enum result_limit who_ends_connections(const struct result *result)
{
    uint64_t ours = 0, way = 0, theirs = 0;

    for (size_t i = 0; i < result->causes_count; i++) {
        const struct fmx_fleet_cause *cause = &result->causes[i].cause;
        if (!is_end(&result->causes[i])) {
            continue;
        }
        *(is_ours(cause) ? &ours : is_of_the_way(cause) ? &way : &theirs) += cause->count;
    }
    return ours > way && ours > theirs ? RESULT_GENERATOR_LIMITED
           : way > theirs              ? RESULT_NETWORK
                                       : RESULT_SERVER_LIMITED;
}

/* ── a row ── */

static bool loses_segments(const struct result_row *row, bool is_suffering, struct writer *writer)
{
    uint64_t answer_ns = answer_p99(row->latency);
    double share =
        row->segments_out > 0 ? (double)row->segments_again / (double)row->segments_out : 0;

    if (row->segments_again < RESENT_LEAST || share < RESENT_SHARE ||
        (!is_suffering && answer_ns < SLOW_NS)) {
        return false;
    }
    say_share(writer, share, "of TCP segments were sent again (resent)");
    if (answer_ns > 0) {
        say(writer, "answers took %s (p99)", words_time(answer_ns).text);
    }
    return true;
}

enum result_limit verdict_row(const struct result *result, const struct result_row *row,
                              const struct result_row *before, char *words, size_t words_bytes)
{
    char trouble_words[160] = "";
    struct view view = view_of(result, row, before);
    struct writer writer = write_to(words, words_bytes);
    struct writer trouble = write_to(trouble_words, sizeof(trouble_words));

    if (!is_worth_judging(&view)) {
        return RESULT_OK;
    }
    bool is_suffering = suffers(&view, &trouble);
    bool is_refused = is_turned_away(&view, &trouble);
    enum result_limit limit = RESULT_OK;
    if (is_late(row->latency, &writer) || (is_suffering && is_out_of_time(&view, &writer))) {
        limit = RESULT_GENERATOR_LIMITED;
    } else if (loses_segments(row, is_suffering, &writer)) {
        limit = RESULT_NETWORK;
    } else if (is_suffering) {
        limit = RESULT_SERVER_LIMITED;
    } else if (is_refused) {
        limit = who_ends_connections(result);
    }
    if (limit != RESULT_OK && trouble_words[0] != '\0') {
        say(&writer, "%s", trouble_words);
    }
    return limit;
}

/* ── the whole ── */

#define LIMITS 4

struct tally {
    size_t rows; /* that were worth judging */
    size_t limited[LIMITS];
    size_t first[LIMITS], last[LIMITS];
};

static bool is_in_search(const struct result *result)
{
    return result->steps_count > 0 && result->find_words[0] == '\0';
}

/* A search overloads the server to find its limit: while it runs, the latest seconds count. */
static size_t first_row(const struct result *result)
{
    size_t first = 0;

    if (is_in_search(result)) {
        first = result->rows_count;
        while (first > 0 && result->rows[first - 1].begin_ns + SEARCH_NS > result->elapsed_ns) {
            first--;
        }
    }
    return first;
}

static struct tally count_rows(const struct result *result)
{
    struct tally tally = {0};

    for (size_t i = first_row(result); i < result->rows_count; i++) {
        const struct result_row *row = &result->rows[i];
        struct view view = view_of(result, row, i > 0 ? row - 1 : NULL);
        if (!is_worth_judging(&view) || (size_t)row->limit >= LIMITS) {
            continue;
        }
        tally.rows++;
        if (tally.limited[row->limit]++ == 0) {
            tally.first[row->limit] = i;
        }
        tally.last[row->limit] = i;
    }
    return tally;
}

static bool decides(const struct tally *tally, enum result_limit limit)
{
    size_t share = (tally->rows + ROWS_SHARE - 1) / ROWS_SHARE;
    size_t least = tally->rows >= ROWS_SHARE   ? ROWS_LEAST
                   : tally->rows >= ROWS_LEAST ? ROWS_LEAST - 1
                                               : tally->rows;

    return tally->limited[limit] > 0 && tally->limited[limit] >= (share > least ? share : least);
}

static void say_when(const struct result *result, const struct tally *tally,
                     enum result_limit limit, struct writer *writer)
{
    const struct result_row *first = &result->rows[tally->first[limit]];
    const struct result_row *last = &result->rows[tally->last[limit]];

    say(writer, "%zu of %zu seconds, between %.0f s and %.0f s", tally->limited[limit], tally->rows,
        (double)first->begin_ns / 1e9, (double)last->end_ns / 1e9);
}

/* The latest row of this kind tells what it was like. */
static void say_rows(const struct result *result, const struct tally *tally,
                     enum result_limit limit, struct writer *writer)
{
    size_t last = tally->last[limit];
    char words[sizeof(result->limit_words)];

    verdict_row(result, &result->rows[last], last > 0 ? &result->rows[last - 1] : NULL, words,
                sizeof(words));
    if (words[0] != '\0') {
        say(writer, "%s", words);
    }
    say_when(result, tally, limit, writer);
}

/* What never left, or never got in, when all is over. */
static bool is_short(const struct result *result, struct writer *writer)
{
    const struct fmx_fleet_counters *end = &result->counters;
    double never = (double)end->publishes_overdue;

    if (!result->is_finished || never < BEHIND_LEAST ||
        never < BEHIND_SHARE * (double)end->publishes_planned) {
        return false;
    }
    say(writer, "%s of %s messages never left", words_count(end->publishes_overdue).text,
        words_count(end->publishes_planned).text);
    return true;
}

static bool is_broken(const struct result *result, struct writer *writer)
{
    const struct fmx_fleet_counters *end = &result->counters;
    uint64_t apart = verdict_of_apart(result, offsetof(struct fmx_fleet_counters, connects_failed));
    uint64_t failed = end->connects_failed > apart ? end->connects_failed - apart : 0;
    double begun = (double)(end->connects_begun > 0 ? end->connects_begun : 1);
    bool is_refused = failed > 0 && (double)failed >= FAILED_SHARE * begun;
    bool is_dropped =
        end->connections_lost > 0 && (double)end->connections_lost >= FAILED_SHARE * begun;

    if (is_refused) {
        say(writer, "%s of %s connects failed", words_count(failed).text,
            words_count(end->connects_begun).text);
    }
    if (is_dropped) {
        say(writer, "%s connections were lost", words_count(end->connections_lost).text);
    }
    return is_refused || is_dropped;
}

static enum result_limit limit_of(const struct result *result, const struct tally *tally,
                                  struct writer *writer)
{
    static const enum result_limit in_turn[] = {RESULT_GENERATOR_LIMITED, RESULT_NETWORK,
                                                RESULT_SERVER_LIMITED};

    if (tally->rows >= WHOLE_ROWS && !is_in_search(result) && is_late(result->latency, writer)) {
        return RESULT_GENERATOR_LIMITED;
    }
    for (size_t i = 0; i < sizeof(in_turn) / sizeof(in_turn[0]); i++) {
        if (decides(tally, in_turn[i])) {
            say_rows(result, tally, in_turn[i], writer);
            return in_turn[i];
        }
    }
    if (is_broken(result, writer)) {
        return who_ends_connections(result);
    }
    return is_short(result, writer) ? RESULT_SERVER_LIMITED : RESULT_OK;
}

static void say_ok(const struct result *result, const struct tally *tally, struct writer *writer)
{
    const struct fmx_latency *lag = &result->latency[FMX_FLEET_LAG];

    if (tally->rows > 0) {
        say(writer, "the plan was kept");
    }
    for (int i = RESULT_SERVER_LIMITED; i < LIMITS; i++) {
        if (tally->limited[i] > 0) {
            char words[96];
            struct writer when = write_to(words, sizeof(words));
            say_when(result, tally, (enum result_limit)i, &when);
            say(writer, "but %s in %s", result_limit_name((enum result_limit)i), words);
        }
    }
    if (lag->count > 0) {
        say(writer, "own lag %s (p99)", words_time(lag->p99_ns).text);
    }
}

void verdict_limit(struct result *result)
{
    struct writer writer = write_to(result->limit_words, sizeof(result->limit_words));
    struct tally tally = count_rows(result);

    if (result->find_words[0] != '\0') { /* the search has judged its own steps */
        result->limit =
            result->find_status == EXIT_GENERATOR ? RESULT_GENERATOR_LIMITED : RESULT_OK;
        say(&writer, "%s", result->find_words);
    } else {
        result->limit = limit_of(result, &tally, &writer);
    }
    if (result->limit == RESULT_OK && result->find_words[0] == '\0') {
        say_ok(result, &tally, &writer);
    }
    result->is_valid = result->limit != RESULT_GENERATOR_LIMITED;
}
