/*
 * control_requests — does what was asked over the control socket and words the answer
 *
 * Why it is so:   answers come on the shards, which may not wait. There, a completion copies what
 *                 it was given and hands the request back; JSON is made on the site's own thread.
 *                 What needs no shard completes at once, by the same way.
 * Words:          site: the gateway as the control socket's thread sees it
 * Memory:         a request owns its id, its payload and its page
 * Threads:        the site's; completions on shards
 * Not here:       how a line is read: control_ask.c; who asks: control.c
 */
#include "tools/fleetmux/control_requests.h"

#include "tools/fleetmux/base64.h"
#include "tools/fleetmux/events_json.h"

#include <fleetmux/fleetmux.h>
#include <fleetmux/registry.h>

#include <json-c/json.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Completions, on shards ---------------------------------------------------------------------- */

static void complete(struct control_request *request)
{
    request->site->completed(request->site, request);
}

static void on_delivered(void *user, enum fmx_delivery delivery)
{
    struct control_request *request = user;

    request->delivery = delivery;
    complete(request);
}

static void on_answered(void *user, const struct fmx_gateway_answer *answer)
{
    struct control_request *request = user;

    request->code = answer->code;
    request->message_id = answer->message_id;
    if (answer->payload.bytes > 0) {
        request->payload = malloc(answer->payload.bytes);
        request->is_short_of_memory = request->payload == NULL;
    }
    if (request->payload != NULL) {
        memcpy(request->payload, answer->payload.data, answer->payload.bytes);
        request->payload_bytes = answer->payload.bytes;
    }
    complete(request);
}

static void on_kicked(void *user, bool was_there)
{
    struct control_request *request = user;

    request->was_there = was_there;
    complete(request);
}

static void on_state(void *user, const struct fmx_gateway_state *state)
{
    struct control_request *request = user;

    request->state = *state;
    complete(request);
}

/* The texts of a session and of its facts of TLS that are kept. */
#define TEXTS_COUNT     5
#define TLS_TEXTS_COUNT 5
static void list_texts(struct fmx_gateway_session *session, fmx_slice *out_texts[TEXTS_COUNT])
{
    out_texts[0] = &session->client_id;
    out_texts[1] = &session->username;
    out_texts[2] = &session->product_key;
    out_texts[3] = &session->device_name;
    out_texts[4] = &session->address;
}

static void list_tls_texts(struct fmx_tls_facts *facts, fmx_slice *out_texts[TLS_TEXTS_COUNT])
{
    out_texts[0] = &facts->server_name;
    out_texts[1] = &facts->alpn;
    out_texts[2] = &facts->psk_identity;
    out_texts[3] = &facts->cert_name;
    out_texts[4] = &facts->cert_organization;
}

static size_t sum_texts(fmx_slice *const *texts, size_t count)
{
    size_t bytes = 0;

    for (size_t index = 0; index < count; index++) {
        bytes += texts[index]->bytes;
    }
    return bytes;
}

/* Copies texts to `at` and makes them point there; returns what is behind. */
static uint8_t *move_texts(uint8_t *at, fmx_slice *const *texts, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        if (texts[index]->bytes > 0) {
            memcpy(at, texts[index]->data, texts[index]->bytes);
        }
        texts[index]->data = at;
        at += texts[index]->bytes;
    }
    return at;
}

/* Bytes of a page; also how many of the sessions have facts of TLS. */
static size_t measure_page(const struct fmx_gateway_session *sessions, size_t count,
                           size_t *out_tls_count)
{
    size_t bytes = sizeof(struct control_page) + count * sizeof(*sessions);
    fmx_slice *texts[TEXTS_COUNT], *tls_texts[TLS_TEXTS_COUNT];

    *out_tls_count = 0;
    for (size_t index = 0; index < count; index++) {
        struct fmx_gateway_session session = sessions[index];
        list_texts(&session, texts);
        bytes += sum_texts(texts, TEXTS_COUNT);
        if (session.tls != NULL) {
            struct fmx_tls_facts facts = *session.tls;
            list_tls_texts(&facts, tls_texts);
            bytes += sizeof(facts) + sum_texts(tls_texts, TLS_TEXTS_COUNT);
            *out_tls_count += 1;
        }
    }
    return bytes;
}

static struct control_page *copy_page(const struct fmx_gateway_session *sessions, size_t count)
{
    size_t tls_count = 0;
    fmx_slice *texts[TEXTS_COUNT], *tls_texts[TLS_TEXTS_COUNT];
    struct control_page *page = malloc(measure_page(sessions, count, &tls_count));

