/*
 * fleet_message.h — what stands in a message, and what is read from one
 */
#ifndef ENGINE_ROLES_FLEET_MESSAGE_H
#define ENGINE_ROLES_FLEET_MESSAGE_H

#include "engine/roles/fleet.h"

#define FMX_MARK_BYTES  32u
#define FMX_MARK_DIGITS (2 * FMX_MARK_BYTES)

/*
 * Who sent a message, which one of his, when it was to leave and when it left. In a packet it is
 * "fmx2", origin (4 bytes), publisher (3), topic (1), sequence (6), lateness (6), planned time (8).
 */
struct fmx_fleet_mark {
    uint32_t origin;    /* of the run; its upper half is the machine's, whose clock it is */
    uint32_t publisher; /* index of the client in its plan: 24 bits */
    uint8_t topic;      /* which of its publishes */
    uint64_t sequence;  /* 48 bits */
    uint64_t planned_ns;
    uint64_t sent_ns; /* at most 2^48 ns after */
};

/* What is to be made. */
struct fmx_message_wish {
    const struct fmx_fleet_client *client;
    uint32_t topic; /* which of the group's publishes */
    uint64_t sequence;
    uint64_t sent_before; /* messages of the flow: skipped ones leave no hole in the marks */
    uint64_t step;        /* on the plan's clock, to the next one: what the hash knows of time */
    uint64_t planned_ns;
};

/*
 * Makes the message, all of it but topic and alias, which the caller sets. It is the shard's, until
 * the next one is made. `out_hash` is of topic, number, step, properties and payload, but not of
 * what says when it was sent.
 */
struct fmx_publish *fmx_fleet_message_make(struct fmx_fleet_shard *fleet,
                                           const struct fmx_message_wish *wish, uint64_t *out_hash);

/* The topic of a client's messages, until another one is asked for. */
fmx_slice fmx_fleet_message_topic(struct fmx_fleet_shard *fleet,
                                  const struct fmx_fleet_client *client, uint32_t topic);

/* False: the payload has no mark of ours. */
bool fmx_fleet_mark_read(fmx_slice payload, struct fmx_fleet_mark *out_mark);

/* Is it of this machine's clock? */
bool fmx_fleet_mark_is_near(const struct fmx_fleet *fleet, const struct fmx_fleet_mark *mark);

/* Carry the messages of a publish our mark? */
bool fmx_fleet_is_marked(const struct fmx_fleet_team *team, uint32_t topic);

/* This machine, and a draw for this run. */
uint32_t fmx_fleet_origin(void);

/* Is it the topic of a reply to a property post? */
bool fmx_fleet_is_thing_reply(fmx_slice topic);

/* Makes the shard's buffers. False: no memory. */
bool fmx_fleet_message_open(struct fmx_fleet_shard *fleet);
void fmx_fleet_message_close(struct fmx_fleet_shard *fleet);

#endif
