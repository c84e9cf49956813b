/*
 * cert_dev — `fleetmux cert dev`: all that TLS on both ends needs, in one command
 *
 * Why it is so:   whoever wants to see TLS work shall not have to learn who signs whom first. It
 *                 may be called again, with other devices or after files were removed: only what is
 *                 missing is made
 * Threads:        one
 */
#include "tools/fleetmux/cert.h"
#include "tools/fleetmux/verbs.h"

#include <stdio.h>
#include <string.h>

#define DEVICE "demo/device_1"

static const char *const local_names[] = {"localhost", "127.0.0.1", "::1"};

#define LOCAL_NAMES_COUNT (sizeof(local_names) / sizeof(local_names[0]))

/* All of it. */
struct dev {
    const char *folder;
    struct cert_pair ca;
    struct cert_pair server;
    struct cert_pair server_rsa;
    struct cert_device device; /* the last */
    const char *names[CERT_NAMES_MAX];
    size_t names_count;
};

static bool has_name(const struct dev *dev, const char *name)
{
    for (size_t i = 0; i < dev->names_count; i++) {
        if (strcmp(dev->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void gather_names(struct dev *dev, const struct flag_list *given)
{
    for (size_t i = 0; i < LOCAL_NAMES_COUNT; i++) {
        dev->names[dev->names_count++] = local_names[i];
    }
    for (size_t i = 0; i < given->count; i++) {
        if (!has_name(dev, given->items[i])) {
            dev->names[dev->names_count++] = given->items[i];
        }
    }
}

/* True if there is nothing to make; `out_result` says whether that is good. */
static bool is_done(const struct cert_pair *pair, int *out_result)
{
    enum cert_state state = cert_pair_state(pair);

    *out_result = EXIT_PASS;
    if (state == CERT_HALF) {
        *out_result = cert_refuse_half(pair);
    } else if (state == CERT_THERE) {
        printf("kept %s\n", pair->cert);
    }
    return state != CERT_MISSING;
}

static int make_authority(struct cert_run *run, struct dev *dev)
{
    int result;

    if (is_done(&dev->ca, &result)) {
        return result;
    }
    return cert_make_authority(run, dev->folder, &dev->ca);
}

static int make_server(struct cert_run *run, struct dev *dev, const struct cert_pair *pair,
                       enum fmx_cert_key key)
{
    int result;

    if (!is_done(pair, &result)) {
        return cert_make_server(run, dev->folder, pair, key, dev->names, dev->names_count);
    }
    if (result == EXIT_PASS && run->settings->names.count > 0) {
        printf("  whether it has the names of --name was not looked at; remove it and its key to "
               "have it made anew\n");
    }
    return result;
}

static int make_device(struct cert_run *run, struct dev *dev, const char *text)
{
    int result = cert_device_of(dev->folder, text, &dev->device);

    if (result != EXIT_PASS || is_done(&dev->device.pair, &result)) {
        return result;
    }
    return cert_make_device(run, dev->folder, &dev->device);
}

static int make_devices(struct cert_run *run, struct dev *dev)
{
    const struct flag_list *given = &run->settings->devices;
    int result = EXIT_PASS;

    for (size_t i = 0; i < given->count && result == EXIT_PASS; i++) {
        result = make_device(run, dev, given->items[i]);
    }
    return given->count == 0 ? make_device(run, dev, DEVICE) : result;
}

static void print_option(const char *option, const char *path)
{
    printf(" %s ", option);
    cert_print_quoted(path);
}

static void print_use(const struct dev *dev)
{
    printf("\na gateway with them:\n  fleetmux gateway --listen mqtts://127.0.0.1:8883");
    print_option("\\\n    --tls-cert", dev->server.cert);
    print_option("--tls-key", dev->server.key);
    print_option("\\\n    --tls-cert-rsa", dev->server_rsa.cert);
    print_option("--tls-key-rsa", dev->server_rsa.key);
    print_option("\\\n    --tls-client-auth request --tls-client-ca", dev->ca.cert);
    printf("\nand a client with that device's certificate:\n  fleetmux fleet conn -h 127.0.0.1 -p "
           "8883 -c 1");
    print_option("--cafile", dev->ca.cert);
    print_option("\\\n    --cert", dev->device.pair.cert);
    print_option("--key", dev->device.pair.key);
    printf("\n");
}

int cert_dev(struct cert_run *run)
{
    static struct dev dev;

    dev.folder = run->operands[0];
    gather_names(&dev, &run->settings->names);
    if (cert_make_folder(dev.folder) != EXIT_PASS || !cert_pair_of(dev.folder, "ca", &dev.ca) ||
        !cert_pair_of(dev.folder, "server", &dev.server) ||
        !cert_pair_of(dev.folder, "server-rsa", &dev.server_rsa)) {
        return EXIT_USAGE;
    }
    int result = make_authority(run, &dev);
    if (result == EXIT_PASS) {
        result = make_server(run, &dev, &dev.server, FMX_CERT_KEY_P256);
    }
    if (result == EXIT_PASS) {
        result = make_server(run, &dev, &dev.server_rsa, FMX_CERT_KEY_RSA2048);
    }
    if (result == EXIT_PASS) {
        result = make_devices(run, &dev);
    }
    if (result == EXIT_PASS) {
        print_use(&dev);
    }
    return result;
}