    if (page == NULL) {
        return NULL;
    }
    page->count = count;
    struct fmx_tls_facts *facts = (struct fmx_tls_facts *)(page->sessions + count);
    uint8_t *at = (uint8_t *)(facts + tls_count);
    for (size_t index = 0; index < count; index++) {
        struct fmx_gateway_session *session = &page->sessions[index];
        *session = sessions[index];
        list_texts(session, texts);
        at = move_texts(at, texts, TEXTS_COUNT);
        if (session->tls != NULL) {
            *facts = *session->tls;
            list_tls_texts(facts, tls_texts);
            at = move_texts(at, tls_texts, TLS_TEXTS_COUNT);
            session->tls = facts++;
        }
    }
    return page;
}

static void on_page(void *user, const struct fmx_gateway_session *sessions, size_t count,
                    uint64_t next_cursor)
{
    struct control_request *request = user;

    request->page = copy_page(sessions, count);
    request->is_short_of_memory = request->page == NULL;
    if (request->page != NULL) {
        request->page->next = next_cursor;
    }
    complete(request);
}

/* Beginning ----------------------------------------------------------------------------------- */

static bool is_platform(const struct control_site *site)
{
    return site->setup->options->profile == FMX_PROFILE_PLATFORM;
}

static enum fmx_status begin_publish(struct control_request *request, const struct control_ask *ask)
{
    request->is_addressed = ask->device_name.bytes > 0;
    return request->is_addressed
               ? fmx_gateway_publish_to(request->site->caller, ask->product_key, ask->device_name,
                                        &ask->publication, on_delivered, request)
               : fmx_gateway_publish(request->site->caller, &ask->publication);
}

static enum fmx_status begin_call(struct control_request *request, const struct control_ask *ask)
{
    struct fmx_gateway_request call = {
        .product_key = ask->product_key,
        .device_name = ask->device_name,
        .topic = ask->publication.topic,
        .payload = ask->publication.payload,
        .timeout_ms = ask->timeout_ms,
    };

    return fmx_gateway_call(request->site->caller, &call, on_answered, request);
}

static enum fmx_status begin_kick(struct control_request *request, const struct control_ask *ask)
{
    request->is_addressed = ask->device_name.bytes > 0;
    return request->is_addressed ? fmx_gateway_kick_device(request->site->caller, ask->product_key,
                                                           ask->device_name, on_kicked, request)
                                 : fmx_gateway_kick(request->site->caller, ask->session);
}

/* A product's limits as the registry has them, on top of the gateway's. */
static enum fmx_status read_product_limits(struct control_request *request, const char *product_key,
                                           char *error)
{
    const char *path = request->site->setup->options->registry;
    struct fmx_registry *registry = NULL;
    struct fmx_product product;
    enum fmx_status status = FMX_E_OPTION;

    if (path == NULL) {
        snprintf(error, CONTROL_ERROR_BYTES,
                 "field limits: is missing; without a registry a product's limits can only be set");
        return status;
    }
    status = fmx_registry_open(path, &registry, error, CONTROL_ERROR_BYTES);
    if (status != FMX_OK) {
        return status;
    }
    status = fmx_registry_product_find(registry, product_key, &product, error, CONTROL_ERROR_BYTES);
    if (status == FMX_OK) {
        request->limits = product.limits;
    } else if (status == FMX_E_STALE) {
        snprintf(error, CONTROL_ERROR_BYTES, "field productKey: there is no product '%.64s'",
                 product_key);
    }
    fmx_registry_close(registry);
    return status;
}

static enum fmx_status begin_limits(struct control_request *request, const struct control_ask *ask,
                                    char *error)
{
    const struct control_setup *setup = request->site->setup;
    bool is_product = ask->product_key.bytes > 0;
    enum fmx_status status = FMX_OK;

    request->limits = ask->limits;
    request->is_addressed = is_product;
    if (is_product && ask->limits.which == 0) {
        status = read_product_limits(request, (const char *)ask->product_key.data, error);
    } else if (is_product) {
        status = fmx_gateway_set_limits(request->site->caller, ask->product_key, &ask->limits,
                                        error, CONTROL_ERROR_BYTES);
    } else if (ask->limits.which != 0) {
        status = gateway_limits_set(setup->limits, request->site->caller, &ask->limits, error,
                                    CONTROL_ERROR_BYTES);
    }
    if (status == FMX_E_OPTION && strncmp(error, "field ", 6) != 0) {
        char words[CONTROL_ERROR_BYTES - 16];
        snprintf(words, sizeof(words), "%s", error);
        snprintf(error, CONTROL_ERROR_BYTES, "field limits: %s", words);
    }
    return status;
}

