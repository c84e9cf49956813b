/*
 * fleet_request.h — requests and their answers: ours, and those of others
 */
#ifndef ENGINE_ROLES_FLEET_REQUEST_H
#define ENGINE_ROLES_FLEET_REQUEST_H

#include "engine/roles/fleet.h"

/* ── fleet_request.c ── */

#define FMX_FLEET_REQUEST_BYTES 8u

/*
 * The name of a request: what its Correlation Data begins with, most significant byte first. It is
 * one of its plan's until a topic of a client has had 2^34 of them.
 */
static inline uint64_t fmx_fleet_request_name(uint32_t index, uint32_t topic, uint64_t sequence)
{
    static_assert(FMX_FLEET_PUBLISHES_MAX <= 1u << 6, "6 + 24 + 34 bits");
    return (uint64_t)topic << 58 | (uint64_t)index << 34 | (sequence & ((1ull << 34) - 1));
}

/* Whose it is. */
static inline uint32_t fmx_fleet_request_index(uint64_t name)
{
    return (uint32_t)(name >> 34) & FMX_FLEET_NUMBER_MASK;
}

/* Subscribes a client to the topics of its answers; returns how many SUBACKs that makes due. */
uint32_t fmx_fleet_requests_subscribe(struct fmx_conn *conn);

/* A request leaves: from now on its answer is waited for. False: no memory, do not send it. */
bool fmx_fleet_request_sent(struct fmx_fleet_client *client, uint32_t topic, uint64_t sequence,
                            uint64_t planned_ns, uint64_t sent_ns);

/* True: the message was an answer to a request, and is dealt with. */
bool fmx_fleet_on_answer(struct fmx_conn *conn, const struct fmx_publish *publish);

/* Those that have waited long enough. */
void fmx_fleet_requests_due(struct fmx_fleet_shard *fleet);

bool fmx_fleet_requests_open(struct fmx_fleet_shard *fleet);
void fmx_fleet_requests_close(struct fmx_fleet_shard *fleet);

/* Requests that still wait. */
uint64_t fmx_fleet_requests_waiting(const struct fmx_fleet_shard *fleet);

/* ── fleet_rrpc.c ── */

/* The tag of an identifier that an answer has taken; no flow's is like it. */
#define FMX_FLEET_TAG_ANSWER UINT64_MAX

/* True: the message was a call or a request of somebody's, and is dealt with. */
bool fmx_fleet_on_call(struct fmx_conn *conn, const struct fmx_publish *publish);

/* Sends the answers of a team that are due. */
void fmx_fleet_answers_due(struct fmx_fleet_shard *fleet, struct fmx_timer *timer);

/*
 * The topic on which a call is answered: borrowed from `topic`, or made in `out` (room for
 * FMX_TEMPLATE_BYTES_MAX). Empty: it is no call.
 */
fmx_slice fmx_fleet_answer_topic(fmx_slice topic, uint8_t *out);

bool fmx_fleet_answers_open(struct fmx_fleet_shard *fleet);
void fmx_fleet_answers_close(struct fmx_fleet_shard *fleet);

#endif
