/*
 * test_events — lines reach the file whole and in order, and what is lost is counted and said
 */
#include "tests/support/run.h"
#include "tests/support/temporary.h"
#include "tools/fleetmux/events.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_BYTES (1U << 20)

static char folder[FMX_TEMPORARY_BYTES];
static char path[FMX_TEMPORARY_FILE_BYTES], other[FMX_TEMPORARY_FILE_BYTES];
static struct fmx_gateway_options options;

static struct events *open_events(const char *where)
{
    char error[512] = "";
    struct events *events = events_open(where, QUEUE_BYTES, error, sizeof(error));

    CU_ASSERT_PTR_NOT_NULL_FATAL(events);
    memset(&options, 0, sizeof(options));
    events_listen(events, &options);
    return events;
}

/* One message whose payload is `bytes` letters; its number is its id. */
static void send_message(struct events *events, uint64_t number, const char *payload, size_t bytes)
{
    struct fmx_gateway_message message = {
        .message_id = number,
        .topic = fmx_slice_of("t"),
        .payload = {(const uint8_t *)payload, bytes},
    };

    options.callbacks.on_message(events, &message);
}

/* The file as a text; the caller's. */
static char *read_file(const char *name)
{
    FILE *file = fopen(name, "re");
    char *text = calloc(1, 32U << 20);

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    (void)!fread(text, 1, (32U << 20) - 1, file);
    fclose(file);
    return text;
}

struct ledger {
    uint64_t lines, messages, dropped, disorders;
};

/* Sums up whole lines: messages by rising number, and what "dropped" says. */
static struct ledger count(char *text)
{
    struct ledger ledger = {0};
    unsigned long long last = 0, number = 0;

    for (char *line = text, *end = NULL; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        ledger.lines++;
        if (sscanf(line, "{\"type\":\"dropped\",\"count\":%llu}", &number) == 1) {
            ledger.dropped += number;
        } else if (sscanf(line, "{\"type\":\"message\",\"topic\":\"t\",\"messageId\":\"%llu\"",
                          &number) == 1 &&
                   end[-1] == '}') {
            ledger.disorders += number <= last && ledger.messages > 0;
            ledger.messages++;
            last = number;
        } else {
            ledger.disorders++;
        }
    }
    free(text);
    return ledger;
}

static void all_that_is_told_is_in_the_file(void)
{
    struct events *events = open_events(path);
    struct fmx_gateway_session session = {.client_id = fmx_slice_of("c")};

    for (uint64_t number = 1; number <= 1000; number++) {
        send_message(events, number, "payload", 7);
        if (number % 10 == 0) {
            options.callbacks.on_batch(events, 0);
        }
    }
    send_message(events, 1001, "the last, without on_batch", 26);
    events_close(events);
    struct ledger ledger = count(read_file(path));
    CU_ASSERT_EQUAL(ledger.messages, 1001);
    CU_ASSERT_EQUAL(ledger.disorders, 0);
    /* the file is added to */
    events = open_events(path);
    options.callbacks.on_open(events, &session);
    events_close(events);
    ledger = count(read_file(path));
    CU_ASSERT_EQUAL(ledger.messages, 1001);
    CU_ASSERT_EQUAL(ledger.lines, 1002);
    unlink(path);
}

/* Copies the pipe to the other file until its writer is gone. */
static void *drain_pipe(void *user)
{
    int from = *(int *)user, to = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char bytes[65536];
    ssize_t got = 0;

    while ((got = read(from, bytes, sizeof(bytes))) > 0) {
        CU_ASSERT_EQUAL(write(to, bytes, (size_t)got), got);
    }
    close(to);
    return NULL;
}

static void a_reader_that_does_not_read_costs_lines_and_is_told(void)
{
    enum { MESSAGES = 4000 };
    char payload[1000];
    struct events_counts counts;
    pthread_t reader;

    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct events *events = open_events(path);
    memset(payload, 'p', sizeof(payload));
    for (uint64_t number = 1; number <= MESSAGES; number++) {
        send_message(events, number, payload, sizeof(payload));
        options.callbacks.on_batch(events, 0);
    }
    events_count(events, &counts);
    CU_ASSERT(counts.dropped > 0 && counts.dropped < MESSAGES);
    CU_ASSERT(counts.queued_bytes <= QUEUE_BYTES);
    fcntl(fd, F_SETFL, 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&reader, NULL, drain_pipe, &fd), 0);
    events_close(events);
    pthread_join(reader, NULL);
    struct ledger ledger = count(read_file(other));
    CU_ASSERT_EQUAL(ledger.dropped, counts.dropped);
    CU_ASSERT_EQUAL(ledger.messages + ledger.dropped, MESSAGES);
    CU_ASSERT_EQUAL(ledger.disorders, 0);
    close(fd);
    unlink(path);
    unlink(other);
}

