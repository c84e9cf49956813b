/*
 * make_corpus — seeds for the fuzz targets: real packets of all kinds and versions
 *
 * Usage: make_corpus tests/fuzz/corpus. Writes frame/, decode/, props/, topic/ and tls/ below it,
 * which exist; the same files every time.
 */
#include <stdio.h>

#include <fleetmux/private/assert.h>
#include "proto/cursor.h"
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

/* ── TLS ── */

static void write_extension(struct fmx_writer *writer, uint16_t kind, const uint8_t *content,
                            size_t bytes)
{
    fmx_write_u16(writer, kind);
    fmx_write_u16(writer, (uint16_t)bytes);
    fmx_write_bytes(writer, (fmx_slice){content, bytes});
}

/* What clients offer; TLS 1.3 with a key share of no key in particular. */
static void write_extensions(struct fmx_writer *writer, bool is_13)
{
    static const uint8_t name[] = "\x00\x0c\x00\x00\x09localhost";
    static const uint8_t groups[] = "\x00\x04\x00\x1d\x00\x17";
    static const uint8_t formats[] = "\x01\x00";
    static const uint8_t signatures[] = "\x00\x08\x04\x03\x08\x04\x04\x01\x02\x01";
    static const uint8_t alpn[] = "\x00\x05\x04mqtt";
    static const uint8_t offered[] = "\x04\x03\x04\x03\x03";
    uint8_t share[38] = {0, 36, 0, 0x1d, 0, 32, 9};

    write_extension(writer, 0, name, sizeof name - 1);
    write_extension(writer, 10, groups, sizeof groups - 1);
    write_extension(writer, 11, formats, sizeof formats - 1);
    write_extension(writer, 13, signatures, sizeof signatures - 1);
    write_extension(writer, 16, alpn, sizeof alpn - 1);
    write_extension(writer, 23, NULL, 0);
    write_extension(writer, 35, NULL, 0);
    if (is_13) {
        write_extension(writer, 43, offered, sizeof offered - 1);
        write_extension(writer, 51, share, sizeof share);
    }
}

static void store_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* A ClientHello as one record after the two bytes that choose way and contexts. */
static size_t hello(uint8_t out[512], uint8_t contexts, unsigned version, const uint8_t *suites,
                    size_t suites_bytes)
{
    struct fmx_writer writer = fmx_writer_of(out, 512);
    static const uint8_t random[32] = {1, 2, 3};

    fmx_write_u16(&writer, contexts);
    fmx_write_bytes(&writer, (fmx_slice){(const uint8_t *)"\x16\x03\x01\0\0\x01\0\0\0", 9});
    fmx_write_u16(&writer, (uint16_t)(version > 0x0303 ? 0x0303 : version));
    fmx_write_bytes(&writer, (fmx_slice){random, sizeof random});
    fmx_write_u8(&writer, 0); /* no session */
    fmx_write_u16(&writer, (uint16_t)suites_bytes);
    fmx_write_bytes(&writer, (fmx_slice){suites, suites_bytes});
    fmx_write_u16(&writer, 0x0100); /* no compression */
    uint8_t *extensions = writer.at;
    fmx_write_u16(&writer, 0);
    write_extensions(&writer, version > 0x0303);
    FMX_ASSERT(!writer.failed);
    store_u16(extensions, (size_t)(writer.at - extensions) - 2);
    store_u16(out + 5, (size_t)(writer.at - out) - 7);
    store_u16(out + 9, (size_t)(writer.at - out) - 11);
    return (size_t)(writer.at - out);
}

static void save_tls(const char *folder)
{
    static const uint8_t suites[] = "\x13\x01\x13\x03\xc0\x2b\xc0\x2f\xc0\x09\xc0\x13\x00\x2f";
    static const uint8_t psk[] = "\xcc\xac\x00\x8c\x00\x8d";
    static const uint8_t rsa[] = "\x00\x2f";
    uint8_t bytes[512];
    char name[64];

    for (unsigned version = 0x0301; version <= 0x0304; version++) {
        for (uint8_t kind = 0; kind < 3; kind++) {
            size_t count = hello(bytes, (uint8_t)(kind << 2), version, suites, sizeof suites - 1);
            (void)snprintf(name, sizeof name, "hello_%04x_%u", version, kind);
            save(folder, "tls", name, (fmx_slice){bytes, count});
        }
    }
    save(folder, "tls", "hello_psk",
         (fmx_slice){bytes, hello(bytes, 1 << 2, 0x0303, psk, sizeof psk - 1)});
    save(folder, "tls", "hello_rsa",
         (fmx_slice){bytes, hello(bytes, 0, 0x0303, rsa, sizeof rsa - 1)});
    for (uint8_t contexts = 0; contexts < 12; contexts++) {
        for (uint8_t at = 0; at < 8; at++) {
            const uint8_t faults[] = {1, contexts, at, (uint8_t)(at * 37 + contexts), 11, 1};
            (void)snprintf(name, sizeof name, "fault_%02u_%u", contexts, at);
            save(folder, "tls", name, (fmx_slice){faults, sizeof faults});
        }
        for (uint8_t way = 2; way < 4; way++) {
            const uint8_t records[] = {way, contexts, 23, 3, 3, 0, 3, 'a',
                                       'b', 'c',      21, 3, 1, 0, 0};
            (void)snprintf(name, sizeof name, "after_%02u_%u", contexts, way);
            save(folder, "tls", name, (fmx_slice){records, sizeof records});
        }
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
    save_tls(argv[1]);
    return 0;
}
