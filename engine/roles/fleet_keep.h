/*
 * fleet_keep.h — messages whose PUBACK has not come when their connection ends: they go out again
 */
#ifndef ENGINE_ROLES_FLEET_KEEP_H
#define ENGINE_ROLES_FLEET_KEEP_H

#include "engine/roles/fleet.h"

/* False: no memory. */
bool fmx_fleet_keep_open(struct fmx_fleet_crew *crew) FMX_MUST_USE;
void fmx_fleet_keep_close(struct fmx_fleet_crew *crew);

/* Has its group sessions that the server keeps? Then what is not acknowledged is sent again. */
bool fmx_fleet_keeps(const struct fmx_fleet_client *client);

/*
 * A message leaves under the identifier that it has just got for `tag`; `topic` and `number` say
 * which it is, and mean nothing with FMX_FLEET_TAG_ANSWER. Kept, if its client keeps any. False: no
 * memory, do not send it.
 */
bool fmx_fleet_keep(struct fmx_conn *conn, const struct fmx_publish *publish, uint64_t tag,
                    uint32_t topic, uint64_t number) FMX_MUST_USE;

/* Its PUBACK is here: there may be room for the next one that is to be sent again. */
void fmx_fleet_keep_end(struct fmx_conn *conn, uint16_t packet_id);

/*
 * A good CONNACK, before any identifier of the connection is taken: what is kept has its identifier
 * again, and goes out. With `is_there` false the server has no session: then it is dropped.
 */
void fmx_fleet_keep_resume(struct fmx_conn *conn, bool is_there);

/*
 * May an open client send anything new at QoS 1? Not until all is sent again, nor when its
 * identifiers span so much that SUBSCRIBE would find none on the next connection.
 */
bool fmx_fleet_keep_has_room(const struct fmx_fleet_client *client);

/* Is there room to keep an answer of so many bytes? */
bool fmx_fleet_keep_takes_answer(const struct fmx_fleet_client *client, size_t bytes);

/* Sends again as much as there is room for. */
void fmx_fleet_keep_go_on(struct fmx_fleet_client *client);

/* The client gets no connection any more, or its session is gone: what it keeps is unacked. */
void fmx_fleet_keep_drop(const struct fmx_fleet_client *client);

#endif
