/*
 * fleet_line — connects that are due and find no room
 *
 * Why it is so:   a storm sends everybody away at once, and few may wait for an answer at a time.
 *                 If each of the others looked for room again and again, that would cost more than
 *                 the connects, and whoever looked at the right moment would come first. So they
 *                 stand in line, without a timer, and each answer lets the first one go on
 * Words:          room: fewer connects than connecting_max wait for an answer, and a slot is free
 * Invariants:     (1) a client in the line is WAITING and late, or was sent away meanwhile
 *                 (2) it has no timer
 * Memory:         8 bytes for each of the most that ever stood there, given back at the end; if
 *                 there is none, a client looks again by its timer
 * Threads:        owning shard
 * Limits:         BEGINS_PER_TURN, for connects that fail at once wait for no answer
 * Not here:       the ramp, which takes clients by number and needs no line: fleet_client.c
 */
#include "engine/roles/fleet.h"

#include <stdlib.h>

#define BEGINS_PER_TURN 1024u
#define LINE_LEAST      256u
#define LOOK_NS         FMX_NS_PER_MS

static bool make_room(struct fmx_fleet_line *line)
{
    uint32_t capacity = line->capacity == 0 ? LINE_LEAST : 2 * line->capacity;

    if (line->count < line->capacity) {
        return true;
    }
    struct fmx_fleet_client **clients = malloc(capacity * sizeof(struct fmx_fleet_client *));
    if (clients == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < line->count; i++) {
        clients[i] = line->clients[(line->first + i) & (line->capacity - 1)];
    }
    free(line->clients);
    *line = (struct fmx_fleet_line){.clients = clients, .capacity = capacity, .count = line->count};
    return true;
}

void fmx_fleet_line_join(struct fmx_fleet_client *client)
{
    struct fmx_fleet_shard *fleet = client->crew->fleet;
    struct fmx_fleet_line *line = &fleet->line;

    FMX_ASSERT(client->state == FMX_CLIENT_WAITING && !fmx_timer_is_armed(&client->timer));
    client->crew->connects_waited += !client->is_late;
    client->is_late = true;
    if (!make_room(line)) {
        fmx_wheel_arm(&fleet->shard->wheel, &client->timer, fleet->shard->now_ns + LOOK_NS);
        return;
    }
    line->clients[(line->first + line->count++) & (line->capacity - 1)] = client;
}

static struct fmx_fleet_client *take_first(struct fmx_fleet_line *line)
{
    struct fmx_fleet_client *client = line->clients[line->first];

    line->first = (line->first + 1) & (line->capacity - 1);
    line->count--;
    return client;
}

static void put_back(struct fmx_fleet_line *line, struct fmx_fleet_client *client)
{
    line->first = (line->first - 1) & (line->capacity - 1);
    line->count++;
    line->clients[line->first] = client;
}

void fmx_fleet_line_go_on(struct fmx_fleet_shard *fleet)
{
    struct fmx_fleet_line *line = &fleet->line;

    for (uint32_t i = 0; i < BEGINS_PER_TURN && line->count > 0 && !fleet->is_ending &&
                         fleet->connecting < fleet->connecting_max;
         i++) {
        struct fmx_fleet_client *client = take_first(line); /* which may close, and call us again */
        if (client->state != FMX_CLIENT_WAITING || fmx_fleet_client_is_held(client)) {
            continue; /* sent away, or let go on after a pause */
        }
        if (!fmx_fleet_client_begin(client)) {
            put_back(line, client);
            return;
        }
    }
}

void fmx_fleet_line_close(struct fmx_fleet_shard *fleet)
{
    free(fleet->line.clients);
}
