/*
 * fleet_stage.h — which stage it is, and who leaves
 */
#ifndef ENGINE_ROLES_FLEET_STAGE_H
#define ENGINE_ROLES_FLEET_STAGE_H

#include "engine/roles/fleet.h"

/* ── fleet_stage.c ── */

enum fmx_fleet_wish {
    FMX_FLEET_WISH_RATE, /* to shard 0 */
    FMX_FLEET_WISH_PAUSE,
    FMX_FLEET_WISH_STORM, /* to every shard */
};

/* Room for the stages' states and the leaving clock. False: no memory. */
bool fmx_fleet_stages_open(struct fmx_fleet *fleet);
void fmx_fleet_stages_close(struct fmx_fleet *fleet);

/* Clients of a group with a number below it are those that `share` means. */
uint32_t fmx_fleet_share_of(double share, uint32_t clients_count);

bool fmx_fleet_stage_has(const struct fmx_fleet_stage *stage, uint32_t group);

/* Once, on shard 0, when the plan's clock begins; then every FMX_FLEET_WATCH_NS. */
void fmx_fleet_direct_begin(struct fmx_fleet_shard *fleet);
void fmx_fleet_direct(struct fmx_fleet_shard *fleet);

/* A message of fmx_fleet_set_rate, _pause or _storm. */
void fmx_fleet_steer(struct fmx_fleet_shard *fleet, const struct fmx_msg *message);

/* On every shard: what has begun or ended since the last look. Returns when to look again. */
uint64_t fmx_fleet_follow(struct fmx_fleet_shard *fleet);

/* ── fleet_leave.c ── */

/* A stage that makes clients leave begins for a crew: the one before has come to its end. */
void fmx_fleet_leave_begin(struct fmx_fleet_crew *crew, uint32_t stage);

/* Are there clients who had to leave before `until_ns`, and have not had their turn yet? */
bool fmx_fleet_leave_is_late(const struct fmx_fleet_crew *crew, uint64_t until_ns);
void fmx_fleet_leave_due(struct fmx_fleet_crew *crew);

/* Somebody has asked for a storm, and waits while FMX_FLEET_STORMS_MAX are not over. */
void fmx_fleet_storm_begin(struct fmx_fleet_shard *fleet, struct fmx_fleet_storm storm);

/* The storms that have begun go on. */
void fmx_fleet_storm_due(struct fmx_fleet_shard *fleet);

#endif
