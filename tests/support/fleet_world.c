/*
 * fleet_world — a fleet that does not run: its clients on their shards, for tests of what they keep
 */
#include "tests/support/fleet_world.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static void *make(size_t count, size_t each)
{
    void *made = calloc(count + 1, each);

    CU_ASSERT_FATAL(made != NULL);
    return made;
}

static struct fmx_fleet_crew *make_crew(struct fleet_world *world, uint32_t shard, uint32_t group)
{
    const struct fmx_fleet_team *team = &world->fleet.teams[group];
    uint32_t parts = world->fleet.plan.parts_count;
    uint32_t stride = parts * world->shards_count;
    uint32_t first = world->fleet.plan.part + shard * parts;
    struct fmx_fleet_crew *crew = make(1, sizeof *crew);

    for (uint32_t number = first; number < team->plan.clients_count; number += stride) {
        crew->clients_count++;
    }
    crew->team = team;
    crew->fleet = world->shards[shard];
    crew->clients = make(crew->clients_count, sizeof *crew->clients);
    crew->flows = make(crew->clients_count * team->plan.publishes_count, sizeof *crew->flows);
    for (uint32_t i = 0; i < crew->clients_count; i++) {
        crew->clients[i].crew = crew;
        crew->clients[i].number = (first + i * stride) & FMX_FLEET_NUMBER_MASK;
        crew->clients[i].is_from_start = true;
    }
    return crew;
}

void fleet_world_open(struct fleet_world *world, struct fmx_fleet_plan *plan, uint32_t shards)
{
    char error[400] = "";

    memset(world, 0, sizeof *world);
    if (fmx_fleet_teams_open(&world->fleet, plan, error, sizeof error) != FMX_OK) {
        fprintf(stderr, "%s\n", error);
        CU_FAIL_FATAL("a bad plan");
    }
    world->shards_count = shards;
    world->shards = make(shards, sizeof(struct fmx_fleet_shard *));
    world->engines = make(shards, sizeof *world->engines);
    for (uint32_t i = 0; i < shards; i++) {
        struct fmx_fleet_shard *shard = make(1, sizeof *shard);
        world->engines[i].index = i;
        world->engines[i].shards_count = shards;
        world->shards[i] = shard;
        shard->fleet = &world->fleet;
        shard->shard = &world->engines[i];
        shard->crews = make(plan->groups_count, sizeof(struct fmx_fleet_crew *));
        for (uint32_t group = 0; group < plan->groups_count; group++) {
            shard->crews[group] = make_crew(world, i, group);
        }
        CU_ASSERT_FATAL(fmx_fleet_ledger_open(shard));
    }
}

void fleet_world_close(struct fleet_world *world)
{
    for (uint32_t i = 0; i < world->shards_count; i++) {
        struct fmx_fleet_shard *shard = world->shards[i];
        for (uint32_t group = 0; group < world->fleet.teams_count; group++) {
            free(shard->crews[group]->clients);
            free(shard->crews[group]->flows);
            free(shard->crews[group]);
        }
        fmx_fleet_ledger_close(shard);
        free(shard->crews);
        free(shard);
    }
    free(world->shards);
    free(world->engines);
    fmx_fleet_teams_close(&world->fleet);
}

struct fmx_fleet_client *fleet_world_client(struct fleet_world *world, uint32_t group,
                                            uint32_t number)
{
    uint32_t parts = world->fleet.plan.parts_count;
    uint32_t among_ours = number / parts;

    if (number % parts != world->fleet.plan.part) {
        return NULL;
    }
    struct fmx_fleet_crew *crew = world->shards[among_ours % world->shards_count]->crews[group];
    struct fmx_fleet_client *client = &crew->clients[among_ours / world->shards_count];
    CU_ASSERT_EQUAL_FATAL(client->number, number);
    return client;
}

struct fmx_fleet_flow *fleet_world_flow(struct fmx_fleet_client *client, uint32_t topic)
{
    const struct fmx_fleet_crew *crew = client->crew;

    return &crew->flows[fmx_fleet_place_of(client) * crew->team->plan.publishes_count + topic];
}

struct fmx_fleet_mark fleet_world_mark(const struct fmx_fleet_client *publisher, uint32_t topic,
                                       uint64_t sequence)
{
    return (struct fmx_fleet_mark){.origin = publisher->crew->team->fleet->origin,
                                   .publisher = fmx_fleet_index_of(publisher),
                                   .topic = (uint8_t)topic,
                                   .sequence = sequence};
}

uint64_t fleet_world_sum(const struct fleet_world *world, uint32_t group, size_t offset)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < world->shards_count; i++) {
        const struct fmx_crew_counters *counters = &world->shards[i]->crews[group]->counters;
        sum +=
            atomic_load((const _Atomic uint64_t *)(const void *)((const char *)counters + offset));
    }
    return sum;
}
