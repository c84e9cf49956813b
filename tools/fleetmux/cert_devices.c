/*
 * cert_devices — `fleetmux cert devices`: a certificate for each of many devices
 *
 * Why it is so:   a registry or a fleet has up to millions of them. The authority is read once, the
 *                 disk is waited for once, at the end, and all processors work: one gathers who the
 *                 devices are, until a batch is full, and then all make that batch. Devices that
 *                 have a certificate are left out, so that it can be called again when there are
 *                 more
 * Invariants:     each file is there as a whole or not at all, whenever the process ends
 * Threads:        the main thread, and others within make_batch, where nothing is changed but
 *                 under the mutex, and `next`, which is only counted up
 * Limits:         a power failure before the end may leave empty files; these are told, not kept
 */
#include "tools/fleetmux/cert.h"
#include "tools/fleetmux/verbs.h"
#include "tools/fleetmux/words.h"

#include <fleetmux/registry.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MAX   4096u
#define THREADS_MAX 16u
#define NAME_BYTES  100 /* "PK/DN" */

struct many {
    struct cert_run *run;
    const char *folder;
    struct fmx_cert_issuer *issuer;
    char place[CERT_PATH_BYTES]; /* the folder made last */
    char (*names)[NAME_BYTES];   /* the batch */
    size_t names_count;
    atomic_size_t next;
    pthread_mutex_t mutex; /* of what follows */
    uint64_t made, kept;
    int result;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ── a batch ── */

static int make_new(struct many *many, const struct cert_device *device)
{
    struct cert_run told = {.settings = many->run->settings};
    struct fmx_cert_options options;

    fmx_cert_options_init(&options);
    options.is_client = true;
    options.common_name = device->device_name;
    options.organization = device->product_key[0] != '\0' ? device->product_key : NULL;
    options.issuer = many->issuer;
    options.days = told.settings->days;
    options.out_cert = device->pair.cert;
    options.out_key = device->pair.key;
    options.is_unsynced = true;
    return cert_tell(&told, fmx_cert_make(&options, told.error, sizeof(told.error)));
}

/* Makes the certificate of one device of the batch, unless there is one. */
static int make_one(struct many *many, const char *name, bool *out_is_made)
{
    struct cert_device device;
    int result = cert_device_of(many->folder, name, &device);

    *out_is_made = false;
    if (result != EXIT_PASS) {
        return result;
    }
    switch (cert_pair_state(&device.pair)) {
    case CERT_THERE:
        return EXIT_PASS;
    case CERT_HALF:
        return cert_refuse_half(&device.pair);
    case CERT_MISSING:
        break;
    }
    result = make_new(many, &device);
    *out_is_made = result == EXIT_PASS;
    return result;
}

static void *make_some(void *user)
{
    struct many *many = user;
    uint64_t made = 0, kept = 0;
    int result = EXIT_PASS;

    while (result == EXIT_PASS) {
        size_t at = atomic_fetch_add(&many->next, 1);
        bool is_made;
        if (at >= many->names_count) {
            break;
        }
        result = make_one(many, many->names[at], &is_made);
        made += is_made;
        kept += result == EXIT_PASS && !is_made;
    }
    if (result != EXIT_PASS) {
        atomic_store(&many->next, many->names_count); /* the others end too */
    }
    pthread_mutex_lock(&many->mutex);
    many->made += made;
    many->kept += kept;
    many->result = many->result == EXIT_PASS ? result : many->result;
    pthread_mutex_unlock(&many->mutex);
    return NULL;
}

/* Makes the batch, and empties it. False: it is over, see `result`. */
static bool make_batch(struct many *many)
{
    pthread_t threads[THREADS_MAX];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = 0;

    atomic_store(&many->next, 0);
    while (count < THREADS_MAX && (long)count + 1 < processors &&
           pthread_create(&threads[count], NULL, make_some, many) == 0) {
        count++;
    }
    make_some(many);
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    many->names_count = 0;
    return many->result == EXIT_PASS;
}

/* Makes the folder of the device's files unless that was done for the one before. */
static int make_place(struct many *many, const struct cert_device *device)
{
    size_t bytes = (size_t)(strrchr(device->pair.cert, '/') - device->pair.cert);

    if (strncmp(many->place, device->pair.cert, bytes) == 0 && many->place[bytes] == '\0') {
        return EXIT_PASS;
    }
    snprintf(many->place, sizeof(many->place), "%.*s", (int)bytes, device->pair.cert);
    return cert_make_folder(many->place);
}

/* Puts a device into the batch. False: it is over, see `result`. */
static bool add_one(struct many *many, const char *product_key, const char *device_name)
{
    struct cert_device device;
    char *name = many->names[many->names_count];
    int bytes = snprintf(name, NAME_BYTES, "%s%s%s", product_key, product_key[0] != '\0' ? "/" : "",
                         device_name);

    many->result = bytes < NAME_BYTES ? cert_device_of(many->folder, name, &device)
                                      : cert_refuse("device '%s…': the name is too long", name);
    if (many->result == EXIT_PASS) {
        many->result = make_place(many, &device);
    }
    if (many->result != EXIT_PASS) {
        return false;
    }
    many->names_count++;
    return many->names_count < BATCH_MAX || make_batch(many);
}

/* ── who they are ── */

static bool make_registered(void *user, const struct fmx_device *device)
{
    return add_one(user, device->product_key, device->device_name);
}

static void make_all_registered(struct many *many)
{
    char error[FMX_REGISTRY_ERROR_BYTES] = "";
    struct fmx_registry *registry = NULL;
    enum fmx_status status =
        fmx_registry_open(many->run->settings->registry, &registry, error, sizeof(error));

    if (status == FMX_OK) {
        status = fmx_registry_each_device(registry, many->run->settings->product, make_registered,
                                          many, error, sizeof(error));
        fmx_registry_close(registry);
    }
    if (status != FMX_OK) {
        many->result = cert_refuse("%s", error);
    }
}

/* "TEXT_%i", or TEXT with its %i and %n filled in. False: it is too long. */
static bool fill_name(const char *text, uint64_t number, uint64_t run_number, char out_name[66])
{
    bool is_whole = strstr(text, "%i") != NULL || strstr(text, "%n") != NULL;
    size_t used = 0;

    for (; *text != '\0' && used < 66; text++) {
        bool is_variable = text[0] == '%' && (text[1] == 'i' || text[1] == 'n');
        if (is_variable) {
            used += (size_t)snprintf(out_name + used, 66 - used, "%" PRIu64,
                                     *++text == 'i' ? number : run_number);
        } else {
            out_name[used++] = *text;
            text += text[0] == '%' && text[1] == '%';
        }
    }
    if (used < 66 && !is_whole) {
        used += (size_t)snprintf(out_name + used, 66 - used, "_%" PRIu64, number);
    }
    if (used < 66) {
        out_name[used] = '\0';
    }
    return used < 66;
}

static void make_counted(struct many *many)
{
    const struct cert_settings *settings = many->run->settings;
    const char *product_key = settings->product != NULL ? settings->product : "";
    const char *prefix = product_key[0] != '\0' ? "device" : "fleetmux";
    char name[66];
    bool is_good = true;

    if (settings->device_prefix != NULL) {
        prefix = settings->device_prefix;
    }
    for (uint64_t i = 0; i < settings->count && is_good; i++) {
        if (!fill_name(prefix, settings->start_number + i + 1, i, name)) {
            many->result = cert_refuse("option '--device-prefix': '%.80s' makes names of more than "
                                       "64 bytes",
                                       prefix);
            return;
        }
        is_good = add_one(many, product_key, name);
    }
}

/* ── all of them ── */

static int check(const struct cert_run *run)
{
    const struct cert_settings *settings = run->settings;

    if ((settings->registry != NULL) == (settings->count > 0)) {
        return cert_refuse("write --registry FILE for the devices of a registry, or --count COUNT");
    }
    if (settings->registry != NULL &&
        (flags_is_given(run->set, "startnumber") || settings->device_prefix != NULL)) {
        return cert_refuse("options '--startnumber' and '--device-prefix' go with --count only");
    }
    return EXIT_PASS;
}

static void sync_disk(struct many *many)
{
    int fd = open(many->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || syncfs(fd) != 0) {
        many->result = cert_refuse("'%s' cannot be written: %s", many->folder, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* The option of the fleet that finds them; a percent sign of the folder's name stands twice. */
static void print_template(const struct many *many, const char *end)
{
    char text[2 * CERT_PATH_BYTES];
    bool is_product = many->run->settings->product != NULL || many->run->settings->registry != NULL;
    size_t used = 0;

    for (const char *at = many->folder; *at != '\0' && used + 2 < CERT_PATH_BYTES; at++) {
        text[used++] = *at;
        if (*at == '%') {
            text[used++] = '%';
        }
    }
    snprintf(text + used, sizeof(text) - used, "%s.%s", is_product ? "/%p/%d" : "/devices/%c", end);
    cert_print_quoted(text);
}

static void print_summary(const struct many *many, uint64_t begin_ns)
{
    printf("made %s certificates of devices in %s", words_count(many->made).text,
           words_time(now_ns() - begin_ns).text);
    if (many->kept > 0) {
        printf(", kept %s", words_count(many->kept).text);
    }
    printf("\nfleetmux fleet finds them with --cert-template ");
    print_template(many, "crt");
    printf(" --key-template ");
    print_template(many, "key");
    printf("\n");
}

static int make_all(struct many *many)
{
    uint64_t begin_ns = now_ns();

    if (many->run->settings->registry != NULL) {
        make_all_registered(many);
    } else {
        make_counted(many);
    }
    if (many->names_count > 0 && many->result == EXIT_PASS) {
        make_batch(many);
    }
    if (many->made > 0) {
        sync_disk(many);
    }
    if (many->result == EXIT_PASS) {
        print_summary(many, begin_ns);
    } else if (many->made > 0) {
        printf("made %s certificates of devices until then\n", words_count(many->made).text);
    }
    return many->result;
}

int cert_devices(struct cert_run *run)
{
    static struct many many = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    static struct cert_pair room;
    struct fmx_cert_options options;
    int result = check(run);

    many.run = run;
    many.folder = run->operands[0];
    if (result == EXIT_PASS) {
        result = cert_set_issuer(run, many.folder, &room, &options);
    }
    if (result == EXIT_PASS) {
        result = cert_make_folder(many.folder);
    }
    if (result == EXIT_PASS) {
        result = cert_tell(run, fmx_cert_issuer_open(options.issuer_cert, options.issuer_key,
                                                     &many.issuer, run->error, sizeof(run->error)));
    }
    many.names = calloc(BATCH_MAX, sizeof(*many.names));
    if (result == EXIT_PASS && many.names == NULL) {
        result = cert_tell(run, FMX_LIMIT_MEMORY);
    }
    if (result == EXIT_PASS) {
        result = make_all(&many);
    }
    free(many.names);
    fmx_cert_issuer_close(many.issuer);
    return result;
}
