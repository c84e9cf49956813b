/*
 * events — collects events on the shards and writes them on a thread of its own
 *
 * Why it is so:   a callback may not block, and a file may: on a full disk, on a slow reader of a
 *                 pipe. So each shard formats into memory of its own and hands over a batch at the
 *                 end of its turn, under a lock that is held for one copy. Whoever cannot keep up
 *                 loses lines, counted, and never holds up a device.
 * Words:          batch: the lines of one shard that are not handed over yet; queue: a ring of
 *                 bytes that all shards fill and the writer empties
 * Invariants:     (1) the queue holds whole lines, in the order in which they were handed over
 *                 (2) a dropped line stands, once there is room, where others are missing
 *                 (3) the file holds whole lines: one that a failed write has torn is ended before
 *                 the next, and what is left of it is not written
 * Memory:         the queue, touched only as far as it fills; up to LINE_BYTES_MAX for each shard
 * Threads:        callbacks on shards; one writer, which alone knows the file; the rest: any
 * Limits:         a line over LINE_BYTES_MAX is dropped
 * Not here:       the lines themselves: events_json.c
 */
#include "tools/fleetmux/events.h"

#include "tools/fleetmux/events_json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BATCH_BYTES    (256U << 10) /* handed over at the latest when there are so many */
#define LINE_BYTES_MAX (8U << 20)
#define WRITE_BYTES    (1U << 20) /* in one call, so that room comes back early */
#define DROPPED_BYTES  64U

/* One shard's batch. */
struct batch {
    struct batch *next;
    struct events *events;
    char *text;
    size_t room, used;
    uint64_t lines;
};

struct events {
    pthread_mutex_t mutex; /* over all up to counts */
    pthread_cond_t has_work;
    char *ring;
    size_t ring_bytes, first, used;
    struct batch *batches; /* of all shards */
    uint64_t untold;       /* dropped since the last line that says so */
    bool is_ending, wants_reopen;
    bool is_failing; /* the last write failed */
    struct events_counts counts;
    pthread_t writer;
    /* the writer's */
    const char *path;
    int fd;
    bool is_reported;   /* that it fails */
    bool is_torn;       /* the file ends in the middle of a line */
    bool skips_to_next; /* the queue begins in the middle of a line that was given up */
};

/* Each shard is a thread, and a message does not say which shard it is on. */
static _Thread_local struct batch *own_batch;

/* The queue ----------------------------------------------------------------------------------- */

static void copy_in(struct events *events, const char *text, size_t bytes)
{
    size_t at = (events->first + events->used) % events->ring_bytes;
    size_t whole = events->ring_bytes - at < bytes ? events->ring_bytes - at : bytes;

    memcpy(events->ring + at, text, whole);
    memcpy(events->ring, text + whole, bytes - whole);
    events->used += bytes;
}

static void count_dropped(struct events *events, uint64_t lines)
{
    events->counts.dropped += lines;
    events->untold += lines;
}

/* Under the lock: says what was dropped before, if there is room for that and `bytes` more. */
static bool tell_dropped(struct events *events, size_t bytes)
{
    char line[DROPPED_BYTES];
    size_t line_bytes = 0;

    if (events->untold > 0 && !events->is_failing) {
        line_bytes = events_json_dropped(events->untold, line, sizeof(line));
    }
    if (events->ring_bytes - events->used < line_bytes + bytes) {
        return false;
    }
    if (line_bytes > 0) {
        copy_in(events, line, line_bytes);
        events->untold = 0;
    }
    return true;
}

static void hand_over(struct events *events, struct batch *batch)
{
    pthread_mutex_lock(&events->mutex);
    bool is_asleep = events->used == 0;
    if (tell_dropped(events, batch->used)) {
        copy_in(events, batch->text, batch->used);
    } else {
        count_dropped(events, batch->lines);
    }
    pthread_mutex_unlock(&events->mutex);
    if (is_asleep) {
        pthread_cond_signal(&events->has_work);
    }
    batch->used = 0;
    batch->lines = 0;
}

/* Batches ------------------------------------------------------------------------------------- */

static void drop_one(struct events *events)
{
    pthread_mutex_lock(&events->mutex);
    count_dropped(events, 1);
    pthread_mutex_unlock(&events->mutex);
}

/* This shard's batch; NULL without memory. */
static struct batch *batch_here(struct events *events)
{
    struct batch *batch = own_batch;

    if (batch != NULL && batch->events == events) {
        return batch;
    }
    batch = calloc(1, sizeof(*batch));
    if (batch != NULL) {
        batch->events = events;
        pthread_mutex_lock(&events->mutex);
        batch->next = events->batches;
        events->batches = batch;
        pthread_mutex_unlock(&events->mutex);
        own_batch = batch;
    }
    return batch;
}

