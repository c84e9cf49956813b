/*
 * fleet_http — metrics and control over HTTP
 *
 * Why it is so:   what a scraper sends and how long it takes are its own affair: a kept library
 *                 reads HTTP, on a thread of its own, with bounds. It waits by epoll, since a fleet
 *                 has more descriptors than select can number. Whoever reaches the address may
 *                 steer, so it is 127.0.0.1 unless one is named; and a web page that a browser on
 *                 this machine has open must not: what says Origin is refused
 * Memory:         a request has its body; an answer its own copy of the text
 * Threads:        the library's one; open and close: the thread that watches the run
 * Limits:         CONNECTIONS_MAX at a time, TIMEOUT_S of silence each, BODY_BYTES_MAX of a body
 * Not here:       what is told: fleet_metrics.c; what is granted: fleet_watch.c
 */
#include "tools/fleetmux/fleet_serving.h"

#include <json-c/json.h>
#include <microhttpd.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX   64
#define TIMEOUT_S         10
#define BODY_BYTES_MAX    1024
#define REQUEST_BYTES_MAX 16384 /* its line and headers */
#define BACKLOG           64
#define ADDRESS_BYTES     64

#define TEXT         "text/plain; charset=utf-8"
#define METRICS_TEXT "text/plain; version=0.0.4; charset=utf-8"

struct fleet_http {
    struct MHD_Daemon *daemon;
    struct fleet_serving *serving;
};

struct request {
    char body[BODY_BYTES_MAX + 1];
    size_t used;
};

static const char help[] =
    "fleetmux fleet: a run of many MQTT clients\n\n"
    "GET  /metrics            Prometheus text\n"
    "GET  /status             the run in short, as JSON\n"
    "POST /rate?value=2       publish at twice the planned rate; 50% is half\n"
    "POST /pause              nothing more is planned, neither connect nor "
    "message\n"
    "POST /resume             it goes on\n"
    "POST /storm?value=10%25  a tenth of the open clients leaves at once\n\n"
    "A value may stand in the body instead: curl -d 10% .../storm\n";

/* ── answers ── */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              const char *allow, void *text, size_t bytes)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_COPY);

    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", type);
    if (result == MHD_YES) {
        result = MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    if (result == MHD_YES && allow != NULL) {
        result = MHD_add_response_header(response, "Allow", allow);
    }
    if (result == MHD_YES) {
        result = MHD_queue_response(connection, status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/* One line of words. */
static enum MHD_Result say(struct MHD_Connection *connection, unsigned status, const char *words)
{
    char line[FLEET_SERVING_ERROR_BYTES + 32];
    int bytes = snprintf(line, sizeof(line), "%s\n", words);

    return answer(connection, status, TEXT, NULL, line, (size_t)bytes);
}

static enum MHD_Result say_method(struct MHD_Connection *connection, const char *allow)
{
    char line[64];
    int bytes = snprintf(line, sizeof(line), "use %s here\n", allow);

    return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, TEXT, allow, line, (size_t)bytes);
}

static enum MHD_Result give_metrics(struct fleet_http *http, struct MHD_Connection *connection)
{
    size_t bytes = 0;
    char *text = fleet_serving_text(http->serving, &bytes);

    if (text == NULL) {
        return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory");
    }
    enum MHD_Result result = answer(connection, MHD_HTTP_OK, METRICS_TEXT, NULL, text, bytes);
    free(text);
    return result;
}

static enum MHD_Result give_status(struct fleet_http *http, struct MHD_Connection *connection)
{
    json_object *object = json_object_new_object();

    fleet_serving_tell(http->serving, object);
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    char *line = NULL;
    int bytes = asprintf(&line, "%s\n", text);
    json_object_put(object);
    if (bytes < 0) {
        return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory");
    }
    enum MHD_Result result =
        answer(connection, MHD_HTTP_OK, "application/json", NULL, line, (size_t)bytes);
    free(line);
    return result;
}

/* ── wishes ── */

/* "value=10%25" of a form, or the value itself, without blanks around it; NULL: nothing. */
static char *value_of_body(struct request *request)
{
    char *text = request->body;

    text += strspn(text, " \t\r\n");
    for (size_t bytes = strlen(text); bytes > 0 && strchr(" \t\r\n", text[bytes - 1]) != NULL;) {
        text[--bytes] = '\0';
    }
    if (strncmp(text, "value=", 6) == 0) {
        text += 6;
        (void)MHD_http_unescape(text);
    }
    return text[0] != '\0' ? text : NULL;
}

static unsigned status_of(enum fleet_serving_answer answer)
{
    switch (answer) {
    case FLEET_SERVING_TAKEN:
        return MHD_HTTP_ACCEPTED;
    case FLEET_SERVING_FULL:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    case FLEET_SERVING_CANNOT:
        return MHD_HTTP_CONFLICT;
    default:
        return MHD_HTTP_BAD_REQUEST;
    }
}

static enum MHD_Result take_wish(struct fleet_http *http, struct MHD_Connection *connection,
                                 const char *verb, struct request *request)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "value");
    bool is_text = strlen(request->body) == request->used;
    char *body = value_of_body(request);
    char words[FLEET_SERVING_ERROR_BYTES], what[64];
    struct fleet_wish wish;

    if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin") != NULL) {
        return say(connection, MHD_HTTP_FORBIDDEN, "web pages do not steer a run");
    }
    if (!is_text) {
        return say(connection, MHD_HTTP_BAD_REQUEST, "the body is no text");
    }
    if (value != NULL && body != NULL) {
        return say(connection, MHD_HTTP_BAD_REQUEST,
                   "the value stands in the query and in the body; leave one out");
    }
    if (!fleet_wish_read(verb, value != NULL ? value : body, &wish, words)) {
        return say(connection, MHD_HTTP_BAD_REQUEST, words);
    }
    enum fleet_serving_answer taken = fleet_serving_wish(http->serving, wish, words);
    if (taken == FLEET_SERVING_TAKEN) {
        fleet_wish_words(wish, what, sizeof(what));
        snprintf(words, sizeof(words), "%s: in force within 100 ms", what);
    }
    return say(connection, status_of(taken), words);
}

