/*
 * random_packet.h — sensible packets of every kind, at random and by seed
 */
#ifndef FMX_TESTS_SUPPORT_RANDOM_PACKET_H
#define FMX_TESTS_SUPPORT_RANDOM_PACKET_H

#include "proto/packet.h"
#include "tests/support/prng.h"

/* The bytes that the views borrow. Start a new packet with `used` = 0. */
struct fmx_random_store {
    size_t used;
    uint8_t bytes[1 << 18];
};

/* One that `from` may send in `version`, and that the decoder accepts. Borrows from `store`. */
void fmx_random_packet(struct fmx_prng *prng, enum fmx_version version, enum fmx_side from,
                       struct fmx_random_store *store, struct fmx_packet *out_packet);

/* Any properties that may stand in `place`, each one with one chance in two. */
void fmx_random_props(struct fmx_prng *prng, unsigned place, struct fmx_random_store *store,
                      struct fmx_props *out_props);

#endif