static bool grow(struct batch *batch)
{
    size_t room = batch->room == 0 ? 2 * BATCH_BYTES : 2 * batch->room;
    char *text = room > LINE_BYTES_MAX ? NULL : realloc(batch->text, room);

    if (text != NULL) {
        batch->text = text;
        batch->room = room;
    }
    return text != NULL;
}

typedef size_t format_fn(const void *what, uint64_t now_ms, char *out_line, size_t room);

static void add_line(struct events *events, format_fn *format, const void *what)
{
    struct batch *batch = batch_here(events);
    struct timespec now;
    size_t bytes = 0;

    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    while (batch != NULL && bytes == 0) {
        bytes = format(what, now_ms, batch->text + batch->used, batch->room - batch->used);
        if (bytes == 0 && batch->used > 0) {
            hand_over(events, batch);
        } else if (bytes == 0 && !grow(batch)) {
            batch = NULL;
        }
    }
    if (batch == NULL) {
        drop_one(events);
        return;
    }
    batch->used += bytes;
    batch->lines++;
    if (batch->used >= BATCH_BYTES) {
        hand_over(events, batch);
    }
}

static size_t format_online(const void *what, uint64_t now_ms, char *out_line, size_t room)
{
    return events_json_online(what, now_ms, out_line, room);
}

static size_t format_offline(const void *what, uint64_t now_ms, char *out_line, size_t room)
{
    return events_json_offline(what, now_ms, out_line, room);
}

static size_t format_message(const void *what, uint64_t now_ms, char *out_line, size_t room)
{
    return events_json_message(what, now_ms, out_line, room);
}

static void on_batch(void *user, uint32_t shard_index)
{
    struct events *events = user;

    (void)shard_index;
    if (own_batch != NULL && own_batch->events == events && own_batch->used > 0) {
        hand_over(events, own_batch);
    }
}

static void on_open(void *user, const struct fmx_gateway_session *session)
{
    add_line(user, format_online, session);
    on_batch(user, 0);
}

static void on_close(void *user, const struct fmx_gateway_end *end)
{
    add_line(user, format_offline, end);
    on_batch(user, 0);
}

static void on_message(void *user, const struct fmx_gateway_message *message)
{
    add_line(user, format_message, message);
}

void events_listen(struct events *events, struct fmx_gateway_options *options)
{
    options->callbacks.on_open = on_open;
    options->callbacks.on_close = on_close;
    options->callbacks.on_message = on_message;
    options->callbacks.on_batch = on_batch;
    options->user = events;
}

/* The writer ---------------------------------------------------------------------------------- */

