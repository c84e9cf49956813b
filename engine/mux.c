/*
 * mux — the process object: validates options, makes shards and the queues between them
 *
 * Why it is so:   everything that more than one shard can see is made here before the first of them
 *                 runs, and taken apart after the last has ended; in between it is read-only, but
 *                 for the list of callers, to which any thread may add
 * Invariants:     (1) shards and inboxes do not move or change in number between start and stop
 *                 (2) a shard's ring is opened and used by its own thread only
 *                 (3) callers are added and used again, and freed with the mux
 * Threads:        open, start, stop, close: one thread of the user's; caller_open: any
 * Limits:         RLIMIT_NOFILE bounds the descriptors of each ring: more sessions mean more
 *                 shards, at most FMX_SHARDS_MAX
 * Not here:       what a shard does: shard.c
 */
#include "engine/mux.h"

#include "engine/listen.h"
#include "engine/options.h"
#include "engine/tls_pool.h"
#include "proto/limits.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#define INBOX_MESSAGES_MAX       4096u
#define INBOX_MESSAGES_MIN       256u
#define INBOX_MESSAGES_PER_SHARD 32768u /* over all its inboxes: 2 MiB */
#define CALLER_MESSAGES          4096u
#define FILES_MIN                64u
#define FILES_MAX                1048576u /* the kernel's bound for one ring */
#define SPREAD_PER_CENT          12u      /* room for an uneven spread over the shards */

struct fmx_mux {
    struct fmx_shard_options shard_options; /* read-only after open */
    struct fmx_shard *shards;
    uint32_t shards_count;
    struct fmx_mux_listen listen[FMX_LISTENERS_MAX];
    size_t listen_count;
    uint32_t backlog;
    int *cpus;
    uint32_t cpus_count;
    bool pin;

    pthread_mutex_t lock; /* start-up only: `ready` and `error` below */
    pthread_cond_t changed;
    uint32_t ready;
    enum fmx_status failure;
    char error[256];

    uint32_t threads_started;
    _Atomic(struct fmx_mux_caller *) callers; /* pushed by any thread, walked by shards */
    struct fmx_mux_caller *own_caller;        /* says STOP */
};

/* ── options ── */

void fmx_mux_options_init(struct fmx_mux_options *options)
{
    *options = (struct fmx_mux_options){
        .pin = true,
        .recv_buffers_count = 512,
        .recv_buffer_bytes = 16384,
        .send_queue_bytes_max = 1u << 20,
        .shard_bytes_max = 1ull << 30,
        .packets_per_turn_max = 512,
        .log_level = FMX_LOG_INFO,
    };
}

enum fmx_status fmx_mux_check_options(const struct fmx_mux_options *options, char *error,
                                      size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"shards_count", options->shards_count, 0, FMX_SHARDS_MAX},
        {"sessions_max", options->sessions_max, 0, FMX_SHARDS_MAX * (uint64_t)FILES_MAX},
        {"recv_buffers_count", options->recv_buffers_count, 64, 32768},
        {"recv_buffer_bytes", options->recv_buffer_bytes, 512, 65536},
        {"send_queue_bytes_max", options->send_queue_bytes_max, 1024, 1u << 30},
        {"shard_bytes_max", options->shard_bytes_max, 1u << 20, 1ull << 40},
        {"packets_per_turn_max", options->packets_per_turn_max, 1, 65536},
        {"log_level", (uint64_t)options->log_level, FMX_LOG_ERROR, FMX_LOG_DEBUG},
    };

    if ((options->recv_buffers_count & (options->recv_buffers_count - 1)) != 0) {
        snprintf(error, error_bytes, "recv_buffers_count is %u: write a power of two",
                 options->recv_buffers_count);
        return FMX_E_OPTION;
    }
    return fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);
}

/* ── processors ── */

