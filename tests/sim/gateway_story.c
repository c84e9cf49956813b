/*
 * gateway_story — a story whose shards run the gateway
 *
 * Why it is so:   the gateway is opened as a service opens it; only its threads are missing. Where
 *                 client ids have their home depends on the seed, so that a failure can be had
 *                 again
 */
#include "tests/sim/gateway_story.h"

#define END_MS 3000u

void fmx_gateway_story_init(struct fmx_gateway_story *story, uint32_t shards_count)
{
    static const char *const listen[] = {"127.0.0.1:1883"};

    memset(story, 0, sizeof(*story));
    fmx_story_init(&story->story);
    fmx_gateway_options_init(&story->options, FMX_PROFILE_OPEN);
    story->options.mux = story->story.options;
    story->options.mux.shards_count = shards_count;
    story->options.listen = listen;
    story->options.listen_count = 1;
}

void fmx_gateway_story_open(struct fmx_gateway_story *story)
{
    char error[256] = "";

    STORY_ASSERT(fmx_gateway_open(&story->options, &story->gateway, error, sizeof(error)) ==
                 FMX_OK);
    story->gateway->hash_seed = fmx_prng_next(fmx_sim_prng());
    fmx_story_adopt(&story->story, story->gateway->mux);
}

void fmx_gateway_story_end(struct fmx_gateway_story *story)
{
    struct fmx_story *inner = &story->story;

    fmx_sim_temper()->idle_ns_max = 20000000;
    fmx_story_stop(inner, END_MS);
    fmx_story_drain(inner);
    for (uint32_t i = 0; i < fmx_mux_shards_count(inner->mux); i++) {
        struct fmx_shard *shard = fmx_story_shard(inner, i);
        struct fmx_sim_look look = fmx_sim_look(shard->ring);
        STORY_ASSERT(shard->conns.used == 0 && shard->pool.bytes == 0);
        STORY_ASSERT(look.recvs == 0 && look.sends == 0 && look.accepts == 0);
        STORY_ASSERT(fmx_story_count(&shard->counters.sessions_now) == 0);
        STORY_ASSERT(fmx_story_count(&shard->counters.connections_now) == 0);
    }
    fmx_story_leave(inner);
    fmx_gateway_close(story->gateway);
}

struct fmx_stats fmx_gateway_story_stats(struct fmx_gateway_story *story)
{
    struct fmx_stats stats;

    fmx_gateway_stats(story->gateway, &stats);
    return stats;
}
