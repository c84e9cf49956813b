/*
 * control_requests.h — carrying out what came over the control socket
 */
#ifndef FMX_TOOLS_CONTROL_REQUESTS_H
#define FMX_TOOLS_CONTROL_REQUESTS_H

#include "tools/fleetmux/control.h"
#include "tools/fleetmux/control_ask.h"

struct control_request;

/* Where requests are carried out: on one thread, with its caller handle. */
struct control_site {
    const struct control_setup *setup;
    struct fmx_gateway_caller *caller;
    uint64_t started_ms; /* UNIX time */
    /* Called once for each request that was begun, on any thread; must not block. */
    void (*completed)(struct control_site *site, struct control_request *request);
};

/* Sessions of one page, in one block with their facts of TLS and their texts behind them. */
struct control_page {
    uint64_t next;
    size_t count;
    struct fmx_gateway_session sessions[];
};

/* One request, from its line to its answer. */
struct control_request {
    struct control_site *site;
    struct control_request *next; /* the site's */
    unsigned slot;                /* the connection that asked: the server's */
    uint64_t generation;
    enum control_verb verb;
    struct json_object *id;
    bool is_short_of_memory;
    bool is_addressed; /* publish, kick: to a device by its name */
    /* what it came to, by verb */
    enum fmx_delivery delivery;
    bool was_there;
    struct fmx_gateway_state state;
    enum fmx_call_code code;
    uint64_t message_id;
    uint8_t *payload;
    size_t payload_bytes;
    struct control_page *page;
    struct fmx_limits_override limits;
};

/*
 * Makes a request of the ask and begins it; `completed` follows, perhaps before this returns. NULL:
 * nothing was begun, and `error`, of CONTROL_ERROR_BYTES, says why.
 */
struct control_request *control_request_begin(struct control_site *site, struct control_ask *ask,
                                              unsigned slot, uint64_t generation, char *error);

/* Adds what a completed request came to. False: `error`. The site's thread. */
bool control_request_answer(const struct control_request *request, struct json_object *answer,
                            char *error);

/* The site's thread. */
void control_request_free(struct control_request *request);

#endif