/* ── requests ── */

static bool is_steering(const char *path)
{
    static const char *const paths[] = {"/rate", "/pause", "/resume", "/storm"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (strcmp(paths[i], path) == 0) {
            return true;
        }
    }
    return false;
}

static enum MHD_Result respond(struct fleet_http *http, struct MHD_Connection *connection,
                               const char *path, const char *method, struct request *request)
{
    bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool is_metrics = strcmp(path, "/metrics") == 0, is_status = strcmp(path, "/status") == 0;

    if (is_steering(path)) {
        return strcmp(method, "POST") == 0 ? take_wish(http, connection, path + 1, request)
                                           : say_method(connection, "POST");
    }
    if (!is_metrics && !is_status && strcmp(path, "/") != 0) {
        return say(connection, MHD_HTTP_NOT_FOUND, "there is nothing here; GET / lists what is");
    }
    if (!is_read) {
        return say_method(connection, "GET, HEAD");
    }
    if (is_metrics) {
        return give_metrics(http, connection);
    }
    return is_status ? give_status(http, connection)
                     : answer(connection, MHD_HTTP_OK, TEXT, NULL, (void *)(uintptr_t)help,
                              sizeof(help) - 1);
}

static bool is_too_long(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

    return length != NULL && strtoull(length, NULL, 10) > BODY_BYTES_MAX;
}

/* Called first with the headers, then for each part of the body, then once more. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **own)
{
    struct request *request = *own;

    (void)version;
    if (request == NULL) {
        *own = request = calloc(1, sizeof(*request));
        if (request != NULL && is_too_long(connection)) {
            return say(connection, MHD_HTTP_CONTENT_TOO_LARGE,
                       "the body is longer than 1,024 bytes");
        }
        return request != NULL ? MHD_YES : MHD_NO;
    }
    if (*upload_bytes > 0) {
        if (*upload_bytes > BODY_BYTES_MAX - request->used) {
            return MHD_NO; /* did not say how long it would be: the connection is closed */
        }
        memcpy(request->body + request->used, upload, *upload_bytes);
        request->used += *upload_bytes;
        *upload_bytes = 0;
        return MHD_YES;
    }
    return respond(user, connection, path, method, request);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **own,
                         enum MHD_RequestTerminationCode code)
{
    (void)user;
    (void)connection;
    (void)code;
    free(*own);
    *own = NULL;
}

/* ── the address ── */

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static bool refuse_address(const char *text, char *error)
{
    snprintf(error, FLEET_SERVING_ERROR_BYTES,
             "'%.100s' is no address; write a port, or IP:PORT, as in 9464, 0.0.0.0:9464 or "
             "[::1]:9464",
             text);
    return false;
}