static enum fmx_status add_cpu(struct fmx_mux *mux, unsigned long cpu)
{
    if (cpu >= CPU_SETSIZE) {
        return FMX_E_OPTION;
    }
    int *grown = realloc(mux->cpus, (mux->cpus_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    mux->cpus = grown;
    mux->cpus[mux->cpus_count++] = (int)cpu;
    return FMX_OK;
}

/* "0", "0-3,6" */
static enum fmx_status parse_cpus(struct fmx_mux *mux, const char *text)
{
    const char *at = text;

    while (*at != '\0') {
        char *end;
        unsigned long first = strtoul(at, &end, 10);
        if (end == at) {
            return FMX_E_OPTION;
        }
        unsigned long last = first;
        if (*end == '-') {
            at = end + 1;
            last = strtoul(at, &end, 10);
            if (end == at || last < first) {
                return FMX_E_OPTION;
            }
        }
        for (unsigned long cpu = first; cpu <= last; cpu++) {
            enum fmx_status status = add_cpu(mux, cpu);
            if (status != FMX_OK) {
                return status;
            }
        }
        at = *end == ',' ? end + 1 : end;
        if (*end != ',' && *end != '\0') {
            return FMX_E_OPTION;
        }
    }
    return mux->cpus_count > 0 ? FMX_OK : FMX_E_OPTION;
}

static enum fmx_status allowed_cpus(struct fmx_mux *mux)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) < 0) {
        return add_cpu(mux, 0);
    }
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &set)) {
            enum fmx_status status = add_cpu(mux, cpu);
            if (status != FMX_OK) {
                return status;
            }
        }
    }
    return mux->cpus_count > 0 ? FMX_OK : add_cpu(mux, 0);
}

/* Whether the kernel lets a thread of ours run there; it stays where it may run now. */
static bool may_use(int cpu, const cpu_set_t *now)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    bool may = sched_setaffinity(0, sizeof(set), &set) == 0 || errno != EINVAL;
    (void)sched_setaffinity(0, sizeof(*now), now);
    return may;
}

/* A processor that is not there, or not this process's, is a mistake, and not to be found out by
 * each thread. */
static enum fmx_status check_cpus(const struct fmx_mux *mux, const char *text, char *error,
                                  size_t error_bytes)
{
    cpu_set_t now;
    unsigned first = CPU_SETSIZE, last = 0;

    CPU_ZERO(&now);
    if (sched_getaffinity(0, sizeof(now), &now) < 0) {
        return FMX_OK;
    }
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        first = CPU_ISSET(cpu, &now) && first == CPU_SETSIZE ? cpu : first;
        last = CPU_ISSET(cpu, &now) ? cpu : last;
    }
    for (uint32_t i = 0; i < mux->cpus_count; i++) {
        if (!CPU_ISSET((size_t)mux->cpus[i], &now) && !may_use(mux->cpus[i], &now)) {
            snprintf(error, error_bytes,
                     "cpus is '%.100s': there is no processor %d for this process; write such from "
                     "%u to %u",
                     text, mux->cpus[i], first, last);
            return FMX_E_OPTION;
        }
    }
    return FMX_OK;
}

static enum fmx_status find_cpus(struct fmx_mux *mux, const char *text, char *error,
                                 size_t error_bytes)
{
    enum fmx_status status = text == NULL ? allowed_cpus(mux) : parse_cpus(mux, text);

    if (status == FMX_OK && text != NULL) {
        return check_cpus(mux, text, error, error_bytes);
    }
    if (status == FMX_E_OPTION) {
        snprintf(error, error_bytes, "cpus is '%s': write processor numbers such as 0 or 0-3,6",
                 text);
    } else if (status != FMX_OK) {
        snprintf(error, error_bytes, "no memory");
    }
    return status;
}

/* ── how many shards ── */

static uint32_t descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return 1024;
    }
    if (limit.rlim_cur < limit.rlim_max) { /* the hard limit is ours to use */
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur > FILES_MAX ? FILES_MAX : (uint32_t)limit.rlim_cur;
}

