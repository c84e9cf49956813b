/*
 * fleet_devices — devices from a CSV file, and into one
 *
 * Why it is so:   a fleet of a million devices has a million secrets, so they are kept as tightly
 *                 as they come: one block of texts and one offset a device. The same file is what
 *                 the registry imports, so that a fleet and a gateway can be made to agree
 * Words:          row: a device, counted from 1
 * Invariants:     (1) of each row, product key, name and secret stand one behind the other, each
 *                 with its end
 * Memory:         some 70 bytes a device, for as long as the process lives
 * Threads:        loaded by the main thread; read-only afterwards, by any
 * Limits:         16,000,000 rows, 4 GiB of texts
 * Not here:       how a row is written: registry_csv.c; secrets that are made: the library
 */
#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/registry_csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROWS_MAX       16000000u
#define TEXT_BYTES_MAX UINT32_MAX

enum { PRODUCT_KEY, DEVICE_NAME, SECRET, FIELDS_COUNT };

static const struct {
    const char *name;
    size_t bytes_max;
    const char *without;
} fields[FIELDS_COUNT] = {
    [PRODUCT_KEY] = {"product_key", 32, "/+#&|,"},
    [DEVICE_NAME] = {"device_name", 64, "/+#&|,"},
    [SECRET] = {"device_secret", 64, ""},
};

static struct {
    char *text;
    uint32_t *offsets; /* of each row's first field */
    size_t bytes, bytes_room, count, count_room;
} devices;

/* A file while it is read. */
struct reader {
    const char *path;
    struct csv csv;
    size_t columns[FIELDS_COUNT]; /* SIZE_MAX: there is none */
    bool has_secrets;
    char *error;
    size_t error_bytes;
};

static bool refuse(const struct reader *reader, const char *field, const char *words)
{
    snprintf(reader->error, reader->error_bytes, "%.200s:%" PRIu64 ": %s%s%s", reader->path,
             reader->csv.line, field, field[0] != '\0' ? ": " : "", words);
    return false;
}

/* May the field be missing or empty? */
static bool is_optional(const struct reader *reader, int field)
{
    return field == SECRET && !reader->has_secrets;
}

static bool is_header(const struct csv *csv)
{
    for (size_t column = 0; column < csv->fields_count; column++) {
        if (strcmp(csv->fields[column], fields[PRODUCT_KEY].name) == 0 ||
            strcmp(csv->fields[column], fields[DEVICE_NAME].name) == 0) {
            return true;
        }
    }
    return false;
}

/* Where the fields stand: as the header says, columns of other names aside, or in their order. */
static bool find_columns(struct reader *reader, bool has_header)
{
    const struct csv *csv = &reader->csv;

    for (int field = 0; field < FIELDS_COUNT; field++) {
        reader->columns[field] = has_header ? SIZE_MAX : (size_t)field;
        for (size_t column = 0; has_header && column < csv->fields_count; column++) {
            if (strcmp(csv->fields[column], fields[field].name) == 0) {
                reader->columns[field] = column;
            }
        }
        if (reader->columns[field] == SIZE_MAX && !is_optional(reader, field)) {
            return refuse(reader, fields[field].name, "the header has no such column; add it");
        }
    }
    return true;
}

/* ── keeping ── */

/* Room for one more row of so many bytes. */
static bool make_room(size_t bytes)
{
    if (devices.bytes + bytes > devices.bytes_room) {
        size_t room = devices.bytes_room == 0 ? 65536 : devices.bytes_room * 2;
        char *text = realloc(devices.text, room);
        if (text == NULL) {
            return false;
        }
        devices.text = text;
        devices.bytes_room = room;
    }
    if (devices.count == devices.count_room) {
        size_t room = devices.count_room == 0 ? 1024 : devices.count_room * 2;
        uint32_t *offsets = realloc(devices.offsets, room * sizeof(*offsets));
        if (offsets == NULL) {
            return false;
        }
        devices.offsets = offsets;
        devices.count_room = room;
    }
    return true;
}

static bool check_field(const struct reader *reader, int field, const char *text)
{
    char words[96];
    size_t bytes = strlen(text);

    if (bytes == 0 && is_optional(reader, field)) {
        return true;
    }
    if (bytes == 0 || bytes > fields[field].bytes_max) {
        snprintf(words, sizeof(words), "has %zu bytes; write 1 to %zu", bytes,
                 fields[field].bytes_max);
        return refuse(reader, fields[field].name, words);
    }
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f || strchr(fields[field].without, *at) != NULL) {
            snprintf(words, sizeof(words), "has a character that is not allowed, at byte %zu",
                     (size_t)(at - text) + 1);
            return refuse(reader, fields[field].name, words);
        }
    }
    return true;
}

