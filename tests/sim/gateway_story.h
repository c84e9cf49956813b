/*
 * gateway_story.h — a story whose shards run the gateway
 */
#ifndef TESTS_SIM_GATEWAY_STORY_H
#define TESTS_SIM_GATEWAY_STORY_H

#include "engine/roles/gateway.h"
#include "tests/sim/story.h"

struct fmx_gateway_story {
    struct fmx_story story;
    struct fmx_gateway_options options; /* set before open */
    struct fmx_gateway *gateway;
};

void fmx_gateway_story_init(struct fmx_gateway_story *story, uint32_t shards_count);
void fmx_gateway_story_open(struct fmx_gateway_story *story);

/* STOP, drain and close; nothing may be left. */
void fmx_gateway_story_end(struct fmx_gateway_story *story);

/* The sum over the shards. */
struct fmx_stats fmx_gateway_story_stats(struct fmx_gateway_story *story);

#endif