/* `out_is_done`: there is nothing to wait for. */
static enum fmx_status begin(struct control_request *request, const struct control_ask *ask,
                             bool *out_is_done, char *error)
{
    struct fmx_gateway_caller *caller = request->site->caller;
    enum fmx_status status = FMX_OK;

    *out_is_done = false;
    switch (ask->verb) {
    case CONTROL_DEVICES:
        return fmx_gateway_list(caller, ask->cursor, on_page, request);
    case CONTROL_QUERY:
        return fmx_gateway_query(caller, ask->product_key, ask->device_name, on_state, request);
    case CONTROL_CALL:
        return begin_call(request, ask);
    case CONTROL_PUBLISH:
        status = begin_publish(request, ask);
        break;
    case CONTROL_KICK:
        status = begin_kick(request, ask);
        break;
    case CONTROL_BROADCAST:
        status = fmx_gateway_broadcast(caller, ask->product_key, ask->publication.payload);
        break;
    case CONTROL_LIMITS:
        status = begin_limits(request, ask, error);
        break;
    case CONTROL_RELOAD:
        status = gateway_reload_files(request->site->setup->reload, error, CONTROL_ERROR_BYTES);
        break;
    case CONTROL_STATUS:
    case CONTROL_STATS:
    case CONTROL_VERBS_COUNT:
        break;
    }
    *out_is_done = ask->verb == CONTROL_LIMITS || !request->is_addressed;
    return status;
}

/* Words for a call that was refused, if the library gave none. */
static void word_refusal(enum control_verb verb, enum fmx_status status, char *error)
{
    const char *words = fmx_status_text(status);

    if (status == FMX_E_TOPIC) {
        words = "field topic: is malformed, or none that this may be published to";
    } else if (status == FMX_E_TOO_LARGE) {
        words = "field payload: is larger than MQTT can say";
    } else if (status == FMX_E_ARGUMENT && verb == CONTROL_CALL) {
        words = "field productKey, deviceName or timeoutMs: is out of range; timeoutMs is 1 to "
                "600000";
    } else if (status == FMX_E_ARGUMENT && verb == CONTROL_PUBLISH) {
        words = "field productKey, deviceName or properties: is out of range";
    } else if (status == FMX_E_ARGUMENT) {
        words = verb == CONTROL_KICK ? "field session, productKey or deviceName: is out of range"
                                     : "field productKey, deviceName or cursor: is out of range";
    }
    if (error[0] == '\0') {
        snprintf(error, CONTROL_ERROR_BYTES, "%s", words);
    }
}

/* False: this needs devices with names, and there are none. */
static bool check_profile(const struct control_site *site, const struct control_ask *ask,
                          char *error)
{
    bool is_named = ask->product_key.bytes > 0 || ask->device_name.bytes > 0;

    if (is_platform(site) || !is_named) {
        return true;
    }
    snprintf(error, CONTROL_ERROR_BYTES,
             "field productKey: has no meaning here; this gateway's profile is open, where there "
             "are no products");
    return false;
}

struct control_request *control_request_begin(struct control_site *site, struct control_ask *ask,
                                              unsigned slot, uint64_t generation, char *error)
{
    bool is_done = false;

    error[0] = '\0';
    if (!check_profile(site, ask, error)) {
        return NULL;
    }
    struct control_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        snprintf(error, CONTROL_ERROR_BYTES, "memory ran out");
        return NULL;
    }
    request->site = site;
    request->slot = slot;
    request->generation = generation;
    request->verb = ask->verb;
    request->id = json_object_get(ask->id);
    enum fmx_status status = begin(request, ask, &is_done, error);
    if (status != FMX_OK) {
        word_refusal(ask->verb, status, error);
        control_request_free(request);
        return NULL;
    }
    if (is_done) {
        complete(request);
    }
    return request;
}

void control_request_free(struct control_request *request)
{
    json_object_put(request->id);
    free(request->payload);
    free(request->page);
    free(request);
}

/* Answers ------------------------------------------------------------------------------------- */

static void add_count(json_object *object, const char *name, uint64_t count)
{
    json_object_object_add(object, name, json_object_new_uint64(count));
}

static void add_flag(json_object *object, const char *name, bool flag)
{
    json_object_object_add(object, name, json_object_new_boolean(flag));
}

