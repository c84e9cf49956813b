/*
 * registry_csv — rows of comma-separated fields, read and written as RFC 4180 says
 *
 * Why it is so:   files come from spreadsheets and scripts: with quotes or without, lines ended by
 *                 CR LF or LF, a byte order mark before the first. What is in doubt is refused with
 *                 its line instead of being guessed, because a wrong secret shows only much later
 * Memory:         one row
 * Threads:        one
 * Limits:         CSV_FIELDS_MAX fields and CSV_ROW_BYTES bytes in a row
 * Not here:       what the fields mean: registry_import.c
 */
#include "tools/fleetmux/registry_csv.h"

#include <string.h>

void csv_init(struct csv *csv, FILE *file)
{
    memset(csv, 0, sizeof(*csv));
    csv->file = file;
    csv->next = 1;
}

static enum csv_result bad(struct csv *csv, const char *words)
{
    csv->error = words;
    return CSV_BAD;
}

/* The next character; CR LF and LF are '\n'. */
static int take(struct csv *csv)
{
    int letter = getc_unlocked(csv->file);

    if (letter == '\r') {
        int next = getc_unlocked(csv->file);
        if (next == '\n') {
            letter = next;
        } else if (next != EOF) {
            ungetc(next, csv->file);
        }
    }
    csv->next += letter == '\n';
    return letter;
}

static bool keep(struct csv *csv, size_t *used, int letter)
{
    if (*used + 1 >= sizeof(csv->text)) {
        return false;
    }
    csv->text[(*used)++] = (char)letter;
    return true;
}

static const char *const too_long = "the row is longer than 4095 bytes; is a quote missing?";

/* The rest of a field in quotes. What follows it is in `out_behind`. */
static enum csv_result read_quoted(struct csv *csv, size_t *used, int *out_behind)
{
    for (;;) {
        int letter = take(csv);
        if (letter == EOF) {
            return bad(csv, "the row's quote is never closed; close it");
        }
        if (letter == '"') {
            letter = take(csv);
            if (letter != '"') {
                *out_behind = letter;
                return letter == ',' || letter == '\n' || letter == EOF
                           ? CSV_ROW
                           : bad(csv, "text follows a closing quote; double quotes inside quotes");
            }
        }
        if (letter == '\0') {
            return bad(csv, "the row holds a zero byte; is this a text file?");
        }
        if (!keep(csv, used, letter)) {
            return bad(csv, too_long);
        }
    }
}

/* The rest of a field without quotes, of which `letter` is the first. */
static enum csv_result read_plain(struct csv *csv, size_t *used, int letter, int *out_behind)
{
    for (; letter != ',' && letter != '\n' && letter != EOF; letter = take(csv)) {
        if (letter == '"') {
            return bad(csv, "a quote stands inside a field; put the whole field in quotes and "
                            "double it");
        }
        if (letter == '\0') {
            return bad(csv, "the row holds a zero byte; is this a text file?");
        }
        if (!keep(csv, used, letter)) {
            return bad(csv, too_long);
        }
    }
    *out_behind = letter;
    return CSV_ROW;
}

/* A row whose first character is `letter`. */
static enum csv_result read_row(struct csv *csv, int letter)
{
    size_t used = 0;
    int behind = ',';

    csv->fields_count = 0;
    while (behind == ',') {
        if (csv->fields_count == CSV_FIELDS_MAX) {
            return bad(csv, "the row has more than 16 fields");
        }
        csv->fields[csv->fields_count++] = csv->text + used;
        enum csv_result result = letter == '"' ? read_quoted(csv, &used, &behind)
                                               : read_plain(csv, &used, letter, &behind);
        if (result != CSV_ROW) {
            return result;
        }
        if (!keep(csv, &used, '\0')) {
            return bad(csv, too_long);
        }
        letter = behind == ',' ? take(csv) : 0;
    }
    return CSV_ROW;
}

static int skip_mark(struct csv *csv, int letter)
{
    if (letter != 0xef) {
        return letter;
    }
    return getc_unlocked(csv->file) == 0xbb && getc_unlocked(csv->file) == 0xbf ? take(csv) : '\0';
}

enum csv_result csv_next(struct csv *csv)
{
    int letter = '\n';
    bool is_first = csv->next == 1;

    while (letter == '\n') {
        csv->line = csv->next;
        letter = take(csv);
        if (is_first) {
            letter = skip_mark(csv, letter);
            is_first = false;
        }
    }
    if (letter == EOF) {
        return ferror(csv->file) != 0 ? bad(csv, "the file cannot be read") : CSV_END;
    }
    return read_row(csv, letter);
}

void csv_write_field(FILE *file, const char *field)
{
    if (strpbrk(field, ",\"\r\n") == NULL && field[0] != ' ') {
        fputs(field, file);
    } else {
        fputc('"', file);
        for (const char *at = field; *at != '\0'; at++) {
            if (*at == '"') {
                fputc('"', file);
            }
            fputc(*at, file);
        }
        fputc('"', file);
    }
}

void csv_write(FILE *file, const char *field, char behind)
{
    csv_write_field(file, field);
    fputc(behind, file);
}