static bool keep_row(const struct reader *reader)
{
    const char *texts[FIELDS_COUNT];
    size_t bytes = 0;

    for (int field = 0; field < FIELDS_COUNT; field++) {
        size_t column = reader->columns[field];
        texts[field] = column < reader->csv.fields_count ? reader->csv.fields[column] : "";
        if (!check_field(reader, field, texts[field])) {
            return false;
        }
        bytes += strlen(texts[field]) + 1;
    }
    if (devices.count == ROWS_MAX || devices.bytes + bytes > TEXT_BYTES_MAX || !make_room(bytes)) {
        return refuse(reader, "", "there are more devices than there is room for");
    }
    devices.offsets[devices.count++] = (uint32_t)devices.bytes;
    for (int field = 0; field < FIELDS_COUNT; field++) {
        size_t text_bytes = strlen(texts[field]) + 1;
        memcpy(devices.text + devices.bytes, texts[field], text_bytes);
        devices.bytes += text_bytes;
    }
    return true;
}

static bool read_rows(struct reader *reader)
{
    enum csv_result result = csv_next(&reader->csv);
    bool has_header = result == CSV_ROW && is_header(&reader->csv);

    if (result == CSV_ROW && !find_columns(reader, has_header)) {
        return false;
    }
    if (has_header) {
        result = csv_next(&reader->csv);
    }
    for (; result == CSV_ROW; result = csv_next(&reader->csv)) {
        if (!keep_row(reader)) {
            return false;
        }
    }
    if (result == CSV_BAD) {
        return refuse(reader, "", reader->csv.error);
    }
    return devices.count > 0 || refuse(reader, "", "there are no devices in it");
}

bool fleet_devices_load(const char *path, bool has_secrets, char *error, size_t error_bytes)
{
    static struct reader reader;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        snprintf(error, error_bytes, "option '--devices': '%.200s' cannot be read: %s", path,
                 strerror(errno));
        return false;
    }
    reader = (struct reader){
        .path = path, .has_secrets = has_secrets, .error = error, .error_bytes = error_bytes};
    csv_init(&reader.csv, file);
    bool is_good = read_rows(&reader);
    fclose(file);
    return is_good;
}

size_t fleet_devices_count(void)
{
    return devices.count;
}

bool fleet_devices_find(void *user, uint32_t number, struct fmx_fleet_device *out_device)
{
    (void)user;
    if (number == 0 || number > devices.count) {
        return false;
    }
    const char *text = devices.text + devices.offsets[number - 1];
    snprintf(out_device->product_key, sizeof(out_device->product_key), "%s", text);
    text += strlen(text) + 1;
    snprintf(out_device->device_name, sizeof(out_device->device_name), "%s", text);
    text += strlen(text) + 1;
    snprintf(out_device->secret, sizeof(out_device->secret), "%s", text);
    return true;
}

/* ── export ── */

static enum fmx_status write_devices(const struct fmx_fleet_plan *plan, FILE *out, char *error,
                                     size_t error_bytes)
{
    struct fmx_fleet_device device;
    enum fmx_status status = FMX_OK;

    fprintf(out, "product_key,device_name,device_secret\n");
    for (uint32_t index = 0; status == FMX_OK && index < plan->clients_count; index++) {
        status = fmx_fleet_device(plan, index, &device, error, error_bytes);
        if (status == FMX_OK) {
            csv_write(out, device.product_key, ',');
            csv_write(out, device.device_name, ',');
            csv_write(out, device.secret, '\n');
        }
    }
    return status;
}

int fleet_devices_export(const struct fmx_fleet_plan *plan, const char *path)
{
    bool is_stdout = strcmp(path, "-") == 0;
    char error[FLAG_ERROR_BYTES] = "";
    mode_t others = umask(077); /* secrets are nobody else's */
    FILE *out = is_stdout ? stdout : fopen(path, "we");

    umask(others);
    if (out == NULL) {
        fprintf(stderr, "fleetmux fleet: '%s' cannot be written: %s\n", path, strerror(errno));
        return EXIT_ABORTED;
    }
    enum fmx_status status = write_devices(plan, out, error, sizeof(error));
    bool is_written = fflush(out) == 0 && ferror(out) == 0;
    if (!is_stdout && fclose(out) != 0) {
        is_written = false;
    }
    if (status != FMX_OK) {
        fprintf(stderr, "fleetmux fleet: %s\n", error[0] != '\0' ? error : fmx_status_text(status));
        return status == FMX_E_OPTION ? EXIT_USAGE : EXIT_ABORTED;
    }
    if (!is_written) {
        fprintf(stderr, "fleetmux fleet: '%s' cannot be written: %s\n", path, strerror(errno));
    }
    return is_written ? EXIT_PASS : EXIT_ABORTED;
}
