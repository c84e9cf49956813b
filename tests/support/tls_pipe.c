/*
 * tls_pipe — a client's stream and a server's, talking to each other in memory
 *
 * Threads:        one for each pipe
 */
#include "tests/support/tls_pipe.h"

#include "tls/record.h"

#include <fleetmux/private/assert.h>

#include <openssl/err.h>

#include <stdlib.h>

static bool keep(void *user, fmx_slice records)
{
    struct tls_side *side = user;

    if (side->is_full) {
        return false;
    }
    FMX_ASSERT(records.bytes <= TLS_SIDE_BYTES_MAX - side->out_bytes);
    memcpy(side->out + side->out_bytes, records.data, records.bytes);
    side->out_bytes += records.bytes;
    return true;
}

struct fmx_tls_sink tls_side_sink(struct tls_side *side)
{
    return (struct fmx_tls_sink){.write = keep, .user = side};
}

static void take(struct tls_side *side, fmx_slice records)
{
    const struct fmx_tls_sink sink = tls_side_sink(side);
    enum fmx_status status = FMX_OK;

    while (status == FMX_OK) {
        static _Thread_local uint8_t room[FMX_TLS_PLAINTEXT_BYTES_MAX + 100];
        size_t bytes = 0;
        status = fmx_tls_take(side->stream, &records, room, sizeof room, &bytes, &sink);
        FMX_ASSERT((status == FMX_OK) == (bytes > 0));
        FMX_ASSERT(bytes <= sizeof room && bytes <= TLS_SIDE_BYTES_MAX - side->in_bytes);
        memcpy(side->in + side->in_bytes, room, bytes);
        side->in_bytes += bytes;
    }
    FMX_ASSERT(status != FMX_MORE || records.bytes == 0);
    FMX_ASSERT(ERR_peek_error() == 0);
    side->status = status == FMX_MORE ? FMX_OK : status;
}

static void feed(struct tls_side *side, fmx_slice records)
{
    const struct fmx_tls_sink sink = tls_side_sink(side);

    if (!side->is_open) {
        side->status = fmx_tls_handshake(side->stream, side->thread, &records, &sink);
        FMX_ASSERT(side->status != FMX_MORE || records.bytes == 0);
        FMX_ASSERT(ERR_peek_error() == 0);
        side->is_open = side->status == FMX_OK;
    }
    if (side->is_open && records.bytes > 0) {
        take(side, records);
    }
}

enum fmx_status tls_side_feed(struct tls_side *side, fmx_slice records, bool by_record)
{
    while (by_record && records.bytes > 0) {
        size_t bytes = 0;
        FMX_ASSERT(fmx_tls_record_next(records, &bytes) == FMX_OK);
        /* in memory of its very size, so that a look beyond it is seen */
        uint8_t *copy = malloc(bytes);
        FMX_ASSERT(copy != NULL);
        memcpy(copy, records.data, bytes);
        feed(side, (fmx_slice){copy, bytes});
        free(copy);
        records.data += bytes;
        records.bytes -= bytes;
    }
    if (!by_record) {
        feed(side, records);
    }
    return side->status;
}

enum fmx_status tls_side_say(struct tls_side *side, const char *text)
{
    const struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    const struct fmx_tls_sink sink = tls_side_sink(side);

    return fmx_tls_seal(side->stream, &part, 1, &sink);
}

bool tls_side_heard(struct tls_side *side, const char *text)
{
    size_t bytes = side->in_bytes;

    side->in_bytes = 0;
    return bytes == strlen(text) && memcmp(side->in, text, bytes) == 0;
}

struct tls_pipe *tls_pipe_new(struct fmx_tls_context *client, struct fmx_tls_context *server,
                              const struct fmx_tls_dial *dial)
{
    static const struct fmx_tls_dial standard = {.server_name = "localhost"};
    struct tls_pipe *pipe = calloc(1, sizeof *pipe);

    FMX_ASSERT(pipe != NULL);
    pipe->client.stream = fmx_tls_connect(client, dial == NULL ? &standard : dial);
    pipe->server.stream = fmx_tls_accept(server);
    FMX_ASSERT(pipe->client.stream != NULL && pipe->server.stream != NULL);
    pipe->client.status = FMX_MORE;
    pipe->server.status = FMX_MORE;
    return pipe;
}

void tls_pipe_free(struct tls_pipe *pipe)
{
    fmx_tls_stream_close(pipe->client.stream);
    fmx_tls_stream_close(pipe->server.stream);
    free(pipe);
}

/* Hands over what `from` has said. False: nothing. */
static bool move(struct tls_side *from, struct tls_side *to, bool by_record)
{
    static _Thread_local uint8_t records[TLS_SIDE_BYTES_MAX];
    size_t bytes = from->out_bytes;

    if (bytes == 0) {
        return false;
    }
    memcpy(records, from->out, bytes);
    from->out_bytes = 0;
    if (to->status >= 0 && to->status != FMX_END) {
        (void)tls_side_feed(to, (fmx_slice){records, bytes}, by_record);
    }
    return true;
}

void tls_pipe_run(struct tls_pipe *pipe)
{
    if (!pipe->client.is_open && pipe->client.status == FMX_MORE) {
        (void)tls_side_feed(&pipe->client, (fmx_slice){0}, false);
    }
    while (move(&pipe->client, &pipe->server, pipe->by_record) ||
           move(&pipe->server, &pipe->client, pipe->by_record)) {
    }
}

struct tls_pipe *tls_pipe_open(struct fmx_tls_context *client, struct fmx_tls_context *server,
                               const struct fmx_tls_dial *dial)
{
    struct tls_pipe *pipe = tls_pipe_new(client, server, dial);

    tls_pipe_run(pipe);
    return pipe;
}

bool tls_pipe_is_open(const struct tls_pipe *pipe)
{
    return pipe->client.is_open && pipe->server.is_open && pipe->client.status == FMX_OK &&
           pipe->server.status == FMX_OK;
}

bool tls_pipe_talks(struct tls_pipe *pipe)
{
    if (!tls_pipe_is_open(pipe) || tls_side_say(&pipe->client, "from the client") != FMX_OK) {
        return false;
    }
    tls_pipe_run(pipe);
    if (tls_side_say(&pipe->server, "from the server") != FMX_OK) {
        return false;
    }
    tls_pipe_run(pipe);
    return tls_side_heard(&pipe->server, "from the client") &&
           tls_side_heard(&pipe->client, "from the server");
}
