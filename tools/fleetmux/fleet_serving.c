/*
 * fleet_serving — between the thread that watches a run and those who ask from outside
 *
 * Why it is so:   HTTP and the Unix socket have a thread each, which may wait for slow peers; the
 *                 watching thread must not. So all that they see is a view, copied under a lock at
 *                 each look, and all that they want is a short queue of wishes, which that thread
 *                 takes one by one
 * Invariants:     (1) nobody holds the lock while he waits for a peer (2) a run that ends takes no
 *                 wishes, and forgets those that wait
 * Memory:         the view, and its text until the next look
 * Threads:        open, poll and close: the one that watches; else as fleet_serving.h says
 * Limits:         WISHES_MAX wishes wait; the text is made at most once a look
 * Not here:       HTTP: fleet_http.c, the socket: fleet_control.c
 */
#include "tools/fleetmux/fleet_serving.h"
#include "tools/fleetmux/control.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WISHES_MAX 16

struct fleet_serving {
    pthread_mutex_t mutex; /* over all but the last two */
    struct fleet_view *view;
    char *text; /* of the view; NULL: not made yet */
    size_t text_bytes;
    struct fleet_wish wishes[WISHES_MAX];
    size_t wishes_count;
    bool is_ending, has_rate_taken;
    struct fleet_http *http;       /* NULL: none */
    struct fleet_control *control; /* the same */
};

/* ── asked from outside ── */

static enum fleet_serving_answer refuse(enum fleet_serving_answer answer, const char *words,
                                        char *error)
{
    snprintf(error, FLEET_SERVING_ERROR_BYTES, "%s", words);
    return answer;
}

static enum fleet_serving_answer take(struct fleet_serving *serving, struct fleet_wish wish,
                                      char *error)
{
    if (serving->is_ending) {
        return refuse(FLEET_SERVING_CANNOT, "the run is ending", error);
    }
    if (wish.kind == FLEET_WISH_RATE && serving->has_rate_taken) {
        return refuse(FLEET_SERVING_CANNOT, "a search (--find-rate) sets the rate", error);
    }
    if (serving->wishes_count == WISHES_MAX) {
        return refuse(FLEET_SERVING_FULL, "too many wishes wait already; try again", error);
    }
    serving->wishes[serving->wishes_count++] = wish;
    return FLEET_SERVING_TAKEN;
}

enum fleet_serving_answer fleet_serving_wish(struct fleet_serving *serving, struct fleet_wish wish,
                                             char *error)
{
    pthread_mutex_lock(&serving->mutex);
    enum fleet_serving_answer answer = take(serving, wish, error);
    pthread_mutex_unlock(&serving->mutex);
    return answer;
}

static void make_text(struct fleet_serving *serving)
{
    FILE *out = open_memstream(&serving->text, &serving->text_bytes);

    if (out == NULL) {
        return;
    }
    fleet_metrics_print(serving->view, out);
    bool is_whole = !ferror(out);
    if (fclose(out) != 0 || !is_whole) {
        free(serving->text);
        serving->text = NULL;
    }
}

char *fleet_serving_text(struct fleet_serving *serving, size_t *out_bytes)
{
    char *copy = NULL;

    pthread_mutex_lock(&serving->mutex);
    if (serving->text == NULL) {
        make_text(serving);
    }
    if (serving->text != NULL) {
        *out_bytes = serving->text_bytes;
        copy = malloc(serving->text_bytes);
    }
    if (copy != NULL) {
        memcpy(copy, serving->text, serving->text_bytes);
    }
    pthread_mutex_unlock(&serving->mutex);
    return copy;
}

void fleet_serving_tell(struct fleet_serving *serving, struct json_object *object)
{
    pthread_mutex_lock(&serving->mutex);
    fleet_status_add(serving->view, object);
    pthread_mutex_unlock(&serving->mutex);
}

/* ── the watching thread ── */

struct fleet_wish fleet_serving_poll(struct fleet_serving *serving, const struct result *result)
{
    struct fleet_wish wish = {.kind = FLEET_WISH_NONE};

    pthread_mutex_lock(&serving->mutex);
    (void)fleet_view_copy(serving->view, result);
    free(serving->text);
    serving->text = NULL;
    serving->is_ending = result->is_draining || result->is_finished;
    if (serving->is_ending) {
        serving->wishes_count = 0;
    }
    if (serving->wishes_count > 0) {
        wish = serving->wishes[0];
        serving->wishes_count--;
        memmove(serving->wishes, serving->wishes + 1, serving->wishes_count * sizeof(wish));
    }
    pthread_mutex_unlock(&serving->mutex);
    return wish;
}

void fleet_serving_keep_rate(struct fleet_serving *serving)
{
    pthread_mutex_lock(&serving->mutex);
    serving->has_rate_taken = true;
    pthread_mutex_unlock(&serving->mutex);
}

bool fleet_serving_check(const char *metrics, const char *control, char *error, size_t error_bytes)
{
    char words[FLEET_SERVING_ERROR_BYTES];

    if (metrics != NULL && !fleet_http_check(metrics, words)) {
        snprintf(error, error_bytes, "option '--metrics': %.*s", 440, words);
        return false;
    }
    if (control != NULL && strlen(control) >= CONTROL_PATH_BYTES) {
        snprintf(error, error_bytes, "option '--control': '%.200s' is longer than %d bytes",
                 control, CONTROL_PATH_BYTES - 1);
        return false;
    }
    return true;
}

/* In this order: a socket's mode is made by umask, which no other thread should see. */
static bool open_ways(struct fleet_serving *serving, const char *metrics, const char *control,
                      char *error)
{
    if (control != NULL) {
        serving->control = fleet_control_open(serving, control, error);
    }
    if (metrics != NULL && (control == NULL || serving->control != NULL)) {
        serving->http = fleet_http_open(serving, metrics, error);
    }
    return (control == NULL || serving->control != NULL) &&
           (metrics == NULL || serving->http != NULL);
}

struct fleet_serving *fleet_serving_open(const char *metrics, const char *control,
                                         const struct result *result, char *error,
                                         size_t error_bytes)
{
    struct fleet_serving *serving = calloc(1, sizeof(*serving));
    char words[FLEET_SERVING_ERROR_BYTES] = "no memory";

    if (serving != NULL) {
        pthread_mutex_init(&serving->mutex, NULL);
        serving->view = fleet_view_open();
        if (serving->view != NULL) {
            (void)fleet_view_copy(serving->view, result);
            if (open_ways(serving, metrics, control, words)) {
                return serving;
            }
        }
    }
    fleet_serving_close(serving);
    snprintf(error, error_bytes, "%s", words);
    return NULL;
}

void fleet_serving_close(struct fleet_serving *serving)
{
    if (serving == NULL) {
        return;
    }
    fleet_http_close(serving->http);
    fleet_control_close(serving->control);
    fleet_view_close(serving->view);
    pthread_mutex_destroy(&serving->mutex);
    free(serving->text);
    free(serving);
}