static uint64_t with_spread(uint64_t sessions, uint32_t shards)
{
    uint64_t each = (sessions + shards - 1) / shards;

    return shards == 1 ? each : each + each * SPREAD_PER_CENT / 100 + 16;
}

/*
 * As many shards as asked, or one for each processor; more if the sessions do not fit into that
 * many rings. The table of each ring is as large as its share, or as the limit allows.
 */
static enum fmx_status lay_out(struct fmx_mux *mux, const struct fmx_mux_plan *plan, char *error,
                               size_t error_bytes)
{
    const struct fmx_mux_options *options = plan->options;
    const uint32_t limit = descriptor_limit();
    uint64_t sessions =
        options->sessions_max > plan->sessions_min ? options->sessions_max : plan->sessions_min;
    uint32_t shards = options->shards_count > 0 ? options->shards_count : mux->cpus_count;
    uint32_t asked = shards;

    while (shards < FMX_SHARDS_MAX && with_spread(sessions, shards) > limit) {
        shards++;
    }
    if (with_spread(sessions, shards) > limit) {
        snprintf(
            error, error_bytes,
            "sessions_max is %llu: %u shards of %u descriptors hold fewer; raise RLIMIT_NOFILE "
            "(ulimit -n)",
            (unsigned long long)sessions, shards, limit);
        return FMX_E_OPTION;
    }
    uint64_t files = sessions == 0 ? limit : with_spread(sessions, shards);
    mux->shard_options.ring.files_count = (uint32_t)(files < FILES_MIN ? FILES_MIN : files);
    mux->shards_count = shards;
    if (shards != asked) {
        fmx_log_line(
            &mux->shard_options.log, FMX_LOG_INFO,
            "%u shards instead of %u: %llu sessions, and a ring holds at most %u descriptors "
            "(RLIMIT_NOFILE)",
            shards, asked, (unsigned long long)sessions, limit);
    }
    return FMX_OK;
}

/* ── open ── */

static uint32_t inbox_capacity(uint32_t shards_count)
{
    uint32_t capacity = INBOX_MESSAGES_MAX;

    while (capacity > INBOX_MESSAGES_MIN && capacity * shards_count > INBOX_MESSAGES_PER_SHARD) {
        capacity /= 2;
    }
    return capacity;
}

static struct fmx_inbox *open_inboxes(uint32_t count, uint32_t skip, uint32_t capacity)
{
    struct fmx_inbox *inboxes = aligned_alloc(64, count * sizeof(*inboxes));

    if (inboxes == NULL) {
        return NULL;
    }
    memset(inboxes, 0, count * sizeof(*inboxes));
    for (uint32_t i = 0; i < count; i++) {
        if (i != skip && fmx_inbox_open(&inboxes[i], capacity) != FMX_OK) {
            while (i-- > 0) {
                fmx_inbox_close(&inboxes[i]);
            }
            free(inboxes);
            return NULL;
        }
    }
    return inboxes;
}

static void close_inboxes(struct fmx_inbox *inboxes, uint32_t count)
{
    for (uint32_t i = 0; inboxes != NULL && i < count; i++) {
        fmx_inbox_close(&inboxes[i]);
    }
    free(inboxes);
}

static enum fmx_status open_shards(struct fmx_mux *mux)
{
    size_t bytes = mux->shards_count * sizeof(struct fmx_shard);

    mux->shards = aligned_alloc(64, bytes);
    if (mux->shards == NULL) {
        return FMX_LIMIT_MEMORY;
    }
    memset(mux->shards, 0, bytes);
    for (uint32_t i = 0; i < mux->shards_count; i++) {
        struct fmx_shard *shard = &mux->shards[i];
        shard->mux = mux;
        shard->index = i;
        shard->shards_count = mux->shards_count;
        shard->options = &mux->shard_options;
        shard->cpu = mux->pin ? mux->cpus[i % mux->cpus_count] : -1;
        shard->inboxes = open_inboxes(mux->shards_count, i, inbox_capacity(mux->shards_count));
        if (shard->inboxes == NULL) {
            return FMX_LIMIT_MEMORY;
        }
    }
    return FMX_OK;
}

