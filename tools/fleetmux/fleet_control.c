/*
 * fleet_control — the control socket of a running fleet
 *
 * Why it is so:   the protocol is the gateway's (docs/CONTROL.md), so that a script can speak to
 *                 both: a JSON object a line, an answer a line. A fleet's answers are there at
 *                 once, so a connection has one line and one answer at a time, and nothing grows
 * Invariants:     a connection is read from only while it has no answer to take
 * Memory:         a line of each connection, and its answer
 * Threads:        its own; open and close: the thread that watches the run
 * Limits:         CONNECTIONS_MAX; LINE_BYTES_MAX; STALLED_MS without taking an answer, or with a
 *                 last one taken
 * Not here:       where the socket lies: control_socket.c; what is granted: fleet_watch.c
 */
#include "tools/fleetmux/control.h"
#include "tools/fleetmux/fleet_serving.h"
#include "tools/fleetmux/result_file.h"

#include <json-c/json.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX  16
#define LINE_BYTES_MAX   4096
#define ID_BYTES_MAX     256
#define DEPTH_MAX        8
#define STALLED_MS       10000
#define LAST_WORDS_MS    500
#define NO_DESCRIPTOR_NS 50000000
#define NS_PER_MS        1000000

enum { POLL_BELL, POLL_LISTENER, POLL_FIRST, POLL_COUNT = POLL_FIRST + CONNECTIONS_MAX };

struct connection {
    int fd; /* −1: free */
    char in[LINE_BYTES_MAX + 1];
    size_t in_bytes;
    char *out; /* NULL: nothing to say */
    size_t out_bytes, out_at;
    uint64_t said_ms; /* when it was given something to take */
    bool has_ended;   /* the peer says no more */
    bool is_leaving;  /* its last answer is said; what it still sends is not read */
};

struct fleet_control {
    struct fleet_serving *serving;
    struct control_socket socket;
    pthread_t thread;
    int bell; /* eventfd: the end */
    struct connection connections[CONNECTIONS_MAX];
};

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

/* ── answers ── */

static void disconnect(struct connection *connection)
{
    close(connection->fd);
    free(connection->out);
    connection->fd = -1;
    connection->out = NULL;
    connection->in_bytes = 0;
    connection->has_ended = connection->is_leaving = false;
}

static void flush(struct connection *connection)
{
    while (connection->fd >= 0 && connection->out != NULL) {
        ssize_t bytes =
            send(connection->fd, connection->out + connection->out_at,
                 connection->out_bytes - connection->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (bytes > 0) {
            connection->out_at += (size_t)bytes;
        } else if (bytes < 0 && errno == EAGAIN) {
            return;
        } else if (bytes == 0 || errno != EINTR) {
            disconnect(connection);
            return;
        }
        if (connection->out_at == connection->out_bytes) {
            free(connection->out);
            connection->out = NULL;
        }
    }
}

static void say(struct connection *connection, json_object *answer)
{
    size_t bytes = 0;
    const char *text = json_object_to_json_string_length(
        answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &bytes);

    connection->out = malloc(bytes + 1);
    if (connection->out == NULL) {
        connection->is_leaving = true;
        connection->said_ms = clock_ms();
        return;
    }
    memcpy(connection->out, text, bytes);
    connection->out[bytes] = '\n';
    connection->out_bytes = bytes + 1;
    connection->out_at = 0;
    connection->said_ms = clock_ms();
}

/* NULL `error`: it went well. What it quotes may be cut within a character. */
static json_object *begin_answer(json_object *id, const char *error)
{
    json_object *answer = json_object_new_object();
    char *clean = error != NULL ? result_file_clean(error) : NULL;

    json_object_object_add(answer, "id", json_object_get(id));
    json_object_object_add(answer, "ok", json_object_new_boolean(error == NULL));
    if (error != NULL) {
        json_object_object_add(answer, "error",
                               json_object_new_string(clean != NULL ? clean : "no memory"));
    }
    free(clean);
    return answer;
}

/* ── requests ── */

struct ask {
    json_object *id, *verb, *value;
};

static bool read_fields(json_object *root, struct ask *out_ask, char *error)
{
    *out_ask = (struct ask){0};
    (void)json_object_object_get_ex(root, "id", &out_ask->id);
    if (strlen(json_object_to_json_string_ext(out_ask->id, JSON_C_TO_STRING_PLAIN)) >
        ID_BYTES_MAX) {
        out_ask->id = NULL;
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "field id: is longer than 256 bytes");
        return false;
    }
    json_object_object_foreach(root, name, value)
    {
        if (strcmp(name, "do") == 0) {
            out_ask->verb = value;
        } else if (strcmp(name, "value") == 0) {
            out_ask->value = value;
        } else if (strcmp(name, "id") != 0) {
            snprintf(error, FLEET_SERVING_ERROR_BYTES,
                     "field %.64s: is unknown; there are do, id and value", name);
            return false;
        }
    }
    if (!json_object_is_type(out_ask->verb, json_type_string)) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES,
                 "field do: write status, rate, pause, resume, storm or stop");
        return false;
    }
    return true;
}

