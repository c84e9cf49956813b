/*
 * result_file.h — files that results are written to; "-" is standard output
 */
#ifndef FMX_TOOLS_RESULT_FILE_H
#define FMX_TOOLS_RESULT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* NULL: error says why. */
FILE *result_file_open(const char *path, char *error, size_t error_bytes);

/* False: not all of it could be written. */
bool result_file_close(FILE *file, const char *path, char *error, size_t error_bytes);

/*
 * A copy in which every byte that is not sound UTF-8, and every control character but line ends and
 * tabs, is a question mark. NULL: no memory.
 */
char *result_file_clean(const char *text);

#endif