static void add_text(json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static void add_slice(json_object *object, const char *name, fmx_slice text)
{
    const char *data = text.bytes > 0 ? (const char *)text.data : "";

    json_object_object_add(object, name, json_object_new_string_len(data, (int)text.bytes));
}

static void add_session_id(json_object *object, struct fmx_session_id id)
{
    char text[20];

    snprintf(text, sizeof(text), "%016" PRIx64, id.bits);
    add_text(object, "session", text);
}

static json_object *add_object(json_object *object, const char *name)
{
    json_object *child = json_object_new_object();

    json_object_object_add(object, name, child);
    return child;
}

static void add_events(const struct control_site *site, json_object *answer)
{
    struct events_counts counts;

    if (site->setup->events == NULL) {
        return;
    }
    json_object *events = add_object(answer, "events");
    events_count(site->setup->events, &counts);
    add_count(events, "written", counts.written);
    add_count(events, "dropped", counts.dropped);
    add_count(events, "writeErrors", counts.write_errors);
    add_count(events, "queuedBytes", counts.queued_bytes);
}

static uint64_t unix_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void answer_status(const struct control_site *site, json_object *answer)
{
    const struct control_setup *setup = site->setup;
    json_object *listen = json_object_new_array();
    struct fmx_stats stats;

    fmx_gateway_stats(setup->gateway, &stats);
    add_text(answer, "version", fmx_version_string());
    add_text(answer, "profile", is_platform(site) ? "platform" : "open");
    add_count(answer, "pid", (uint64_t)getpid());
    add_count(answer, "startedMs", site->started_ms);
    add_count(answer, "nowMs", unix_ms());
    add_count(answer, "shards", fmx_gateway_shards_count(setup->gateway));
    json_object_object_add(answer, "listen", listen);
    for (size_t index = 0; index < setup->options->listen_count; index++) {
        struct gateway_listener listener = gateway_tls_listener(setup->options, index);
        json_object *address = json_object_new_object();
        json_object_array_add(listen, address);
        add_slice(address, "address", listener.address);
        add_count(address, "port", fmx_gateway_port(setup->gateway, index));
        add_text(address, "takes", gateway_tls_takes(&listener));
    }
    add_count(answer, "sessions", stats.sessions_now);
    add_count(answer, "parked", stats.parked_now);
    add_count(answer, "subscriptions", stats.subscriptions_now);
    add_count(answer, "stored", stats.stored_now);
    add_events(site, answer);
}

static void answer_stats(const struct control_site *site, json_object *answer)
{
    struct fmx_stats stats;

    fmx_gateway_stats(site->setup->gateway, &stats);
    add_count(answer, "nowMs", unix_ms());
    json_object *counters = add_object(answer, "stats");
#define ADD_STAT(name, words) add_count(counters, #name, stats.name);
    FMX_STATS_LIST(ADD_STAT)
#undef ADD_STAT
    add_events(site, answer);
}

static const char *version_name(enum fmx_version version)
{
    return version == FMX_MQTT_50 ? "5.0" : version == FMX_MQTT_311 ? "3.1.1" : "3.1";
}

/* As in events, whose words these are: texts of peers need not be UTF-8. */
static json_object *tls_object(const struct fmx_tls_facts *facts)
{
    size_t room = events_json_tls_room(facts);
    char *text = malloc(room + 1);
    json_object *object = NULL;

    if (text != NULL) {
        text[events_json_tls(facts, text, room)] = '\0';
        object = json_tokener_parse(text);
    }
    free(text);
    return object;
}

static json_object *session_object(const struct fmx_gateway_session *session)
{
    json_object *object = json_object_new_object();

    add_session_id(object, session->id);
    if (session->product_key.bytes > 0) {
        add_slice(object, "productKey", session->product_key);
        add_slice(object, "deviceName", session->device_name);
    }
    add_slice(object, "clientId", session->client_id);
    add_slice(object, "username", session->username);
    add_slice(object, "clientIp", session->address);
    add_text(object, "version", version_name(session->version));
    add_count(object, "keepaliveS", session->keepalive_s);
    add_flag(object, "clean", session->clean);
    if (session->tls != NULL) {
        json_object_object_add(object, "tls", tls_object(session->tls));
    }
    return object;
}

static void answer_devices(const struct control_page *page, json_object *answer)
{
    json_object *sessions = json_object_new_array_ext((int)page->count);
    char next[24];

    json_object_object_add(answer, "sessions", sessions);
    for (size_t index = 0; index < page->count; index++) {
        json_object_array_add(sessions, session_object(&page->sessions[index]));
    }
    if (page->next != 0) {
        snprintf(next, sizeof(next), "%" PRIu64, page->next);
        add_text(answer, "next", next);
    }
}

static void answer_query(const struct fmx_gateway_state *state, json_object *answer)
{
    add_text(answer, "status", fmx_device_presence_name(state->presence));
    if (!fmx_session_id_equal(state->session, FMX_SESSION_NONE)) {
        add_session_id(answer, state->session);
    }
    if (state->since_ms != 0) {
        add_count(answer, "sinceMs", state->since_ms);
    }
    add_flag(answer, "hasSession", state->has_session);
    add_count(answer, "subscriptions", state->subscriptions_count);
    add_count(answer, "stored", state->stored_count);
}

/* False: no memory. */
static bool add_payload(json_object *answer, fmx_slice payload)
{
    if (events_json_is_text(payload)) {
        add_slice(answer, "payload", payload);
        return true;
    }
    size_t letters = base64_letters(payload.bytes);
    char *text = malloc(letters + 1);
    if (text == NULL) {
        return false;
    }
    base64_write(payload.data, payload.bytes, text);
    json_object_object_add(answer, "payload64", json_object_new_string_len(text, (int)letters));
    free(text);
    return true;
}

static bool answer_call(const struct control_request *request, json_object *answer)
{
    char id[24];

    add_text(answer, "code", fmx_call_code_name(request->code));
    if (request->message_id != 0) {
        snprintf(id, sizeof(id), "%" PRIu64, request->message_id);
        add_text(answer, "messageId", id);
    }
    return request->code != FMX_CALL_SUCCESS ||
           add_payload(answer, (fmx_slice){request->payload, request->payload_bytes});
}

static void add_limit(json_object *limits, const struct fmx_limits *from, enum fmx_limit limit)
{
    uint32_t value = fmx_limits_get(from, limit);
    char text[32];

    gateway_limits_format(limit, value, text, sizeof(text));
    if (text[0] >= '0' && text[0] <= '9') {
        add_count(limits, fmx_limit_name(limit), value);
    } else {
        add_text(limits, fmx_limit_name(limit), text);
    }
}

/* All of the gateway's, or those that a product has of its own. */
static void answer_limits(const struct control_request *request, json_object *answer)
{
    struct fmx_limits limits = request->limits.limits;
    uint32_t which = request->is_addressed ? request->limits.which : UINT32_MAX;
    json_object *object = add_object(answer, "limits");

    if (!request->is_addressed) {
        gateway_limits_get(request->site->setup->limits, &limits);
    }
    for (unsigned limit = 0; limit < FMX_LIMITS_COUNT; limit++) {
        if ((which & (1U << limit)) != 0) {
            add_limit(object, &limits, (enum fmx_limit)limit);
        }
    }
}

static void add_file(void *user, const char *path)
{
    json_object_array_add(user, json_object_new_string(path));
}

static void answer_reload(const struct control_site *site, json_object *answer)
{
    json_object *files = json_object_new_array();

    json_object_object_add(answer, "files", files);
    gateway_tls_files(site->setup->options, add_file, files);
}

bool control_request_answer(const struct control_request *request, json_object *answer, char *error)
{
    bool is_good = !request->is_short_of_memory;

    if (is_good) {
        switch (request->verb) {
        case CONTROL_STATUS:
            answer_status(request->site, answer);
            break;
        case CONTROL_STATS:
            answer_stats(request->site, answer);
            break;
        case CONTROL_DEVICES:
            answer_devices(request->page, answer);
            break;
        case CONTROL_QUERY:
            answer_query(&request->state, answer);
            break;
        case CONTROL_CALL:
            is_good = answer_call(request, answer);
            break;
        case CONTROL_PUBLISH:
        case CONTROL_BROADCAST:
            add_text(answer, "delivery",
                     request->is_addressed ? fmx_delivery_name(request->delivery) : "queued");
            break;
        case CONTROL_KICK:
            if (request->is_addressed) {
                add_flag(answer, "wasThere", request->was_there);
            }
            break;
        case CONTROL_LIMITS:
            answer_limits(request, answer);
            break;
        case CONTROL_RELOAD:
            answer_reload(request->site, answer);
            break;
        case CONTROL_VERBS_COUNT:
            break;
        }
    }
    if (!is_good) {
        snprintf(error, CONTROL_ERROR_BYTES, "memory ran out");
    }
    return is_good;
}
