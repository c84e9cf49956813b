/*
 * fleet_serving.h — what the ways into a running fleet share: what there is to tell, and wishes
 */
#ifndef FMX_TOOLS_FLEET_SERVING_H
#define FMX_TOOLS_FLEET_SERVING_H

#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/fleet_view.h"

#define FLEET_SERVING_ERROR_BYTES 512 /* = FLAG_ERROR_BYTES, and of control_listen */

/* What became of a wish. */
enum fleet_serving_answer {
    FLEET_SERVING_TAKEN,
    FLEET_SERVING_BAD,    /* it is no wish, or its value is not good */
    FLEET_SERVING_FULL,   /* too many wait */
    FLEET_SERVING_CANNOT, /* not now, and not later: the run ends, or a search has the rate */
};

/* ── fleet_serving.c, any thread ── */

/*
 * Makes a wish: FLEET_SERVING_TAKEN, and it will be granted within 100 ms; else `error`, of
 * FLEET_SERVING_ERROR_BYTES, says why not.
 */
enum fleet_serving_answer fleet_serving_wish(struct fleet_serving *serving, struct fleet_wish wish,
                                             char *error);

/* Metrics as text, to be freed. NULL: no memory. */
char *fleet_serving_text(struct fleet_serving *serving, size_t *out_bytes);

/* Adds the run's state to a JSON object. */
struct json_object;
void fleet_serving_tell(struct fleet_serving *serving, struct json_object *object);

/* ── fleet_wish.c ── */

/* "rate", "pause", "resume", "storm", "stop", and what stands behind it; value NULL: nothing. */
bool fleet_wish_read(const char *verb, const char *value, struct fleet_wish *out_wish, char *error);

/* The same with a number: a factor, or a share. */
bool fleet_wish_make(const char *verb, double value, struct fleet_wish *out_wish, char *error);

/* "rate 2 is in force within 100 ms": what was taken. */
void fleet_wish_words(struct fleet_wish wish, char *out_words, size_t words_bytes);

/* Is there such a verb? Else `error` names the nearest. */
bool fleet_wish_is_verb(const char *verb, char *error);

/* ── fleet_http.c ── */

struct fleet_http;

/* Is it "[IP:]PORT"? Else `error` says what to write. */
bool fleet_http_check(const char *address, char *error);
struct fleet_http *fleet_http_open(struct fleet_serving *serving, const char *address, char *error);
void fleet_http_close(struct fleet_http *http);

/* ── fleet_control.c ── */

struct fleet_control;
struct fleet_control *fleet_control_open(struct fleet_serving *serving, const char *path,
                                         char *error);
void fleet_control_close(struct fleet_control *control);

#endif
