/*
 * fleet_refuse.h — messages that the server has refused: nobody had to get them
 */
#ifndef ENGINE_ROLES_FLEET_REFUSE_H
#define ENGINE_ROLES_FLEET_REFUSE_H

#include "engine/roles/fleet.h"

struct fmx_fleet_track;

/* ── names of what is in flight ── */

/* Room for the name of one more message of a topic in flight. False: no memory. */
bool fmx_fleet_names_make(struct fmx_conn *conn, uint32_t topic);

/* A message has taken an identifier; `number` is its mark's. Room was made. */
void fmx_fleet_names_put(struct fmx_conn *conn, uint16_t packet_id, uint32_t topic,
                         uint64_t number);
void fmx_fleet_names_drop(struct fmx_conn *conn);

/* The server has refused the message with this identifier: nobody has to get it. */
void fmx_fleet_refused(struct fmx_conn *conn, uint16_t packet_id);

/* ── lists ── */

#define FMX_REFUSALS_MAX (1u << 22) /* ranges over all shards: 64 MiB */

/* Numbers of one flow, next to one another. */
struct fmx_refused {
    uint64_t first;
    uint32_t flow; /* index of the client << 8 | topic */
    uint32_t count;
};

static_assert(sizeof(struct fmx_refused) == 16, "what a refused message costs");

struct fmx_refusals {
    struct fmx_refused *ranges;
    uint32_t count;
    uint32_t capacity;
};

struct fmx_span {
    uint64_t first;
    uint64_t end;
};

/* The server has refused this message of a client's. */
void fmx_refusals_note(const struct fmx_fleet_client *client, uint32_t topic, uint64_t number);

/* Numbers first … end − 1 are missing in a track that begins anew while publishers still run. */
void fmx_refusals_close(const struct fmx_fleet_client *receiver,
                        const struct fmx_fleet_track *track, uint64_t first, uint64_t end);

/* When no shard runs: all that was refused, in order. False: no memory. */
bool fmx_refusals_gather(struct fmx_fleet_shard *const *shards, uint32_t shards_count,
                         struct fmx_refusals *out_all);

/* Walks the refused numbers of a flow in from … end − 1: `at` begins where find says. */
uint32_t fmx_refusals_find(const struct fmx_refusals *all, uint32_t index, uint32_t topic,
                           uint64_t from);
bool fmx_refusals_next(const struct fmx_refusals *all, uint32_t index, uint32_t topic, uint32_t *at,
                       uint64_t from, uint64_t end, struct fmx_span *out_span);

/* How many they are. */
uint64_t fmx_refusals_count(const struct fmx_refusals *all, uint32_t index, uint32_t topic,
                            uint64_t from, uint64_t end);

void fmx_refusals_wipe(struct fmx_refusals *list);

#endif
