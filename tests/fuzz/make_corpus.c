/*
 * make_corpus — seeds for the fuzz targets: real packets of all kinds and versions
 *
 * Usage: make_corpus tests/fuzz/corpus. Writes frame/, decode/, props/ and topic/ below it, which
 * exist; the same files every time.
 */
#include <stdio.h>

#include <fleetmux/private/assert.h>
#include "proto/encode.h"
#include "tests/support/random_packet.h"

#define PACKET_BYTES_MAX 200u

static const enum fmx_version versions[] = {FMX_MQTT_31, FMX_MQTT_311, FMX_MQTT_50};

static void save(const char *folder, const char *target, const char *name, fmx_slice span)
{
    char path[512];
    int length = snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);

    FMX_ASSERT(length > 0 && (size_t)length < sizeof path);
    FILE *file = fopen(path, "wb");
    FMX_ASSERT(file != NULL);
    FMX_ASSERT(fwrite(span.data, 1, span.bytes, file) == span.bytes);
    FMX_ASSERT(fclose(file) == 0);
}

/* The first small packet of this kind, or nothing if that side does not send it. */
static void save_kind(const char *folder, unsigned version, enum fmx_side from, unsigned kind)
{
    static struct fmx_random_store store;
    uint8_t wire[1 + PACKET_BYTES_MAX];
    struct fmx_packet packet;
    char name[64];

    for (uint64_t seed = 1; seed < 400; seed++) {
        struct fmx_prng prng = {seed};
        fmx_random_packet(&prng, versions[version], from, &store, &packet);
        size_t bytes = fmx_encode_bytes(&packet, versions[version]);
        if (packet.kind != kind || bytes > PACKET_BYTES_MAX) {
            continue;
        }
        wire[0] = (uint8_t)(version << 1 | from);
        (void)fmx_encode(&packet, versions[version], wire + 1);
        (void)snprintf(name, sizeof name, "v%u_%s_%02u", versions[version],
                       from == FMX_SIDE_CLIENT ? "client" : "server", kind);
        save(folder, "decode", name, (fmx_slice){wire, bytes + 1});
        save(folder, "frame", name, (fmx_slice){wire + 1, bytes});
        return;
    }
}

static void save_props(const char *folder, unsigned place)
{
    static struct fmx_random_store store;
    uint8_t wire[2048];
    char name[64];
    struct fmx_props props;

    for (uint64_t seed = 1;; seed++) {
        struct fmx_prng prng = {seed};
        store.used = 0;
        fmx_random_props(&prng, place, &store, &props);
        size_t bytes = fmx_props_bytes(&props);
        if (bytes > 8 && bytes < sizeof wire) {
            struct fmx_writer writer = fmx_writer_of(wire, sizeof wire);
            fmx_write_u8(&writer, (uint8_t)place);
            fmx_props_write(&writer, &props);
            (void)snprintf(name, sizeof name, "place_%02u", place);
            save(folder, "props", name, (fmx_slice){wire, (size_t)(writer.at - wire)});
            return;
        }
    }
}

static void save_topics(const char *folder)
{
    static const char *const pairs[][2] = {
        {"a/b", "a/b"},
        {"a/#", "a"},
        {"a/+/c", "a/b/c"},
        {"#", "$SYS/x"},
        {"+", "a"},
        {"/", "/"},
        {"+/+", "/"},
        {"a/+/#", "a/b"},
        {"a//b", "a//b"},
        {"$SYS/#", "$SYS/x"},
        {"$share/g/a/#", "a/b"},
        {"a/b?_rid=1", "a/b"},
        {"\xe4\xb8\xad/#", "\xe4\xb8\xad/\xc3\xa9"},
    };
    uint8_t bytes[128];
    char name[64];

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct fmx_writer writer = fmx_writer_of(bytes, sizeof bytes);
        fmx_write_bytes(&writer, fmx_slice_of(pairs[i][0]));
        fmx_write_u8(&writer, 0);
        fmx_write_bytes(&writer, fmx_slice_of(pairs[i][1]));
        (void)snprintf(name, sizeof name, "pair_%02zu", i);
        save(folder, "topic", name, (fmx_slice){bytes, (size_t)(writer.at - bytes)});
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus FOLDER\n");
        return 2;
    }
    for (unsigned version = 0; version < 3; version++) {
        for (unsigned kind = FMX_CONNECT; kind <= FMX_AUTH; kind++) {
            save_kind(argv[1], version, FMX_SIDE_SERVER, kind);
            save_kind(argv[1], version, FMX_SIDE_CLIENT, kind);
        }
    }
    for (unsigned place = 0; place < 16; place++) {
        if (place != FMX_PINGREQ && place != FMX_PINGRESP) {
            save_props(argv[1], place);
        }
    }
    save_topics(argv[1]);
    return 0;
}
