/*
 * fleet_devices — devices from a CSV file or a registry, and into a CSV file
 *
 * Why it is so:   a fleet of a million devices has a million secrets, so they are kept as tightly
 *                 as they come: one block of texts and one offset a device. The same file is what
 *                 the registry imports, so that a fleet and a gateway can be made to agree
 * Words:          row: a device, counted from 1
 * Invariants:     (1) of each row, product key, name and secret stand one behind the other, each
 *                 with its end
 *                 (2) no device of a file stands in it twice: two clients would throw each other
 *                 out all the time
 * Memory:         some 70 bytes a device, until closed; wiped then, since secrets are in it. While
 *                 a file is read, 8 to 16 bytes a device more
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

struct fleet_devices {
    char *text;
    uint32_t *offsets; /* of each row's first field */
    size_t bytes, bytes_room, count, count_room;
    char *path;    /* where they came from */
    char *product; /* of a registry: only this one's; NULL: all */
    bool is_registry;
};

/* A file while it is read. */
struct reader {
    struct fleet_devices *devices;
    const char *path;
    struct csv csv;
    size_t columns[FIELDS_COUNT]; /* SIZE_MAX: there is none */
    bool has_secrets;
    uint32_t *slots; /* rows by the hash of key and name, from 1; 0: free */
    size_t slots_count;
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

/* Larger room for secrets: what they lay in is wiped. NULL: no memory, and nothing has changed. */
static char *grow(const char *text, size_t used, size_t room)
{
    char *grown = malloc(room);

    if (grown != NULL && used > 0) {
        memcpy(grown, text, used);
        explicit_bzero((char *)text, used);
    }
    return grown;
}

/* Room for one more row of so many bytes. */
static bool make_room(struct fleet_devices *devices, size_t bytes)
{
    if (devices->bytes + bytes > devices->bytes_room) {
        size_t room = devices->bytes_room == 0 ? 65536 : devices->bytes_room * 2;
        char *text = grow(devices->text, devices->bytes, room);
        if (text == NULL) {
            return false;
        }
        free(devices->text);
        devices->text = text;
        devices->bytes_room = room;
    }
    if (devices->count == devices->count_room) {
        size_t room = devices->count_room == 0 ? 1024 : devices->count_room * 2;
        uint32_t *offsets = realloc(devices->offsets, room * sizeof(*offsets));
        if (offsets == NULL) {
            return false;
        }
        devices->offsets = offsets;
        devices->count_room = room;
    }
    return true;
}

/* False: there is no room. */
static bool keep(struct fleet_devices *devices, const char *const texts[FIELDS_COUNT])
{
    size_t bytes = 0;

    for (int field = 0; field < FIELDS_COUNT; field++) {
        bytes += strlen(texts[field]) + 1;
    }
    if (devices->count == ROWS_MAX || devices->bytes + bytes > TEXT_BYTES_MAX ||
        !make_room(devices, bytes)) {
        return false;
    }
    devices->offsets[devices->count++] = (uint32_t)devices->bytes;
    for (int field = 0; field < FIELDS_COUNT; field++) {
        size_t text_bytes = strlen(texts[field]) + 1;
        memcpy(devices->text + devices->bytes, texts[field], text_bytes);
        devices->bytes += text_bytes;
    }
    return true;
}

/* ── twins ── */

/* Of product key and name, with the end between them. */
static size_t hash_row(const struct fleet_devices *devices, size_t row)
{
    const char *at = devices->text + devices->offsets[row];
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (int ends = 0; ends < 2; at++) {
        hash = (hash ^ (uint8_t)*at) * 1099511628211u;
        ends += *at == '\0';
    }
    return (size_t)(hash ^ hash >> 32);
}

static bool are_twins(const struct fleet_devices *devices, size_t one, size_t other)
{
    const char *a = devices->text + devices->offsets[one];
    const char *b = devices->text + devices->offsets[other];

    return strcmp(a, b) == 0 && strcmp(a + strlen(a) + 1, b + strlen(b) + 1) == 0;
}

/* The row's slot, or that of its twin. */
static uint32_t *find_slot(const struct reader *reader, size_t row)
{
    size_t mask = reader->slots_count - 1;
    size_t place = hash_row(reader->devices, row) & mask;

    while (reader->slots[place] != 0 &&
           !are_twins(reader->devices, reader->slots[place] - 1, row)) {
        place = (place + 1) & mask;
    }
    return &reader->slots[place];
}

/* At least twice as many slots as rows. */
static bool grow_slots(struct reader *reader)
{
    size_t rows = reader->devices->count;
    uint32_t *slots = NULL;

    if (rows * 2 < reader->slots_count) {
        return true;
    }
    size_t count = reader->slots_count == 0 ? 1024 : reader->slots_count * 2;
    slots = calloc(count, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    free(reader->slots);
    reader->slots = slots;
    reader->slots_count = count;
    for (size_t row = 0; row + 1 < rows; row++) { /* the last one is asked about next */
        *find_slot(reader, row) = (uint32_t)row + 1;
    }
    return true;
}

/* Is the row that was kept last new? */
static bool check_twins(struct reader *reader)
{
    char words[96];
    size_t row = reader->devices->count - 1;

    if (!grow_slots(reader)) {
        return refuse(reader, "", "no memory");
    }
    uint32_t *slot = find_slot(reader, row);
    if (*slot != 0) {
        snprintf(words, sizeof(words), "is device %u again; leave one of the two out",
                 (unsigned)*slot);
        return refuse(reader, fields[DEVICE_NAME].name, words);
    }
    *slot = (uint32_t)row + 1;
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

static bool keep_row(struct reader *reader)
{
    const char *texts[FIELDS_COUNT];

    for (int field = 0; field < FIELDS_COUNT; field++) {
        size_t column = reader->columns[field];
        texts[field] = column < reader->csv.fields_count ? reader->csv.fields[column] : "";
        if (!check_field(reader, field, texts[field])) {
            return false;
        }
    }
    if (!keep(reader->devices, texts)) {
        return refuse(reader, "", "there are more devices than there is room for");
    }
    return check_twins(reader);
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
    return reader->devices->count > 0 || refuse(reader, "", "there are no devices in it");
}

/* ── open and close ── */

static struct fleet_devices *make(const char *path, const char *product, char *error,
                                  size_t error_bytes)
{
    struct fleet_devices *devices = calloc(1, sizeof(*devices));

    if (devices != NULL) {
        devices->path = strdup(path);
        devices->product = product == NULL ? NULL : strdup(product);
    }
    if (devices == NULL || devices->path == NULL || (product != NULL && devices->product == NULL)) {
        fleet_devices_close(devices);
        snprintf(error, error_bytes, "no memory");
        return NULL;
    }
    return devices;
}

void fleet_devices_close(struct fleet_devices *devices)
{
    if (devices == NULL) {
        return;
    }
    if (devices->text != NULL) {
        explicit_bzero(devices->text, devices->bytes);
    }
    free(devices->text);
    free(devices->offsets);
    free(devices->path);
    free(devices->product);
    free(devices);
}

/* The devices if they are good, else nothing. */
static struct fleet_devices *keep_if(struct fleet_devices *devices, bool is_good)
{
    if (is_good) {
        return devices;
    }
    fleet_devices_close(devices);
    return NULL;
}

struct fleet_devices *fleet_devices_load(const char *path, bool has_secrets, char *error,
                                         size_t error_bytes)
{
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        snprintf(error, error_bytes, "'%.200s' cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    struct fleet_devices *devices = make(path, NULL, error, error_bytes);
    struct reader *reader = calloc(1, sizeof(*reader));
    bool is_good = devices != NULL && reader != NULL;

    if (is_good) {
        *reader = (struct reader){.devices = devices,
                                  .path = path,
                                  .has_secrets = has_secrets,
                                  .error = error,
                                  .error_bytes = error_bytes};
        csv_init(&reader->csv, file);
        is_good = read_rows(reader);
        free(reader->slots);
        explicit_bzero(reader, sizeof(*reader));
    }
    free(reader);
    fclose(file);
    return keep_if(devices, is_good);
}

/* The registry while it is walked. */
struct walk {
    struct fleet_devices *devices;
    bool has_room;
};

static bool keep_device(void *user, const struct fmx_device *device)
{
    struct walk *walk = user;
    const char *texts[FIELDS_COUNT] = {[PRODUCT_KEY] = device->product_key,
                                       [DEVICE_NAME] = device->device_name,
                                       [SECRET] = device->secret};

    if (device->secret == NULL) {
        texts[SECRET] = "";
    }
    walk->has_room = keep(walk->devices, texts);
    return walk->has_room;
}

static bool read_registry(struct fleet_devices *devices, char *error, size_t error_bytes)
{
    struct walk walk = {.devices = devices, .has_room = true};
    struct fmx_registry *registry = NULL;

    if (fmx_registry_open(devices->path, &registry, error, error_bytes) != FMX_OK) {
        return false;
    }
    enum fmx_status status = fmx_registry_each_device(registry, devices->product, keep_device,
                                                      &walk, error, error_bytes);
    fmx_registry_close(registry);
    if (status == FMX_OK && !walk.has_room) {
        snprintf(error, error_bytes, "'%.200s' has more devices than there is room for",
                 devices->path);
    } else if (status == FMX_OK && devices->count == 0) {
        snprintf(error, error_bytes, "'%.200s' has no devices%s%s", devices->path,
                 devices->product == NULL ? "" : " of product ",
                 devices->product == NULL ? "" : devices->product);
    }
    return status == FMX_OK && walk.has_room && devices->count > 0;
}

struct fleet_devices *fleet_devices_load_registry(const char *path, const char *product_key,
                                                  char *error, size_t error_bytes)
{
    struct fleet_devices *devices = make(path, product_key, error, error_bytes);

    if (devices == NULL) {
        return NULL;
    }
    devices->is_registry = true;
    return keep_if(devices, read_registry(devices, error, error_bytes));
}

size_t fleet_devices_count(const struct fleet_devices *devices)
{
    return devices->count;
}

const char *fleet_devices_path(const struct fleet_devices *devices)
{
    return devices->path;
}

bool fleet_devices_is_registry(const struct fleet_devices *devices)
{
    return devices->is_registry;
}

const char *fleet_devices_product(const struct fleet_devices *devices)
{
    return devices->product;
}

bool fleet_devices_find(void *user, uint32_t number, struct fmx_fleet_device *out_device)
{
    const struct fleet_devices *devices = user;

    if (number == 0 || number > devices->count) {
        return false;
    }
    const char *text = devices->text + devices->offsets[number - 1];
    snprintf(out_device->product_key, sizeof(out_device->product_key), "%s", text);
    text += strlen(text) + 1;
    snprintf(out_device->device_name, sizeof(out_device->device_name), "%s", text);
    text += strlen(text) + 1;
    snprintf(out_device->secret, sizeof(out_device->secret), "%s", text);
    return true;
}

/* ── export ── */

static enum fmx_status write_devices(const struct fmx_fleet_group *group, FILE *out, char *error,
                                     size_t error_bytes)
{
    struct fmx_fleet_device device;
    enum fmx_status status = FMX_OK;

    fprintf(out, "product_key,device_name,device_secret\n");
    for (uint32_t index = 0; status == FMX_OK && index < group->clients_count; index++) {
        status = fmx_fleet_device(group, index, &device, error, error_bytes);
        if (status == FMX_OK) {
            csv_write(out, device.product_key, ',');
            csv_write(out, device.device_name, ',');
            csv_write(out, device.secret, '\n');
        }
    }
    explicit_bzero(&device, sizeof(device));
    return status;
}

int fleet_devices_export(const struct fmx_fleet_group *group, const char *path)
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
    enum fmx_status status = write_devices(group, out, error, sizeof(error));
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