static void wait_until_written(struct events *events)
{
    struct events_counts counts;

    do {
        sched_yield();
        events_count(events, &counts);
    } while (counts.queued_bytes > 0);
}

static void a_full_disk_is_counted_and_told_once_there_is_room(void)
{
    struct events_counts counts;
    struct ledger ledger;

    CU_ASSERT_EQUAL_FATAL(symlink("/dev/full", path), 0);
    struct events *events = open_events(path);
    for (uint64_t number = 1; number <= 100; number++) {
        send_message(events, number, "lost", 4);
        options.callbacks.on_batch(events, 0);
    }
    wait_until_written(events);
    events_count(events, &counts);
    CU_ASSERT(counts.write_errors > 0);
    CU_ASSERT_EQUAL(counts.written, 0);
    CU_ASSERT_EQUAL(counts.dropped, 100);
    unlink(path); /* now there is a file with room */
    events_reopen(events);
    while (access(path, F_OK) != 0) {
        sched_yield();
    }
    send_message(events, 101, "kept", 4);
    options.callbacks.on_batch(events, 0);
    events_close(events);
    ledger = count(read_file(path));
    CU_ASSERT_EQUAL(ledger.messages, 1);
    CU_ASSERT_EQUAL(ledger.dropped, 100);
    CU_ASSERT_EQUAL(ledger.disorders, 0);
    unlink(path);
}

static void a_line_that_was_cut_short_is_ended_before_the_next(void)
{
    struct rlimit limit, small;
    struct events_counts counts;
    struct events *events = open_events(path);

    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){.rlim_cur = 1000, .rlim_max = limit.rlim_max};
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (uint64_t number = 1; number <= 100; number++) {
        send_message(events, number, "some payload", 12);
    }
    options.callbacks.on_batch(events, 0);
    wait_until_written(events);
    events_count(events, &counts);
    CU_ASSERT(counts.written > 0);
    CU_ASSERT_EQUAL(counts.written + counts.dropped, 100);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    send_message(events, 101, "some payload", 12);
    events_close(events);
    struct ledger ledger = count(read_file(path));
    CU_ASSERT_EQUAL(ledger.disorders, 1); /* the one that was cut */
    CU_ASSERT_EQUAL(ledger.messages, counts.written + 1);
    CU_ASSERT_EQUAL(ledger.dropped, counts.dropped);
    unlink(path);
}

static void a_renamed_file_is_left_and_made_anew(void)
{
    struct events *events = open_events(path);

    send_message(events, 1, "before", 6);
    options.callbacks.on_batch(events, 0);
    wait_until_written(events);
    CU_ASSERT_EQUAL(rename(path, other), 0);
    events_reopen(events);
    while (access(path, F_OK) != 0) {
        sched_yield();
    }
    send_message(events, 2, "after", 5);
    events_close(events);
    CU_ASSERT_EQUAL(count(read_file(other)).messages, 1);
    CU_ASSERT_EQUAL(count(read_file(path)).messages, 1);
    unlink(path);
    unlink(other);
}

static void a_line_that_is_too_long_is_dropped_alone(void)
{
    size_t bytes = 9U << 20;
    char *payload = malloc(bytes);
    struct events *events = open_events(path);

    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    memset(payload, 'p', bytes);
    send_message(events, 1, "short", 5);
    send_message(events, 2, payload, bytes);
    send_message(events, 3, payload, 700000); /* longer than a batch, and whole */
    send_message(events, 4, "short", 5);
    events_close(events);
    struct ledger ledger = count(read_file(path));
    CU_ASSERT_EQUAL(ledger.messages, 3);
    CU_ASSERT_EQUAL(ledger.dropped, 1);
    CU_ASSERT_EQUAL(ledger.disorders, 0);
    free(payload);
    unlink(path);
}

static void what_cannot_be_opened_is_refused_in_words(void)
{
    char error[512] = "";

    CU_ASSERT_PTR_NULL(events_open(folder, QUEUE_BYTES, error, sizeof(error)));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, folder));
}

int main(int argc, char **argv)
{
    static const struct fmx_test_case cases[] = {
        FMX_TEST_CASE(all_that_is_told_is_in_the_file),
        FMX_TEST_CASE(a_reader_that_does_not_read_costs_lines_and_is_told),
        FMX_TEST_CASE(a_full_disk_is_counted_and_told_once_there_is_room),
        FMX_TEST_CASE(a_line_that_was_cut_short_is_ended_before_the_next),
        FMX_TEST_CASE(a_renamed_file_is_left_and_made_anew),
        FMX_TEST_CASE(a_line_that_is_too_long_is_dropped_alone),
        FMX_TEST_CASE(what_cannot_be_opened_is_refused_in_words),
    };

    fmx_temporary_path(folder, sizeof(folder), "fmx-events-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        perror("mkdtemp");
        return 1;
    }
    snprintf(path, sizeof(path), "%s/events", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    int result = fmx_test_main("events", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
    rmdir(folder);
    return result;
}
