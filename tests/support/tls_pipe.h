/*
 * tls_pipe.h — a client's stream and a server's, talking to each other in memory
 *
 * A program that uses it names support/tls_pipe.c among its sources.
 */
#ifndef TESTS_SUPPORT_TLS_PIPE_H
#define TESTS_SUPPORT_TLS_PIPE_H

#include "tls/tls.h"

#define TLS_SIDE_BYTES_MAX (1u << 18)

struct tls_side {
    struct fmx_tls_stream *stream;
    enum fmx_status status; /* the last: FMX_MORE in the handshake, FMX_OK open, FMX_END, −5xx */
    bool is_open;
    bool is_full; /* its sink fails */
    unsigned thread;
    size_t out_bytes; /* records for the other side */
    size_t in_bytes;  /* plaintext */
    uint8_t out[TLS_SIDE_BYTES_MAX];
    uint8_t in[TLS_SIDE_BYTES_MAX];
};

struct tls_pipe {
    struct tls_side client;
    struct tls_side server;
    bool by_record; /* each record is handed over alone */
};

/* What a sink of this side writes to. */
struct fmx_tls_sink tls_side_sink(struct tls_side *side);

/* Hands records to a side, in the handshake or after it. Its status. */
enum fmx_status tls_side_feed(struct tls_side *side, fmx_slice records, bool by_record);

/* Encrypts text for the other side. */
enum fmx_status tls_side_say(struct tls_side *side, const char *text);

/* True if all that has come is this text; forgets it. */
bool tls_side_heard(struct tls_side *side, const char *text);

/* Streams of both contexts; `dial` NULL: localhost. The handshake has not begun. */
struct tls_pipe *tls_pipe_new(struct fmx_tls_context *client, struct fmx_tls_context *server,
                              const struct fmx_tls_dial *dial);
void tls_pipe_free(struct tls_pipe *pipe);

/* Moves what both have said until neither says more. */
void tls_pipe_run(struct tls_pipe *pipe);

/* New and run; true if both are open. */
struct tls_pipe *tls_pipe_open(struct fmx_tls_context *client, struct fmx_tls_context *server,
                               const struct fmx_tls_dial *dial);
bool tls_pipe_is_open(const struct tls_pipe *pipe);

/* Both ways, some text. */
bool tls_pipe_talks(struct tls_pipe *pipe);

#endif
