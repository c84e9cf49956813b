/*
 * fleet_world.h — a fleet that does not run: its clients on their shards, for tests of what they
 * keep
 */
#ifndef FMX_TESTS_SUPPORT_FLEET_WORLD_H
#define FMX_TESTS_SUPPORT_FLEET_WORLD_H

#include "engine/roles/fleet_track.h"
#include "engine/roles/fleet_device.h"
#include "engine/roles/fleet_message.h"
#include "engine/shard.h"

struct fleet_world {
    struct fmx_fleet fleet;
    struct fmx_fleet_shard **shards;
    uint32_t shards_count;
    struct fmx_shard *engines; /* one for each shard; hardly anything of them is filled in */
};

/* Fails the test if the plan is bad. Targets are set; ledgers are open. */
void fleet_world_open(struct fleet_world *world, struct fmx_fleet_plan *plan, uint32_t shards);
void fleet_world_close(struct fleet_world *world);

/* Client `number` of a group; NULL: it is of another part. */
struct fmx_fleet_client *fleet_world_client(struct fleet_world *world, uint32_t group,
                                            uint32_t number);
struct fmx_fleet_flow *fleet_world_flow(struct fmx_fleet_client *client, uint32_t topic);

/* Its next message reaches a client, or any of its messages does. */
struct fmx_fleet_mark fleet_world_mark(const struct fmx_fleet_client *publisher, uint32_t topic,
                                       uint64_t sequence);

#define FLEET_WORLD_SUM(world, group, counter)                                                     \
    fleet_world_sum(world, group, offsetof(struct fmx_crew_counters, counter))

/* One counter over all shards. */
uint64_t fleet_world_sum(const struct fleet_world *world, uint32_t group, size_t offset);

#endif
