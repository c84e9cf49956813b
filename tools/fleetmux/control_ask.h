/*
 * control_ask.h — one line of the control socket, read and checked
 *
 * The protocol is in docs/CONTROL.md.
 */
#ifndef FMX_TOOLS_CONTROL_ASK_H
#define FMX_TOOLS_CONTROL_ASK_H

#include <fleetmux/gateway.h>

#define CONTROL_LINE_BYTES_MAX  (512U << 10) /* of a request, without its end */
#define CONTROL_ERROR_BYTES     1024
#define CONTROL_TIMEOUT_MS      5000 /* of a call that names none */
#define CONTROL_TIMEOUT_MS_LAST 600000

enum control_verb {
    CONTROL_STATUS,
    CONTROL_STATS,
    CONTROL_DEVICES,
    CONTROL_QUERY,
    CONTROL_PUBLISH,
    CONTROL_BROADCAST,
    CONTROL_CALL,
    CONTROL_KICK,
    CONTROL_LIMITS,
    CONTROL_RELOAD,
    CONTROL_VERBS_COUNT
};

const char *control_verb_name(enum control_verb verb); /* "status", … */

struct json_object;

/* What was asked. Fields that the verb does not have, or that were left out, are zero. */
struct control_ask {
    enum control_verb verb;
    struct json_object *id; /* NULL: null, or none */
    fmx_slice product_key, device_name;
    struct fmx_gateway_publication publication; /* a call's and a broadcast's payload too */
    struct fmx_session_id session;
    uint64_t cursor;
    uint32_t timeout_ms;
    struct fmx_limits_override limits;
    struct json_object *root; /* texts live in here, */
    uint8_t *decoded;         /* and what stood in base64 in here */
};

/*
 * Reads a line without its end. False: `error`, of CONTROL_ERROR_BYTES, names the field. The ask is
 * to be wiped in either case, and has an id if one could be read.
 */
bool control_ask_read(const char *line, size_t bytes, struct control_ask *out_ask, char *error);

void control_ask_wipe(struct control_ask *ask);

#endif