static void copy_plan(struct fmx_mux *mux, const struct fmx_mux_plan *plan)
{
    const struct fmx_mux_options *options = plan->options;

    FMX_ASSERT(plan->listen_count <= FMX_LISTENERS_MAX);
    mux->shard_options = (struct fmx_shard_options){
        .role = plan->role,
        .role_user = plan->role_user,
        .session = plan->session,
        .ring = {.buffers_count = options->recv_buffers_count,
                 .buffer_bytes = options->recv_buffer_bytes},
        .send_queue_bytes_max = options->send_queue_bytes_max,
        .shard_bytes_max = options->shard_bytes_max,
        .packets_per_turn_max = options->packets_per_turn_max,
        .connect_timeout_ns = plan->connect_timeout_ns,
    };
    if (plan->tls != NULL) {
        mux->shard_options.tls = *plan->tls;
    } else {
        fmx_tls_limits_init(&mux->shard_options.tls);
    }
    fmx_log_init(&mux->shard_options.log, options);
    mux->listen_count = plan->listen_count;
    for (size_t i = 0; i < plan->listen_count; i++) {
        mux->listen[i] = plan->listen[i];
        if (plan->listen[i].tls != NULL) {
            mux->listen[i].tls = fmx_tls_context_hold(plan->listen[i].tls);
        }
    }
    mux->backlog = plan->backlog;
    mux->pin = options->pin;
}

enum fmx_status fmx_mux_open(const struct fmx_mux_plan *plan, struct fmx_mux **out_mux, char *error,
                             size_t error_bytes)
{
    struct fmx_mux *mux = calloc(1, sizeof(*mux));

    if (mux == NULL) {
        snprintf(error, error_bytes, "no memory");
        return FMX_LIMIT_MEMORY;
    }
    pthread_mutex_init(&mux->lock, NULL);
    pthread_cond_init(&mux->changed, NULL);
    copy_plan(mux, plan);
    enum fmx_status status = find_cpus(mux, plan->options->cpus, error, error_bytes);
    if (status == FMX_OK) {
        status = lay_out(mux, plan, error, error_bytes);
    }
    if (status == FMX_OK) {
        status = open_shards(mux);
        if (status == FMX_OK) {
            status = fmx_mux_caller_open(mux, &mux->own_caller);
        }
        if (status == FMX_OK) {
            mux->own_caller->is_own = true;
        }
        if (status != FMX_OK) {
            snprintf(error, error_bytes, "no memory for %u shards", mux->shards_count);
        }
    }
    if (status != FMX_OK) {
        fmx_mux_close(mux);
        return status;
    }
    *out_mux = mux;
    return FMX_OK;
}

/* ── start ── */

static const char *listen_hint(int cause)
{
    switch (cause) {
    case EADDRINUSE:
        return "stop its other user, or listen on another port";
    case EACCES:
        return "a port below 1024 needs CAP_NET_BIND_SERVICE; use one above";
    case EADDRNOTAVAIL:
        return "it is not an address of this machine; 'ip addr' lists those that are";
    default:
        return "listen elsewhere";
    }
}

