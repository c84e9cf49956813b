/*
 * psk_file — keys of PSK identities from a file: lines IDENTITY:KEY
 *
 * Why it is so:   sorted once, so that looking up needs neither a hash nor a lock; identities are
 *                 no secret (they go over the wire in clear), so that a search may take its time
 * Words:          the last colon of a line parts the two, since identities may hold some
 * Memory:         one block for each line, wiped before it is freed
 * Threads:        whoever builds it; then any number of readers
 * Limits:         identities of 1 … FMX_TLS_PSK_IDENTITY_MAX bytes, keys of 1 …
 *                 FMX_TLS_PSK_BYTES_MAX; as many lines as fit 64 MiB
 * Not here:       keys of devices of the registry: those come through fmx_tls_psk_source
 */
#include "tls/internal.h"

#include <openssl/mem.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct fmx_tls_psk_entry {
    uint8_t identity_bytes;
    uint8_t key_bytes;
    uint32_t line;
    uint8_t bytes[]; /* identity, key */
};

static_assert(FMX_TLS_PSK_IDENTITY_MAX <= UINT8_MAX && FMX_TLS_PSK_BYTES_MAX <= UINT8_MAX,
              "sizes fit a byte");

static int digit_of(char letter)
{
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    if (letter >= 'a' && letter <= 'f') {
        return letter - 'a' + 10;
    }
    return letter >= 'A' && letter <= 'F' ? letter - 'A' + 10 : -1;
}

static int compare_bytes(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes)
{
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);

    return order != 0 ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static int compare(const void *left, const void *right)
{
    const struct fmx_tls_psk_entry *a = *(struct fmx_tls_psk_entry *const *)left;
    const struct fmx_tls_psk_entry *b = *(struct fmx_tls_psk_entry *const *)right;

    return compare_bytes(a->bytes, a->identity_bytes, b->bytes, b->identity_bytes);
}

static void free_entry(struct fmx_tls_psk_entry *entry)
{
    if (entry != NULL) {
        OPENSSL_cleanse(entry->bytes, (size_t)entry->identity_bytes + entry->key_bytes);
    }
    free(entry);
}

void fmx_tls_psk_table_close(struct fmx_tls_psk_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free_entry(table->all[i]);
    }
    free(table->all);
    *table = (struct fmx_tls_psk_table){0};
}

static bool push(struct fmx_tls_psk_table *table, struct fmx_tls_psk_entry *entry)
{
    /* powers of two: room is full when the count is one */
    if ((table->count & (table->count - 1)) == 0) {
        size_t room = table->count == 0 ? 1 : 2 * table->count;
        struct fmx_tls_psk_entry **all = realloc(table->all, room * sizeof *all);
        if (all == NULL) {
            return false;
        }
        table->all = all;
    }
    table->all[table->count++] = entry;
    return true;
}

/* What is wrong with a line; NULL: nothing. `colon` is the last one; NULL if there is none. */
static const char *fault_of_line(const char *line, size_t bytes, const char *colon)
{
    size_t identity_bytes = colon == NULL ? 0 : (size_t)(colon - line);
    size_t digits = bytes - identity_bytes - 1;

    if (colon == NULL) {
        return "there is no colon: write IDENTITY:KEY, the key in hexadecimal";
    }
    if (identity_bytes == 0 || identity_bytes > FMX_TLS_PSK_IDENTITY_MAX) {
        return "the identity has no or more than 128 bytes";
    }
    if (memchr(line, '\0', bytes) != NULL) {
        return "there is a zero byte";
    }
    if (digits == 0 || digits % 2 != 0 || digits > (size_t)2 * FMX_TLS_PSK_BYTES_MAX) {
        return "the key must have 2 to 128 hexadecimal digits, two for each byte";
    }
    for (const char *at = colon + 1; at < line + bytes; at++) {
        if (digit_of(*at) < 0) {
            return "the key has a letter that is no hexadecimal digit";
        }
    }
    return NULL;
}