static bool read_wish(const struct ask *ask, struct fleet_wish *out_wish, char *error)
{
    const char *verb = json_object_get_string(ask->verb);
    char words[FLEET_SERVING_ERROR_BYTES];
    bool is_good = false;

    if (!fleet_wish_is_verb(verb, words)) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "field do: %.480s", words);
        return false;
    }
    if (json_object_is_type(ask->value, json_type_double) ||
        json_object_is_type(ask->value, json_type_int)) {
        is_good = fleet_wish_make(verb, json_object_get_double(ask->value), out_wish, words);
    } else if (ask->value == NULL || json_object_is_type(ask->value, json_type_string)) {
        is_good = fleet_wish_read(
            verb, ask->value != NULL ? json_object_get_string(ask->value) : NULL, out_wish, words);
    } else {
        snprintf(words, sizeof(words), "write a number, or a text as in \"10%%\"");
    }
    if (!is_good) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "field value: %.480s", words);
    }
    return is_good;
}

static json_object *carry_out(struct fleet_control *control, const struct ask *ask)
{
    char error[FLEET_SERVING_ERROR_BYTES];
    struct fleet_wish wish;

    if (strcmp(json_object_get_string(ask->verb), "status") == 0) {
        if (ask->value != NULL) {
            return begin_answer(ask->id, "field value: has no meaning here; leave it out");
        }
        json_object *answer = begin_answer(ask->id, NULL);
        fleet_serving_tell(control->serving, answer);
        return answer;
    }
    if (!read_wish(ask, &wish, error) ||
        fleet_serving_wish(control->serving, wish, error) != FLEET_SERVING_TAKEN) {
        return begin_answer(ask->id, error);
    }
    return begin_answer(ask->id, NULL);
}

static json_object *parse(const char *line, size_t bytes, char *error)
{
    json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);

    if (tokener == NULL) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "line: memory ran out");
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *root = json_tokener_parse_ex(tokener, line, (int)bytes);
    enum json_tokener_error status = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    if (status != json_tokener_success) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "line: is no JSON: %s",
                 status == json_tokener_continue ? "it ends too early"
                                                 : json_tokener_error_desc(status));
    } else if (!json_object_is_type(root, json_type_object)) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES,
                 "line: is no object; write {\"do\":\"status\"} or the like");
        json_object_put(root);
        root = NULL;
    }
    return root;
}

static void serve_line(struct fleet_control *control, struct connection *connection,
                       const char *line, size_t bytes)
{
    char error[FLEET_SERVING_ERROR_BYTES] = "";
    struct ask ask = {0};

    while (bytes > 0 && (line[bytes - 1] == ' ' || line[bytes - 1] == '\r')) {
        bytes--;
    }
    if (bytes == 0) {
        return;
    }
    json_object *root = parse(line, bytes, error);
    json_object *answer = root != NULL && read_fields(root, &ask, error)
                              ? carry_out(control, &ask)
                              : begin_answer(ask.id, error);
    say(connection, answer);
    json_object_put(answer);
    json_object_put(root);
}

/* ── connections ── */

/* Lines that are there, as long as answers are taken. */
static void serve(struct fleet_control *control, struct connection *connection)
{
    while (connection->fd >= 0 && connection->out == NULL && !connection->is_leaving) {
        char *end = memchr(connection->in, '\n', connection->in_bytes);
        size_t bytes = end != NULL ? (size_t)(end - connection->in) : connection->in_bytes;
        if (bytes > LINE_BYTES_MAX) {
            json_object *answer = begin_answer(NULL, "line: is longer than 4,096 bytes");
            say(connection, answer);
            json_object_put(answer);
            connection->is_leaving = true;
        } else if (end == NULL && (!connection->has_ended || bytes == 0)) {
            break;
        } else {
            serve_line(control, connection, connection->in, bytes);
            size_t taken = bytes + (end != NULL);
            connection->in_bytes -= taken;
            memmove(connection->in, connection->in + taken, connection->in_bytes);
        }
        flush(connection);
    }
    if (connection->fd >= 0 && connection->out == NULL && connection->has_ended) {
        disconnect(connection);
    } else if (connection->fd >= 0 && connection->out == NULL && connection->is_leaving) {
        (void)shutdown(connection->fd, SHUT_WR); /* closed with bytes unread, its answer is lost */
    }
}