static bool read_port(const char *text, uint16_t *out_port)
{
    char *end = NULL;

    if (text[0] < '0' || text[0] > '9' || strlen(text) > 5) {
        return false;
    }
    unsigned long port = strtoul(text, &end, 10);
    *out_port = (uint16_t)port;
    return *end == '\0' && port <= UINT16_MAX;
}

static bool read_address(const char *text, union address *out_address, char *error)
{
    const char *colon = strrchr(text, ':');
    char host[ADDRESS_BYTES] = "127.0.0.1";
    uint16_t port = 0;
    size_t bytes = colon != NULL ? (size_t)(colon - text) : 0;

    if (!read_port(colon != NULL ? colon + 1 : text, &port) || bytes >= sizeof(host)) {
        return refuse_address(text, error);
    }
    if (bytes > 0 && strncmp(text, "localhost:", bytes + 1) != 0) {
        memcpy(host, text, bytes);
        host[bytes] = '\0';
    }
    *out_address = (union address){.any = {0}};
    if (inet_pton(AF_INET, host, &out_address->four.sin_addr) == 1) {
        out_address->four.sin_family = AF_INET;
        out_address->four.sin_port = htons(port);
        return true;
    }
    if (host[0] != '[' || host[bytes - 1] != ']') {
        return refuse_address(text, error);
    }
    host[bytes - 1] = '\0';
    out_address->six.sin6_family = AF_INET6;
    out_address->six.sin6_port = htons(port);
    return inet_pton(AF_INET6, host + 1, &out_address->six.sin6_addr) == 1 ||
           refuse_address(text, error);
}

bool fleet_http_check(const char *address, char *error)
{
    union address read;

    return read_address(address, &read, error);
}

static bool is_loopback(const union address *address)
{
    return address->any.sa_family == AF_INET ? ntohl(address->four.sin_addr.s_addr) >> 24 == 127
                                             : IN6_IS_ADDR_LOOPBACK(&address->six.sin6_addr) != 0;
}

/* A listening socket; −1: errno. Fills in the port that was picked. */
static int listen_at(union address *address)
{
    bool is_six = address->any.sa_family == AF_INET6;
    socklen_t bytes = is_six ? sizeof(address->six) : sizeof(address->four);
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, &address->any, bytes) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, &address->any, &bytes) == 0) {
        return fd;
    }
    if (fd >= 0) {
        int why = errno;
        close(fd);
        errno = why;
    }
    return -1;
}

static void announce(const union address *address)
{
    char host[ADDRESS_BYTES] = "?";
    bool is_six = address->any.sa_family == AF_INET6;

    (void)inet_ntop(address->any.sa_family,
                    is_six ? (const void *)&address->six.sin6_addr
                           : (const void *)&address->four.sin_addr,
                    host, sizeof(host));
    fprintf(stderr, "metrics at http://%s%s%s:%u/metrics%s\n", is_six ? "[" : "", host,
            is_six ? "]" : "", ntohs(is_six ? address->six.sin6_port : address->four.sin_port),
            is_loopback(address) ? "" : "; whoever reaches this address can steer the run");
}

/* ── from open to close ── */

static void be_quiet(void *user, const char *format, va_list arguments)
{
    (void)user;
    (void)format;
    (void)arguments;
}

static struct MHD_Daemon *start(struct fleet_http *http, int fd)
{
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0,
                            NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, be_quiet,
                            NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)REQUEST_BYTES_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
}

struct fleet_http *fleet_http_open(struct fleet_serving *serving, const char *address, char *error)
{
    struct fleet_http *http = calloc(1, sizeof(*http));
    union address at;

    if (http == NULL || !read_address(address, &at, error)) {
        free(http);
        return NULL;
    }
    http->serving = serving;
    int fd = listen_at(&at);
    if (fd < 0) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "metrics at '%.100s': %s", address,
                 strerror(errno));
        free(http);
        return NULL;
    }
    http->daemon = start(http, fd); /* the socket is its own now */
    if (http->daemon == NULL) {
        snprintf(error, FLEET_SERVING_ERROR_BYTES, "metrics at '%.100s': no thread or no memory",
                 address);
        close(fd);
        free(http);
        return NULL;
    }
    announce(&at);
    return http;
}

void fleet_http_close(struct fleet_http *http)
{
    if (http != NULL) {
        MHD_stop_daemon(http->daemon);
        free(http);
    }
}