static int open_file(const char *path)
{
    return strcmp(path, "-") == 0
               ? STDOUT_FILENO
               : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

static void reopen_file(struct events *events)
{
    int fd = open_file(events->path);

    if (fd < 0) {
        fprintf(stderr,
                "fleetmux gateway: events: '%s' cannot be opened again: %s; going on with "
                "the file that was open\n",
                events->path, strerror(errno));
        return;
    }
    if (events->fd != STDOUT_FILENO) {
        close(events->fd);
    }
    events->fd = fd;
    events->is_torn = false;
    events->is_reported = false;
}

static uint64_t count_lines(const char *text, size_t bytes)
{
    const char *end = text + bytes;
    uint64_t lines = 0;

    while ((text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
        text++;
        lines++;
    }
    return lines;
}

/* Writes as much as it can; returns the bytes written, fewer than asked after a failure. */
static size_t write_all(struct events *events, const char *text, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t result = write(events->fd, text + done, bytes - done);
        if (result > 0) {
            done += (size_t)result;
        } else if (result < 0 && errno == EAGAIN) { /* standard output may be somebody's pipe */
            (void)poll(&(struct pollfd){.fd = events->fd, .events = POLLOUT}, 1, -1);
        } else if (result == 0 || errno != EINTR) {
            break;
        }
    }
    if (done < bytes && !events->is_reported) {
        fprintf(stderr,
                "fleetmux gateway: events: cannot write to '%s': %s; lines are dropped and counted "
                "until it works again\n",
                events->path, strerror(errno));
        events->is_reported = true;
    }
    return done;
}

/* What one piece of the queue came to. */
struct outcome {
    uint64_t written, lost;
    bool has_failed;
};

static struct outcome write_piece(struct events *events, const char *text, size_t bytes)
{
    struct outcome outcome = {0};

    if (events->skips_to_next) {
        const char *end = memchr(text, '\n', bytes);
        size_t skipped = end == NULL ? bytes : (size_t)(end + 1 - text);
        events->skips_to_next = end == NULL;
        outcome.lost += end != NULL;
        text += skipped;
        bytes -= skipped;
    }
    if (bytes == 0) {
        return outcome;
    }
    if (events->is_torn && write_all(events, "\n", 1) == 1) {
        events->is_torn = false;
    }
    size_t done = events->is_torn ? 0 : write_all(events, text, bytes);
    outcome.written = count_lines(text, done);
    if (done < bytes) {
        outcome.has_failed = true;
        outcome.lost += count_lines(text + done, bytes - done);
        events->skips_to_next = text[bytes - 1] != '\n';
        events->is_torn = events->is_torn || (done > 0 && text[done - 1] != '\n');
    }
    return outcome;
}

/* Under the lock: waits for something to do. False: there is nothing left and it is to end. */
static bool wait_for_work(struct events *events)
{
    for (;;) {
        if (events->used == 0) {
            (void)tell_dropped(events, 0);
        }
        if (events->used > 0 || events->wants_reopen) {
            return true;
        }
        if (events->is_ending) {
            return false;
        }
        pthread_cond_wait(&events->has_work, &events->mutex);
    }
}

/* Takes one piece from the queue; the lock is given back while it is written. */
static void write_some(struct events *events)
{
    size_t bytes = events->ring_bytes - events->first;
    const char *text = events->ring + events->first;

    bytes = bytes < events->used ? bytes : events->used;
    bytes = bytes < WRITE_BYTES ? bytes : WRITE_BYTES;
    pthread_mutex_unlock(&events->mutex);
    struct outcome outcome = write_piece(events, text, bytes);
    pthread_mutex_lock(&events->mutex);
    events->used -= bytes;
    events->first = events->used == 0 ? 0 : (events->first + bytes) % events->ring_bytes;
    events->is_failing = outcome.has_failed;
    events->counts.written += outcome.written;
    events->counts.write_errors += outcome.has_failed;
    count_dropped(events, outcome.lost);
}

static void *write_events(void *user)
{
    struct events *events = user;

    pthread_setname_np(pthread_self(), "fmx-events");
    pthread_mutex_lock(&events->mutex);
    while (wait_for_work(events)) {
        if (events->wants_reopen) {
            events->wants_reopen = false;
            pthread_mutex_unlock(&events->mutex);
            reopen_file(events);
            pthread_mutex_lock(&events->mutex);
        } else {
            write_some(events);
        }
    }
    pthread_mutex_unlock(&events->mutex);
    return NULL;
}

/* From open to close -------------------------------------------------------------------------- */

static void release(struct events *events)
{
    own_batch = NULL; /* the shards that had others are gone */
    while (events->batches != NULL) {
        struct batch *next = events->batches->next;
        free(events->batches->text);
        free(events->batches);
        events->batches = next;
    }
    if (events->fd > STDOUT_FILENO) {
        close(events->fd);
    }
    pthread_cond_destroy(&events->has_work);
    pthread_mutex_destroy(&events->mutex);
    free(events->ring);
    free(events);
}

struct events *events_open(const char *path, uint64_t queue_bytes, char *error, size_t error_bytes)
{
    struct events *events = calloc(1, sizeof(*events));

    if (events == NULL) {
        snprintf(error, error_bytes, "events: memory ran out");
        return NULL;
    }
    events->path = path;
    events->ring_bytes = queue_bytes;
    events->ring = malloc(queue_bytes);
    pthread_mutex_init(&events->mutex, NULL);
    pthread_cond_init(&events->has_work, NULL);
    events->fd = open_file(path);
    if (events->ring == NULL) {
        snprintf(error, error_bytes, "events: there is no memory for a queue of %llu bytes",
                 (unsigned long long)queue_bytes);
    } else if (events->fd < 0) {
        snprintf(error, error_bytes, "events: '%s' cannot be opened: %s", path, strerror(errno));
    } else if (pthread_create(&events->writer, NULL, write_events, events) != 0) {
        snprintf(error, error_bytes, "events: a thread could not be started");
    } else {
        return events;
    }
    release(events);
    return NULL;
}

void events_reopen(struct events *events)
{
    pthread_mutex_lock(&events->mutex);
    events->wants_reopen = true;
    pthread_mutex_unlock(&events->mutex);
    pthread_cond_signal(&events->has_work);
}

void events_count(struct events *events, struct events_counts *out_counts)
{
    pthread_mutex_lock(&events->mutex);
    *out_counts = events->counts;
    out_counts->queued_bytes = events->used;
    pthread_mutex_unlock(&events->mutex);
}

void events_close(struct events *events)
{
    if (events == NULL) {
        return;
    }
    for (struct batch *batch = events->batches; batch != NULL; batch = batch->next) {
        if (batch->used > 0) {
            hand_over(events, batch);
        }
    }
    pthread_mutex_lock(&events->mutex);
    events->is_ending = true;
    pthread_mutex_unlock(&events->mutex);
    pthread_cond_signal(&events->has_work);
    pthread_join(events->writer, NULL);
    release(events);
}
