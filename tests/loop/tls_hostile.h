/*
 * tls_hostile.h — for loop tests of peers that use TLS to hurt: raw peers, and the frame of a case
 */
#ifndef TESTS_LOOP_TLS_HOSTILE_H
#define TESTS_LOOP_TLS_HOSTILE_H

#include "tests/loop/tls.h"

#define RECORD_ALERT     21u
#define RECORD_HANDSHAKE 22u
#define RECORD_DATA      23u
#define RECORD_HEARTBEAT 24u

#define RAW_MAX 400u

/* ── the frame of a case ── */

/* Starts the gateway. Everything that is made once is made before bytes are counted. */
void hostile_begin(struct tls_world *world);

/* Honest clients are served, nothing is kept, and the gateway ends. */
void hostile_end(struct tls_world *world);

/* What each of `count` has cost since tls_memory said `before`. */
size_t hostile_cost(size_t before, size_t count);

/* ── peers that send bytes and know no TLS ── */

extern int hostile_raws[RAW_MAX];

int hostile_dial_one(uint16_t port);
void hostile_dial(uint16_t port, unsigned count);

/* Each sends them, and the gateway has heard it. */
void hostile_send(const struct tls_world *world, unsigned count, const void *bytes,
                  size_t bytes_count);
void hostile_close(unsigned count);

/* One sends, and hears the end that must follow. */
void hostile_is_ended(const struct tls_world *world, const uint8_t *bytes, size_t count);

/* ── peers that know it ── */

/* Handshake, and perhaps CONNECT, with keys that tls_wire_forge can forge with. */
void hostile_join(struct tls_wire *wire, const struct tls_world *world, uint16_t version,
                  bool says_connect);

#endif
