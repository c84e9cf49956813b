/*
 * devices_keeper.h — what devices.c (the callers' side) and devices_keeper.c (the thread) share
 */
#ifndef ENGINE_ROLES_DEVICES_KEEPER_H
#define ENGINE_ROLES_DEVICES_KEEPER_H

#include "engine/roles/devices.h"
#include "engine/roles/registry_file.h"
#include "engine/roles/roster.h"

#include <pthread.h>

#define FMX_WISHES_MAX 65536u

enum fmx_wish_kind {
    FMX_WISH_ACTIVATE,
    FMX_WISH_REGISTER_KNOWN,
    FMX_WISH_REGISTER_NEW,
};

/* What a register is answered with. */
struct fmx_wish_answer {
    enum fmx_status status;
    char secret[FMX_REGISTRY_KEY_BYTES_MAX + 1];
    char client_id[FMX_REGISTRY_KEY_BYTES_MAX + 1];
};

/* Something the gateway wants written. */
struct fmx_wish {
    enum fmx_wish_kind kind;
    bool is_again; /* a register: also of a device that has logged in before */
    uint64_t tag;
    struct fmx_wish_answer *answer; /* of a register */
    char product_key[FMX_REGISTRY_KEY_BYTES_MAX + 1];
    char device_name[FMX_REGISTRY_KEY_BYTES_MAX + 1];
};

struct fmx_wishes {
    struct fmx_wish *items;
    uint32_t count;
    uint32_t capacity;
};

struct fmx_devices {
    struct fmx_roster roster;
    struct fmx_devices_events events; /* read-only */
    pthread_t thread;
    int bell;  /* eventfd: there are wishes, or the end has come */
    int watch; /* inotify: somebody has written */
    /* any thread, under the lock */
    pthread_mutex_t lock;
    struct fmx_wishes wishes;
    bool is_closing;
    /* the keeper's, and before it runs, the opener's */
    struct fmx_registry *registry;
    struct fmx_wishes batch; /* wishes that are being granted */
    uint64_t batch_since_ns; /* when the keeper first tried */
    int64_t seq;             /* of the log: up to here the roster has it all */
    int64_t data_version;    /* SQLite's, at the last look */
    uint32_t next_version;   /* of a product */
    bool is_loaded;
    bool is_file_watched, is_log_watched;
    bool is_troubled; /* and has said so */
    char error[FMX_REGISTRY_ERROR_BYTES];
};

/* Reads the whole file into the roster; tells what differs if it was loaded before. */
enum fmx_status fmx_devices_load(struct fmx_devices *devices) FMX_MUST_USE;

/* Reads the log of changes from where the roster is. */
enum fmx_status fmx_devices_catch_up(struct fmx_devices *devices) FMX_MUST_USE;

/* Takes the wishes that wait and grants them in one transaction. True: some have to wait on. */
bool fmx_devices_grant(struct fmx_devices *devices);

/* The keeper's thread. */
void *fmx_devices_keep(void *devices);

/* Watches the file and its log, as far as they are there. */
void fmx_devices_watch(struct fmx_devices *devices);

#endif
