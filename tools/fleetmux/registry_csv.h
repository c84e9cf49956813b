/*
 * registry_csv.h — rows of comma-separated fields, read and written as RFC 4180 says
 */
#ifndef FMX_TOOLS_REGISTRY_CSV_H
#define FMX_TOOLS_REGISTRY_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CSV_FIELDS_MAX 16
#define CSV_ROW_BYTES  4096

struct csv {
    FILE *file;
    uint64_t line;     /* where the latest row begins, from 1 */
    uint64_t next;     /* the line that comes next */
    const char *error; /* static words, after CSV_BAD */
    size_t fields_count;
    const char *fields[CSV_FIELDS_MAX]; /* into `text`, until the next row */
    char text[CSV_ROW_BYTES];
};

enum csv_result {
    CSV_ROW,
    CSV_END,
    CSV_BAD, /* the row is malformed: `line` and `error` */
};

void csv_init(struct csv *csv, FILE *file);

/* The next row that is not empty. */
enum csv_result csv_next(struct csv *csv);

/* Writes a field, in quotes if it needs them; csv_write and what stands behind it, ',' or '\n'. */
void csv_write_field(FILE *file, const char *field);
void csv_write(FILE *file, const char *field, char behind);

#endif
