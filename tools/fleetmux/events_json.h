/*
 * events_json.h — what happens at a gateway as lines of JSON
 *
 * Each function writes one whole line with its end to `out_line` and returns its bytes, or 0 if
 * `room` is too small: nothing is promised of out_line then. Nothing allocates.
 */
#ifndef FMX_TOOLS_EVENTS_JSON_H
#define FMX_TOOLS_EVENTS_JSON_H

#include <fleetmux/gateway.h>

/* A client has come. `now_ms`, here and below: UNIX time. */
size_t events_json_online(const struct fmx_gateway_session *session, uint64_t now_ms,
                          char *out_line, size_t room);

/* A client has gone. */
size_t events_json_offline(const struct fmx_gateway_end *end, uint64_t now_ms, char *out_line,
                           size_t room);

/* A client has sent a message. */
size_t events_json_message(const struct fmx_gateway_message *message, uint64_t now_ms,
                           char *out_line, size_t room);

/* `count` lines were dropped where this one stands. */
size_t events_json_dropped(uint64_t count, char *out_line, size_t room);

/* What was agreed on a connection: an object, which a line may hold, without a line's end. */
size_t events_json_tls(const struct fmx_tls_facts *facts, char *out_text, size_t room);
size_t events_json_tls_room(const struct fmx_tls_facts *facts); /* is always enough */

/* True if the bytes are well-formed UTF-8, so that a JSON text can hold them. */
bool events_json_is_text(fmx_slice bytes);

#endif
