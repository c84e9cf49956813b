/*
 * result_file.h — files that results are written to; "-" is standard output
 */
#ifndef FMX_TOOLS_RESULT_FILE_H
#define FMX_TOOLS_RESULT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Could it be opened? Nothing is changed or made, and no pipe opened that somebody reads. False:
 * errno says why not. */
bool result_file_may_open(const char *path);

/* Do both names mean one file, which may not be there yet? What is no plain file is never the same:
 * several may write to one terminal. */
bool result_file_is_same(const char *path, const char *other);

/* NULL: error says why. */
FILE *result_file_open(const char *path, char *error, size_t error_bytes);

/* The same of a file that only its owner may read, whatever it was before. */
FILE *result_file_open_secret(const char *path, char *error, size_t error_bytes);

/* Only now a plain file is at `path`. False: not all of it could be written, and there is what was
 * there before. */
bool result_file_close(FILE *file, const char *path, char *error, size_t error_bytes);

/* Instead of closing: it did not become whole for another reason. */
void result_file_abandon(FILE *file, const char *path);

/*
 * A copy in which every byte that is not sound UTF-8, and every control character but line ends and
 * tabs, is a question mark. NULL: no memory.
 */
char *result_file_clean(const char *text);

#endif