static void describe_listen(const struct fmx_mux *mux, size_t listener, char *error,
                            size_t error_bytes)
{
    const struct fmx_address *address = &mux->listen[listener].address;
    int cause = errno;
    char host[64] = "?";
    char port[8] = "?";

    (void)getnameinfo((const struct sockaddr *)&address->storage, address->bytes, host,
                      sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(error, error_bytes, "listen: %s port %s: %s: %s", host, port, strerror(cause),
             listen_hint(cause));
}

static enum fmx_status listen_everywhere(struct fmx_mux *mux, size_t listener)
{
    struct fmx_mux_listen *listen = &mux->listen[listener];
    struct fmx_address *address = &listen->address;
    enum fmx_status status = fmx_listen_probe(&address->storage, address->bytes);

    for (uint32_t i = 0; status == FMX_OK && i < mux->shards_count; i++) {
        struct fmx_shard *shard = &mux->shards[i];
        int fd;
        status = fmx_listen_open(&address->storage, address->bytes, mux->backlog, &fd);
        if (status == FMX_OK) {
            shard->listeners[shard->listeners_count++] = (struct fmx_listener){
                .fd = fd,
                .transport = listen->transport,
                .tls = listen->tls == NULL ? NULL : fmx_tls_context_hold(listen->tls),
            };
        }
    }
    return status;
}

static void close_listeners(struct fmx_shard *shard)
{
    while (shard->listeners_count > 0) {
        struct fmx_listener *listener = &shard->listeners[--shard->listeners_count];
        close(listener->fd);
        fmx_tls_context_drop(listener->tls);
    }
}

static void report_ready(struct fmx_mux *mux, enum fmx_status status, const char *error)
{
    pthread_mutex_lock(&mux->lock);
    mux->ready++;
    if (status != FMX_OK && mux->failure == FMX_OK) {
        mux->failure = status;
        snprintf(mux->error, sizeof(mux->error), "%s", error);
    }
    pthread_cond_broadcast(&mux->changed);
    pthread_mutex_unlock(&mux->lock);
}

/* All shards are open, or one has failed: no shard posts to one that is not there yet. */
static enum fmx_status await_all(struct fmx_mux *mux)
{
    pthread_mutex_lock(&mux->lock);
    while (mux->ready < mux->shards_count && mux->failure == FMX_OK) {
        pthread_cond_wait(&mux->changed, &mux->lock);
    }
    enum fmx_status status = mux->failure;
    pthread_mutex_unlock(&mux->lock);
    return status;
}

static void pin_thread(struct fmx_shard *shard)
{
    cpu_set_t set;

    if (shard->cpu < 0) {
        return;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)shard->cpu, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0) {
        fmx_log_line(&shard->options->log, FMX_LOG_WARN,
                     "shard %u could not be pinned to processor %d", shard->index, shard->cpu);
    }
}

static void *run_thread(void *argument)
{
    struct fmx_shard *shard = argument;
    char error[256] = "";

    pin_thread(shard);
    enum fmx_status status = fmx_shard_open(shard, error, sizeof(error));
    report_ready(shard->mux, status, error);
    if (await_all(shard->mux) == FMX_OK) {
        fmx_shard_run(shard);
    }
    return NULL;
}

static enum fmx_status start_threads(struct fmx_mux *mux, char *error, size_t error_bytes)
{
    while (mux->threads_started < mux->shards_count) {
        struct fmx_shard *shard = &mux->shards[mux->threads_started];
        int result = pthread_create(&shard->thread, NULL, run_thread, shard);
        if (result != 0) {
            snprintf(error, error_bytes, "thread %u of %u: %s", mux->threads_started + 1,
                     mux->shards_count, strerror(result));
            report_ready(mux, FMX_SYS_THREAD, error);
            return FMX_SYS_THREAD;
        }
        mux->threads_started++;
    }
    enum fmx_status status = await_all(mux);
    if (status != FMX_OK) {
        snprintf(error, error_bytes, "%s", mux->error);
    }
    return status;
}

static void join_threads(struct fmx_mux *mux)
{
    while (mux->threads_started > 0) {
        pthread_join(mux->shards[--mux->threads_started].thread, NULL);
    }
}

