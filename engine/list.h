/*
 * list.h — the lists of a shard in which its connections stand, each in each at most once
 *
 * First in, first out. The links are slot numbers inside the connections, so a list allocates
 * nothing and joining one cannot fail. Owning shard only.
 */
#ifndef ENGINE_LIST_H
#define ENGINE_LIST_H

#include <fleetmux/types.h>

struct fmx_conn;
struct fmx_shard;

enum fmx_list_kind {
    FMX_LIST_READY,   /* has carried packets that may go on */
    FMX_LIST_ENDED,   /* on_close is due */
    FMX_LIST_CLOSED,  /* the slot may be freed */
    FMX_LIST_STARVED, /* waits for receive buffers */
    FMX_LISTS_COUNT,
};

/* All zero is an empty list. Slots are counted from 1 here. */
struct fmx_list {
    uint32_t first;
    uint32_t last;
};

/* Joins the shard's list of this kind at its end; nothing, if it stands there already. */
void fmx_list_push(struct fmx_conn *conn, enum fmx_list_kind kind);

/*
 * Takes the first out of `list`, which is the shard's of this kind, or what was taken over from it.
 * NULL: empty.
 */
struct fmx_conn *fmx_list_pop(struct fmx_shard *shard, struct fmx_list *list,
                              enum fmx_list_kind kind);

/* Takes all over; who joins from now on is not among them. */
struct fmx_list fmx_list_take(struct fmx_shard *shard, enum fmx_list_kind kind);

bool fmx_list_has(const struct fmx_conn *conn, enum fmx_list_kind kind);
bool fmx_list_has_any(const struct fmx_conn *conn);

#endif
