/*
 * list — the lists of a shard in which its connections stand
 *
 * Why it is so:   four pointers in every slot would be 32 bytes that hardly any connection uses; as
 *                 slot numbers they are half of that
 * Invariants:     (1) a link is 0 while its connection stands in no such list  (2) who stands in a
 *                 list has its slot: free_closed in shard.c looks
 * Memory:         four bytes a list in each connection
 * Threads:        owning shard only
 * Not here:       shard->dirty, which every message joins: a chain of pointers, conn_send.c
 */
#include "engine/list.h"

#include "engine/shard.h"

#define END UINT32_MAX

static struct fmx_conn *conn_at(const struct fmx_shard *shard, uint32_t place)
{
    return fmx_slab_at(&shard->conns, place - 1);
}

bool fmx_list_has(const struct fmx_conn *conn, enum fmx_list_kind kind)
{
    return conn->next[kind] != 0;
}

bool fmx_list_has_any(const struct fmx_conn *conn)
{
    bool any = false;

    for (unsigned kind = 0; kind < FMX_LISTS_COUNT; kind++) {
        any = any || conn->next[kind] != 0;
    }
    return any;
}

void fmx_list_push(struct fmx_conn *conn, enum fmx_list_kind kind)
{
    struct fmx_list *list = &conn->shard->lists[kind];
    uint32_t place = conn->slot.index + 1;

    if (fmx_list_has(conn, kind)) {
        return;
    }
    conn->next[kind] = END;
    if (list->first == 0) {
        list->first = place;
    } else {
        conn_at(conn->shard, list->last)->next[kind] = place;
    }
    list->last = place;
}

struct fmx_conn *fmx_list_pop(struct fmx_shard *shard, struct fmx_list *list,
                              enum fmx_list_kind kind)
{
    if (list->first == 0) {
        return NULL;
    }
    struct fmx_conn *conn = conn_at(shard, list->first);
    uint32_t next = conn->next[kind];

    *list = next == END ? (struct fmx_list){0} : (struct fmx_list){next, list->last};
    conn->next[kind] = 0;
    return conn;
}

struct fmx_list fmx_list_take(struct fmx_shard *shard, enum fmx_list_kind kind)
{
    struct fmx_list taken = shard->lists[kind];

    shard->lists[kind] = (struct fmx_list){0};
    return taken;
}