enum fmx_status fmx_mux_start(struct fmx_mux *mux, char *error, size_t error_bytes)
{
    if (mux->shard_options.tls.workers > 0) {
        enum fmx_status status =
            fmx_tls_pool_open(mux->shard_options.tls.workers, mux->shards_count, mux->cpus,
                              mux->cpus_count, &mux->shard_options.tls_pool);
        if (status != FMX_OK) {
            snprintf(error, error_bytes, "%u workers for TLS: %s", mux->shard_options.tls.workers,
                     fmx_status_text(status));
            return status;
        }
    }
    for (size_t i = 0; i < mux->listen_count; i++) {
        enum fmx_status status = listen_everywhere(mux, i);
        if (status != FMX_OK) {
            describe_listen(mux, i, error, error_bytes);
            return status;
        }
    }
    enum fmx_status status = start_threads(mux, error, error_bytes);
    if (status != FMX_OK) {
        join_threads(mux);
    }
    return status;
}

/* ── stop, close ── */

void fmx_mux_stop(struct fmx_mux *mux, uint32_t drain_ms)
{
    struct fmx_msg stop = {.kind = FMX_MSG_STOP, .stop = {.drain_ms = drain_ms}};

    if (mux->threads_started == 0) {
        return;
    }
    for (uint32_t i = 0; i < mux->shards_count; i++) {
        bool posted = fmx_mux_caller_post(mux->own_caller, i, &stop);
        FMX_ASSERT(posted); /* nothing else is ever said through it */
    }
    join_threads(mux);
    for (uint32_t i = 0; i < mux->shards_count; i++) {
        fmx_shard_discard(fmx_mux_shard(mux, i));
    }
}

static void close_callers(struct fmx_mux *mux)
{
    struct fmx_mux_caller *caller = atomic_load(&mux->callers);

    while (caller != NULL) {
        struct fmx_mux_caller *next = caller->next;
        close_inboxes(caller->inboxes, mux->shards_count);
        free(caller);
        caller = next;
    }
}

void fmx_mux_close(struct fmx_mux *mux)
{
    FMX_ASSERT(mux->threads_started == 0);
    fmx_tls_pool_close(mux->shard_options.tls_pool); /* may still be ringing a shard's bell */
    for (size_t i = 0; i < mux->listen_count; i++) {
        fmx_tls_context_drop(mux->listen[i].tls);
    }
    for (uint32_t i = 0; mux->shards != NULL && i < mux->shards_count; i++) {
        close_listeners(&mux->shards[i]);
        fmx_shard_close(&mux->shards[i]);
    }
    for (uint32_t i = 0; mux->shards != NULL && i < mux->shards_count; i++) {
        close_inboxes(mux->shards[i].inboxes, mux->shards_count);
    }
    close_callers(mux);
    pthread_mutex_destroy(&mux->lock);
    pthread_cond_destroy(&mux->changed);
    free(mux->shards);
    free(mux->cpus);
    free(mux);
}

/* ── looking in, and calling in, from outside ── */

uint32_t fmx_mux_shards_count(const struct fmx_mux *mux)
{
    return mux->shards_count;
}

uint32_t fmx_mux_threads_count(const struct fmx_mux *mux)
{
    return mux->shards_count + mux->shard_options.tls.workers;
}

enum fmx_status fmx_mux_renew_tls(struct fmx_mux_caller *caller, size_t listener,
                                  struct fmx_tls_context *context)
{
    FMX_ASSERT(listener < caller->mux->listen_count);
    for (uint32_t i = 0; i < caller->mux->shards_count; i++) {
        struct fmx_msg renew = {
            .kind = FMX_MSG_RENEW_TLS,
            .renew_tls = {.context = fmx_tls_context_hold(context), .listener = (uint32_t)listener},
        };
        if (!fmx_mux_caller_post(caller, i, &renew)) {
            fmx_tls_context_drop(context);
            return FMX_FULL;
        }
    }
    return FMX_OK;
}

