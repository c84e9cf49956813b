/*
 * control — serves the control socket
 *
 * Why it is so:   one thread with poll() is enough for people and scripts, and keeps all of JSON
 *                 and of the caller handle in one place. Requests of one connection run side by
 *                 side, so a call that waits for its device delays nobody; each answer goes out
 *                 when it comes, with the id that the request had.
 * States:         running → quiet (no new requests, the caller handle closed) → ending (the last
 *                 answers are given); between the two the gateway stops and completes everything
 * Invariants:     (1) a request is in exactly one place: with the library, in the list of completed
 *                 ones, or gone
 *                 (2) its connection may be gone before it: slot and generation tell
 * Memory:         connections own their buffers; requests are freed when they are answered
 * Threads:        its own; completions come on shards and only take the lock; start, quiet and
 *                 close: the thread that owns the gateway
 * Limits:         CONNECTIONS_MAX; IN_FLIGHT_MAX requests and ANSWERS_BYTES_CALM bytes of answers
 *                 for each, above which it is not read from; ANSWERS_BYTES_MAX bytes, or
 *                 STALLED_MS without reading, above which it is cut off
 * Not here:       the requests: control_ask.c, control_requests.c
 */
#include "tools/fleetmux/control.h"

#include "tools/fleetmux/control_requests.h"

#include <json-c/json.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX    64
#define IN_FLIGHT_MAX      1024
#define PAGE_WEIGHT        16 /* a page of sessions counts as so many requests */
#define ANSWERS_BYTES_CALM (1U << 20)
#define ANSWERS_BYTES_MAX  (16U << 20)
#define READ_BYTES         16384U
#define STALLED_MS         30000
#define LAST_ANSWERS_MS    1000
#define NO_DESCRIPTOR_NS   50000000
#define ERROR_BYTES        512

enum { POLL_BELL, POLL_LISTENER, POLL_FIRST, POLL_COUNT = POLL_FIRST + CONNECTIONS_MAX };

enum phase { PHASE_RUNNING, PHASE_QUIET, PHASE_ENDING };

/* Bytes from `first` to `used`. */
struct buffer {
    char *data;
    size_t room, first, used;
};

struct connection {
    int fd;              /* −1: the slot is free */
    uint64_t generation; /* of the slot */
    struct buffer in, out;
    unsigned in_flight; /* in units of a small answer */
    bool has_ended;     /* the peer says no more */
    bool is_leaving;    /* closed as soon as what is said is sent */
    uint64_t moved_ms;  /* when it last took an answer, or had none to take */
};

struct control {
    struct control_site site; /* first: completions find the rest from it */
    struct control_setup setup;
    pthread_t thread;
    int bell;              /* eventfd */
    pthread_mutex_t mutex; /* over the next four */
    pthread_cond_t is_quiet_now;
    enum phase wanted; /* by the gateway's owner */
    bool is_quiet;
    struct control_request *completed; /* newest first */
    /* the thread's own */
    enum phase phase;
    uint64_t generations;
    struct connection connections[CONNECTIONS_MAX];
};

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void ring(const struct control *control)
{
    uint64_t one = 1;

    (void)!write(control->bell, &one, sizeof(one));
}

/* On a shard, or on our own thread. */
static void on_completed(struct control_site *site, struct control_request *request)
{
    struct control *control = (struct control *)site;

    pthread_mutex_lock(&control->mutex);
    bool is_first = control->completed == NULL;
    request->next = control->completed;
    control->completed = request;
    pthread_mutex_unlock(&control->mutex);
    if (is_first) {
        ring(control);
    }
}

/* Buffers ------------------------------------------------------------------------------------- */

static size_t left_in(const struct buffer *buffer)
{
    return buffer->used - buffer->first;
}

/* Makes room for `bytes` more behind the used ones. */
static bool reserve(struct buffer *buffer, size_t bytes)
{
    size_t room = buffer->room > 0 ? buffer->room : READ_BYTES;

    if (buffer->first > 0) {
        memmove(buffer->data, buffer->data + buffer->first, left_in(buffer));
        buffer->used -= buffer->first;
        buffer->first = 0;
    }
    while (room - buffer->used < bytes) {
        room *= 2;
    }
    if (room > buffer->room) {
        char *data = realloc(buffer->data, room);
        if (data == NULL) {
            return false;
        }
        buffer->data = data;
        buffer->room = room;
    }
    return true;
}

