/*
 * ctl_client — one question to a gateway or a fleet and its answer
 *
 * Threads:        one
 * Limits:         answers up to ANSWER_BYTES_MAX
 * Not here:       where the socket lies: control_socket.c; the other end: control.c
 */
#include "tools/fleetmux/control.h"
#include "tools/fleetmux/ctl.h"

#include <json-c/json.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (64U << 20)
#define FIRST_BYTES      65536U

bool ctl_client_open(struct ctl_client *client, const char *path, const char *peer, char *error)
{
    *client = (struct ctl_client){.fd = control_connect(path, peer, error), .peer = peer};
    return client->fd >= 0;
}

void ctl_client_close(struct ctl_client *client)
{
    close(client->fd);
    free(client->text);
}

/* What cannot be sent may have an answer nevertheless: why it is not taken. */
static void send_all(const struct ctl_client *client, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = send(client->fd, text, bytes, MSG_NOSIGNAL);
        if (sent > 0) {
            text += sent;
            bytes -= (size_t)sent;
        } else if (errno != EINTR) {
            return;
        }
    }
}

static bool make_room(struct ctl_client *client, size_t used)
{
    size_t room = client->room == 0 ? FIRST_BYTES : 2 * client->room;
    char *text = NULL;

    if (used < client->room) {
        return true;
    }
    text = room <= ANSWER_BYTES_MAX ? realloc(client->text, room) : NULL;
    if (text != NULL) {
        client->text = text;
        client->room = room;
    }
    return text != NULL;
}

/* One line; its bytes without the end, 0 if there is none. */
static size_t receive_line(struct ctl_client *client)
{
    size_t used = 0;

    while (make_room(client, used)) {
        ssize_t bytes = recv(client->fd, client->text + used, client->room - used, 0);
        if (bytes > 0) {
            used += (size_t)bytes;
            if (client->text[used - 1] == '\n') { /* one question is asked at a time */
                return used - 1;
            }
        } else if (bytes == 0 || errno != EINTR) {
            break;
        }
    }
    return 0;
}

json_object *ctl_client_ask(struct ctl_client *client, json_object *ask, char *error)
{
    size_t bytes = 0;
    const char *text = json_object_to_json_string_length(
        ask, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &bytes);
    json_object *answer = NULL;

    if (bytes > CONTROL_LINE_BYTES_MAX) {
        snprintf(error, FLAG_ERROR_BYTES, "the request has %zu bytes; at most %u are taken", bytes,
                 CONTROL_LINE_BYTES_MAX);
        return NULL;
    }
    send_all(client, text, bytes);
    send_all(client, "\n", 1);
    bytes = receive_line(client);
    if (bytes > 0) {
        client->text[bytes] = '\0';
        answer = json_tokener_parse(client->text);
    }
    if (answer == NULL) {
        snprintf(error, FLAG_ERROR_BYTES, "the %s ended before it had answered", client->peer);
    }
    return answer;
}