struct fmx_shard *fmx_mux_shard(struct fmx_mux *mux, uint32_t index)
{
    FMX_DEBUG_ASSERT(index < mux->shards_count);
    return &mux->shards[index];
}

uint16_t fmx_mux_port(const struct fmx_mux *mux, size_t listener)
{
    const struct sockaddr_storage *storage = &mux->listen[listener].address.storage;

    FMX_ASSERT(listener < mux->listen_count);
    return storage->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)storage)->sin6_port)
                                          : ntohs(((const struct sockaddr_in *)storage)->sin_port);
}

void fmx_mux_stats(const struct fmx_mux *mux, struct fmx_stats *out_stats)
{
    memset(out_stats, 0, sizeof(*out_stats));
    for (uint32_t i = 0; i < mux->shards_count; i++) {
        fmx_stats_add(out_stats, &mux->shards[i].counters);
    }
}

const struct fmx_log *fmx_mux_log(const struct fmx_mux *mux)
{
    return &mux->shard_options.log;
}

/* acquire: what its last user wrote is seen by the next */
static struct fmx_mux_caller *reuse_caller(struct fmx_mux *mux)
{
    for (struct fmx_mux_caller *caller = fmx_mux_callers(mux); caller != NULL;
         caller = caller->next) {
        bool in_use = false;
        if (atomic_compare_exchange_strong_explicit(&caller->in_use, &in_use, true,
                                                    memory_order_acquire, memory_order_relaxed)) {
            return caller;
        }
    }
    return NULL;
}

static struct fmx_mux_caller *make_caller(struct fmx_mux *mux)
{
    struct fmx_mux_caller *caller = calloc(1, sizeof(*caller));

    if (caller == NULL) {
        return NULL;
    }
    caller->mux = mux;
    atomic_store_explicit(&caller->in_use, true, memory_order_relaxed);
    caller->inboxes = open_inboxes(mux->shards_count, UINT32_MAX, CALLER_MESSAGES);
    if (caller->inboxes == NULL) {
        free(caller);
        return NULL;
    }
    caller->next = atomic_load_explicit(&mux->callers, memory_order_relaxed);
    /* release: a shard that sees the caller sees its inboxes whole */
    while (!atomic_compare_exchange_weak_explicit(&mux->callers, &caller->next, caller,
                                                  memory_order_release, memory_order_relaxed)) {
    }
    return caller;
}

enum fmx_status fmx_mux_caller_open(struct fmx_mux *mux, struct fmx_mux_caller **out_caller)
{
    struct fmx_mux_caller *caller = reuse_caller(mux);

    if (caller == NULL) {
        caller = make_caller(mux);
    }
    *out_caller = caller;
    return caller == NULL ? FMX_LIMIT_MEMORY : FMX_OK;
}

void fmx_mux_caller_close(struct fmx_mux_caller *caller)
{
    atomic_store_explicit(&caller->in_use, false, memory_order_release);
}

bool fmx_mux_caller_has_room(struct fmx_mux_caller *caller, uint32_t to_shard)
{
    FMX_DEBUG_ASSERT(to_shard < caller->mux->shards_count);
    return fmx_inbox_has_room(&caller->inboxes[to_shard]);
}

bool fmx_mux_caller_post(struct fmx_mux_caller *caller, uint32_t to_shard, struct fmx_msg *message)
{
    struct fmx_shard *shard = fmx_mux_shard(caller->mux, to_shard);

    message->from_shard = FMX_SHARD_NONE;
    if (!fmx_inbox_push(&caller->inboxes[to_shard], message)) {
        return false;
    }
    if (fmx_bell_must_ring(&shard->bell)) {
        fmx_ring_wake(shard->ring);
    }
    return true;
}

struct fmx_mux_caller *fmx_mux_callers(struct fmx_mux *mux)
{
    return atomic_load_explicit(&mux->callers, memory_order_acquire);
}