static void consume(struct buffer *buffer, size_t bytes)
{
    buffer->first += bytes;
    if (buffer->first == buffer->used) {
        buffer->first = buffer->used = 0;
        if (buffer->room > READ_BYTES) { /* quiet connections hold nothing */
            free(buffer->data);
            *buffer = (struct buffer){0};
        }
    }
}

/* Connections --------------------------------------------------------------------------------- */

static void disconnect(struct connection *connection)
{
    close(connection->fd);
    free(connection->in.data);
    free(connection->out.data);
    *connection = (struct connection){.fd = -1};
}

static void flush(struct connection *connection)
{
    struct buffer *out = &connection->out;

    while (connection->fd >= 0 && left_in(out) > 0) {
        ssize_t bytes =
            send(connection->fd, out->data + out->first, left_in(out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (bytes > 0) {
            consume(out, (size_t)bytes);
            connection->moved_ms = clock_ms();
        } else if (bytes < 0 && errno == EAGAIN) {
            return;
        } else if (bytes == 0 || errno != EINTR) {
            disconnect(connection);
        }
    }
}

/* Queues one line; a connection that has too many waiting is cut off. */
static void say(struct connection *connection, const char *line, size_t bytes)
{
    struct buffer *out = &connection->out;

    if (left_in(out) == 0) {
        connection->moved_ms = clock_ms();
    }
    if (left_in(out) + bytes + 1 > ANSWERS_BYTES_MAX || !reserve(out, bytes + 1)) {
        disconnect(connection);
        return;
    }
    memcpy(out->data + out->used, line, bytes);
    out->data[out->used + bytes] = '\n';
    out->used += bytes + 1;
}

/* An answer begins with the id and whether it went well. */
static json_object *begin_answer(json_object *id, bool is_ok)
{
    json_object *answer = json_object_new_object();

    json_object_object_add(answer, "id", json_object_get(id));
    json_object_object_add(answer, "ok", json_object_new_boolean(is_ok));
    return answer;
}

static void say_error(struct connection *connection, json_object *id, const char *error);

static void say_json(struct connection *connection, json_object *answer)
{
    size_t bytes = 0;
    const char *line = json_object_to_json_string_length(
        answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &bytes);

    if (bytes < ANSWERS_BYTES_MAX) {
        say(connection, line, bytes);
    } else {
        say_error(connection, json_object_object_get(answer, "id"),
                  "the answer is longer than 16 MiB");
    }
}

static void say_error(struct connection *connection, json_object *id, const char *error)
{
    json_object *answer = begin_answer(id, false);

    json_object_object_add(answer, "error", json_object_new_string(error));
    say_json(connection, answer);
    json_object_put(answer);
}

/* Requests ------------------------------------------------------------------------------------ */

static unsigned weight_of(enum control_verb verb)
{
    return verb == CONTROL_DEVICES ? PAGE_WEIGHT : 1;
}

static void serve_line(struct control *control, struct connection *connection, const char *line,
                       size_t bytes)
{
    struct control_ask ask;
    char error[CONTROL_ERROR_BYTES] = "";
    unsigned slot = (unsigned)(connection - control->connections);

    bool is_good =
        control_ask_read(line, bytes, &ask, error) &&
        control_request_begin(&control->site, &ask, slot, connection->generation, error) != NULL;
    if (is_good) {
        connection->in_flight += weight_of(ask.verb);
    } else {
        say_error(connection, ask.id, error);
    }
    control_ask_wipe(&ask);
}

static bool is_busy(const struct connection *connection)
{
    return connection->in_flight >= IN_FLIGHT_MAX || left_in(&connection->out) > ANSWERS_BYTES_CALM;
}

/* The next line; its end, or the connection's, is not part of it. NULL: it is not there yet. */
static const char *next_line(struct connection *connection, size_t *out_bytes, size_t *out_taken)
{
    const struct buffer *in = &connection->in;
    const char *line = in->data + in->first;
    const char *end = left_in(in) > 0 ? memchr(line, '\n', left_in(in)) : NULL;

    *out_bytes = end != NULL ? (size_t)(end - line) : left_in(in);
    *out_taken = *out_bytes + (end != NULL);
    return end != NULL || (connection->has_ended && *out_bytes > 0) ? line : NULL;
}

/* Serves the lines that are there, as far as answers are taken. */
static void serve(struct control *control, struct connection *connection)
{
    size_t bytes = 0, taken = 0;

    while (connection->fd >= 0 && !connection->is_leaving && !is_busy(connection)) {
        const char *line = next_line(connection, &bytes, &taken);
        if (bytes > CONTROL_LINE_BYTES_MAX) {
            say_error(connection, NULL, "line: is longer than 524,288 bytes");
            connection->is_leaving = true;
            return;
        }
        if (line == NULL) {
            return;
        }
        if (bytes > 0) {
            serve_line(control, connection, line, bytes);
        }
        if (connection->fd >= 0) {
            consume(&connection->in, taken);
        }
    }
}

static void hear(struct control *control, struct connection *connection)
{
    struct buffer *in = &connection->in;

    if (!reserve(in, READ_BYTES)) {
        disconnect(connection);
        return;
    }
    ssize_t bytes = recv(connection->fd, in->data + in->used, READ_BYTES, MSG_DONTWAIT);
    if (bytes > 0) {
        in->used += (size_t)bytes;
    } else if (bytes == 0) {
        connection->has_ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        disconnect(connection);
        return;
    }
    serve(control, connection);
}

static void answer(struct control *control, struct control_request *request)
{
    struct connection *connection = &control->connections[request->slot];
    char error[CONTROL_ERROR_BYTES];

    if (connection->fd < 0 || connection->generation != request->generation) {
        return; /* nobody waits for it any more */
    }
    connection->in_flight -= weight_of(request->verb);
    json_object *line = begin_answer(request->id, true);
    if (control_request_answer(request, line, error)) {
        say_json(connection, line);
    } else {
        say_error(connection, request->id, error);
    }
    json_object_put(line);
}

/* Gives the answers of all that was completed, in that order. */
static void answer_completed(struct control *control)
{
    struct control_request *in_order = NULL;
    uint64_t rung = 0;

    (void)!read(control->bell, &rung, sizeof(rung));
    pthread_mutex_lock(&control->mutex);
    struct control_request *request = control->completed;
    control->completed = NULL;
    pthread_mutex_unlock(&control->mutex);
    while (request != NULL) {
        struct control_request *next = request->next;
        request->next = in_order;
        in_order = request;
        request = next;
    }
    while (in_order != NULL) {
        struct control_request *next = in_order->next;
        answer(control, in_order);
        control_request_free(in_order);
        in_order = next;
    }
}

/* The turn ------------------------------------------------------------------------------------ */

static void greet(struct control *control)
{
    int fd = accept4(control->setup.socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection stranger = {.fd = fd};

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) { /* it would be asked again at once */
            nanosleep(&(struct timespec){.tv_nsec = NO_DESCRIPTOR_NS}, NULL);
        }
        return;
    }
    for (size_t slot = 0; slot < CONNECTIONS_MAX; slot++) {
        if (control->connections[slot].fd < 0) {
            stranger.generation = ++control->generations;
            control->connections[slot] = stranger;
            return;
        }
    }
    say_error(&stranger, NULL, "64 connections are open already; close one");
    flush(&stranger);
    if (stranger.fd >= 0) {
        disconnect(&stranger);
    }
}

/* After each turn: sends, and closes what has nothing more to say. */
static void settle(struct control *control, struct connection *connection)
{
    flush(connection);
    if (connection->fd < 0) {
        return;
    }
    if (control->phase == PHASE_RUNNING) {
        serve(control, connection); /* what waited for room */
        flush(connection);
    }
    if (connection->fd < 0) {
        return;
    }
    bool has_all = left_in(&connection->out) == 0;
    bool is_done =
        connection->has_ended && connection->in_flight == 0 && left_in(&connection->in) == 0;
    bool is_stalled = !has_all && clock_ms() - connection->moved_ms > STALLED_MS;
    if ((has_all && (is_done || connection->is_leaving)) || is_stalled) {
        disconnect(connection);
    }
}

/* What to wait for, given what the connection is at. */
static struct pollfd wish(const struct control *control, const struct connection *connection)
{
    struct pollfd entry = {.fd = connection->fd};
    bool is_read_from = control->phase == PHASE_RUNNING && !connection->has_ended &&
                        !connection->is_leaving && !is_busy(connection);

    if (is_read_from) {
        entry.events |= POLLIN;
    }
    if (left_in(&connection->out) > 0) {
        entry.events |= POLLOUT;
    }
    return entry;
}

static void turn(struct control *control)
{
    struct pollfd entries[POLL_COUNT];
    bool is_running = control->phase == PHASE_RUNNING;

    entries[POLL_BELL] = (struct pollfd){.fd = control->bell, .events = POLLIN};
    entries[POLL_LISTENER] =
        (struct pollfd){.fd = is_running ? control->setup.socket->fd : -1, .events = POLLIN};
    for (size_t slot = 0; slot < CONNECTIONS_MAX; slot++) {
        entries[POLL_FIRST + slot] = wish(control, &control->connections[slot]);
    }
    (void)poll(entries, POLL_COUNT, control->phase == PHASE_ENDING ? 10 : 1000);
    if ((entries[POLL_BELL].revents & POLLIN) != 0) {
        answer_completed(control);
    }
    for (size_t slot = 0; slot < CONNECTIONS_MAX; slot++) {
        struct connection *connection = &control->connections[slot];
        short events = entries[POLL_FIRST + slot].revents;
        if (connection->fd >= 0 && (events & (POLLERR | POLLHUP)) != 0 && (events & POLLIN) == 0) {
            disconnect(connection); /* it takes nothing any more */
        } else if (connection->fd >= 0 && (events & POLLIN) != 0) {
            hear(control, connection);
        }
        if (connection->fd >= 0) {
            settle(control, connection);
        }
    }
    if ((entries[POLL_LISTENER].revents & POLLIN) != 0) {
        greet(control);
    }
}

static bool has_answers(const struct control *control)
{
    for (size_t slot = 0; slot < CONNECTIONS_MAX; slot++) {
        if (control->connections[slot].fd >= 0 && left_in(&control->connections[slot].out) > 0) {
            return true;
        }
    }
    return false;
}

static void *run(void *user)
{
    struct control *control = user;

    pthread_setname_np(pthread_self(), "fmx-control");
    while (control->phase != PHASE_ENDING) {
        turn(control);
        pthread_mutex_lock(&control->mutex);
        control->phase = control->wanted;
        if (control->phase != PHASE_RUNNING && !control->is_quiet) {
            fmx_gateway_caller_close(control->site.caller);
            control->is_quiet = true;
            pthread_cond_signal(&control->is_quiet_now);
        }
        pthread_mutex_unlock(&control->mutex);
    }
    uint64_t ends_ms = clock_ms() + LAST_ANSWERS_MS;
    answer_completed(control);
    while (has_answers(control) && clock_ms() < ends_ms) {
        turn(control);
    }
    return NULL;
}

/* From start to close ------------------------------------------------------------------------- */

static void release(struct control *control)
{
    for (size_t slot = 0; slot < CONNECTIONS_MAX; slot++) {
        if (control->connections[slot].fd >= 0) {
            disconnect(&control->connections[slot]);
        }
    }
    if (control->bell >= 0) {
        close(control->bell);
    }
    pthread_cond_destroy(&control->is_quiet_now);
    pthread_mutex_destroy(&control->mutex);
    free(control);
}

struct control *control_start(const struct control_setup *setup, char *error)
{
    struct control *control = calloc(1, sizeof(*control));
    struct timespec now;

    if (control == NULL) {
        snprintf(error, ERROR_BYTES, "control: memory ran out");
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    control->setup = *setup;
    control->site = (struct control_site){
        .setup = &control->setup,
        .started_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
        .completed = on_completed,
    };
    pthread_mutex_init(&control->mutex, NULL);
    pthread_cond_init(&control->is_quiet_now, NULL);
    for (size_t slot = 0; slot < CONNECTIONS_MAX; slot++) {
        control->connections[slot].fd = -1;
    }
    control->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum fmx_status status = fmx_gateway_caller_open(setup->gateway, &control->site.caller);
    if (control->bell >= 0 && status == FMX_OK) {
        if (pthread_create(&control->thread, NULL, run, control) == 0) {
            return control;
        }
        fmx_gateway_caller_close(control->site.caller);
    }
    snprintf(error, ERROR_BYTES, "control: cannot start: %s",
             status != FMX_OK ? fmx_status_text(status) : strerror(errno));
    release(control);
    return NULL;
}

void control_quiet(struct control *control)
{
    pthread_mutex_lock(&control->mutex);
    control->wanted = PHASE_QUIET;
    ring(control);
    while (!control->is_quiet) {
        pthread_cond_wait(&control->is_quiet_now, &control->mutex);
    }
    pthread_mutex_unlock(&control->mutex);
}

void control_close(struct control *control)
{
    pthread_mutex_lock(&control->mutex);
    control->wanted = PHASE_ENDING;
    ring(control);
    pthread_mutex_unlock(&control->mutex);
    pthread_join(control->thread, NULL);
    release(control);
}