static struct fmx_tls_psk_entry *entry_of(const char *line, size_t bytes, const char *colon,
                                          uint32_t number)
{
    size_t identity_bytes = (size_t)(colon - line);
    size_t key_bytes = (bytes - identity_bytes - 1) / 2;
    struct fmx_tls_psk_entry *entry = malloc(sizeof *entry + identity_bytes + key_bytes);

    if (entry == NULL) {
        return NULL;
    }
    entry->identity_bytes = (uint8_t)identity_bytes;
    entry->key_bytes = (uint8_t)key_bytes;
    entry->line = number;
    memcpy(entry->bytes, line, identity_bytes);
    for (size_t i = 0; i < key_bytes; i++) {
        const char *digits = colon + 1 + 2 * i;
        entry->bytes[identity_bytes + i] =
            (uint8_t)(digit_of(digits[0]) << 4 | digit_of(digits[1]));
    }
    return entry;
}

static enum fmx_status take_line(struct fmx_tls_psk_table *table, const char *path,
                                 const char *line, size_t bytes, uint32_t number, char *error,
                                 size_t error_bytes)
{
    if (bytes > 0 && line[bytes - 1] == '\r') {
        bytes--;
    }
    if (bytes == 0 || line[0] == '#') {
        return FMX_OK;
    }
    const char *colon = memrchr(line, ':', bytes);
    const char *fault = fault_of_line(line, bytes, colon);
    if (fault != NULL) {
        return fmx_tls_refuse(error, error_bytes, "psk_file: line %u of '%s': %s", number, path,
                              fault);
    }
    struct fmx_tls_psk_entry *entry = entry_of(line, bytes, colon, number);
    if (entry == NULL || !push(table, entry)) {
        free_entry(entry);
        return fmx_tls_no_memory(error, error_bytes);
    }
    return FMX_OK;
}

static enum fmx_status take_lines(struct fmx_tls_psk_table *table, const char *path,
                                  const struct fmx_tls_file *file, char *error, size_t error_bytes)
{
    const char *end = file->text + file->bytes;
    uint32_t number = 1;

    for (const char *line = file->text; line < end; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t bytes = (size_t)((stop == NULL ? end : stop) - line);
        enum fmx_status status = take_line(table, path, line, bytes, number, error, error_bytes);
        if (status != FMX_OK) {
            return status;
        }
        line += bytes + 1;
    }
    if (table->count == 0) {
        return fmx_tls_refuse(error, error_bytes, "psk_file: '%s' has no line IDENTITY:KEY", path);
    }
    qsort(table->all, table->count, sizeof *table->all, compare);
    for (size_t i = 1; i < table->count; i++) {
        if (compare(&table->all[i - 1], &table->all[i]) == 0) {
            uint32_t one = table->all[i - 1]->line;
            uint32_t other = table->all[i]->line;
            return fmx_tls_refuse(error, error_bytes,
                                  "psk_file: lines %u and %u of '%s' have the same identity",
                                  one < other ? one : other, one < other ? other : one, path);
        }
    }
    return FMX_OK;
}

enum fmx_status fmx_tls_psk_table_open(const char *path, struct fmx_tls_psk_table *out_table,
                                       char *error, size_t error_bytes)
{
    struct fmx_tls_file file;
    enum fmx_status status = fmx_tls_file_read("psk_file", path, &file, error, error_bytes);

    *out_table = (struct fmx_tls_psk_table){0};
    if (status != FMX_OK) {
        return status;
    }
    status = take_lines(out_table, path, &file, error, error_bytes);
    fmx_tls_file_wipe(&file);
    if (status != FMX_OK) {
        fmx_tls_psk_table_close(out_table);
    }
    return status;
}

size_t fmx_tls_psk_table_find(const struct fmx_tls_psk_table *table, fmx_slice identity,
                              uint8_t out_key[FMX_TLS_PSK_BYTES_MAX])
{
    size_t low = 0;
    size_t high = table->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct fmx_tls_psk_entry *entry = table->all[middle];
        int order =
            compare_bytes(identity.data, identity.bytes, entry->bytes, entry->identity_bytes);
        if (order == 0) {
            memcpy(out_key, entry->bytes + entry->identity_bytes, entry->key_bytes);
            return entry->key_bytes;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return 0;
}