static void hear(struct fleet_control *control, struct connection *connection)
{
    if (connection->is_leaving) {
        connection->in_bytes = 0; /* nobody reads it */
    }
    ssize_t bytes = recv(connection->fd, connection->in + connection->in_bytes,
                         sizeof(connection->in) - connection->in_bytes, MSG_DONTWAIT);

    if (bytes > 0) {
        connection->in_bytes += (size_t)bytes;
    } else if (bytes == 0) {
        connection->has_ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        disconnect(connection);
        return;
    }
    serve(control, connection);
}

static void greet(struct fleet_control *control)
{
    int fd = accept4(control->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    static const char full[] =
        "{\"id\":null,\"ok\":false,\"error\":\"16 connections are open already; close one\"}\n";

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) { /* it would be asked again at once */
            nanosleep(&(struct timespec){.tv_nsec = NO_DESCRIPTOR_NS}, NULL);
        }
        return;
    }
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (control->connections[i].fd < 0) {
            control->connections[i].fd = fd;
            return;
        }
    }
    (void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void attend(struct fleet_control *control, struct connection *connection, short events)
{
    if ((events & POLLOUT) != 0) {
        flush(connection);
        serve(control, connection);
    } else if ((events & POLLIN) != 0) {
        hear(control, connection);
    } else if ((events & (POLLERR | POLLHUP)) != 0) {
        disconnect(connection);
    }
    bool is_awaited = connection->out != NULL || connection->is_leaving;
    if (connection->fd >= 0 && is_awaited && clock_ms() - connection->said_ms > STALLED_MS) {
        disconnect(connection);
    }
}

/* False: the end was rung in. */
static bool turn(struct fleet_control *control)
{
    struct pollfd entries[POLL_COUNT] = {
        [POLL_BELL] = {.fd = control->bell, .events = POLLIN},
        [POLL_LISTENER] = {.fd = control->socket.fd, .events = POLLIN},
    };

    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *connection = &control->connections[i];
        entries[POLL_FIRST + i] = (struct pollfd){
            .fd = connection->fd, .events = connection->out != NULL ? POLLOUT : POLLIN};
    }
    (void)poll(entries, POLL_COUNT, 1000);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (control->connections[i].fd >= 0) {
            attend(control, &control->connections[i], entries[POLL_FIRST + i].revents);
        }
    }
    if ((entries[POLL_LISTENER].revents & POLLIN) != 0) {
        greet(control);
    }
    return (entries[POLL_BELL].revents & POLLIN) == 0;
}

static bool has_answers(const struct fleet_control *control)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (control->connections[i].fd >= 0 && control->connections[i].out != NULL) {
            return true;
        }
    }
    return false;
}

static void *run(void *user)
{
    struct fleet_control *control = user;

    pthread_setname_np(pthread_self(), "fmx-control");
    while (turn(control)) {
    }
    uint64_t ends_ms = clock_ms() + LAST_WORDS_MS;
    while (has_answers(control) && clock_ms() < ends_ms) {
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            flush(&control->connections[i]);
        }
    }
    return NULL;
}

/* ── from open to close ── */

static void release(struct fleet_control *control)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (control->connections[i].fd >= 0) {
            disconnect(&control->connections[i]);
        }
    }
    control_unlisten(&control->socket);
    if (control->bell >= 0) {
        close(control->bell);
    }
    free(control);
}

struct fleet_control *fleet_control_open(struct fleet_serving *serving, const char *path,
                                         char *error)
{
    struct fleet_control *control = calloc(1, sizeof(*control));

    if (control == NULL) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "control: memory ran out");
        return NULL;
    }
    control->serving = serving;
    control->socket.fd = -1;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        control->connections[i].fd = -1;
    }
    control->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->bell < 0) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "control: %s", strerror(errno));
    } else if (control_listen(path, &control->socket, error)) {
        int status = pthread_create(&control->thread, NULL, run, control);
        if (status == 0) {
            return control;
        }
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "control: %s", strerror(status));
    }
    release(control);
    return NULL;
}

void fleet_control_close(struct fleet_control *control)
{
    uint64_t one = 1;

    if (control != NULL) {
        (void)!write(control->bell, &one, sizeof(one));
        pthread_join(control->thread, NULL);
        release(control);
    }
}
