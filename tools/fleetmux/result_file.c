/*
 * result_file — files that results are written to
 *
 * Why it is so:   a disk that is full is found out when the file is closed, so closing has an
 *                 answer. What people have named (groups, scenarios, command lines) may hold any
 *                 bytes; what is written is UTF-8
 * Threads:        one
 */
#include "tools/fleetmux/result_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

FILE *result_file_open(const char *path, char *error, size_t error_bytes)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

    if (file == NULL) {
        snprintf(error, error_bytes, "'%.200s' cannot be written: %s", path, strerror(errno));
    }
    return file;
}

bool result_file_close(FILE *file, const char *path, char *error, size_t error_bytes)
{
    bool is_whole = fflush(file) == 0 && ferror(file) == 0;
    int number = errno;

    if (file != stdout && fclose(file) != 0 && is_whole) {
        is_whole = false;
        number = errno;
    }
    if (!is_whole) {
        snprintf(error, error_bytes, "'%.200s' could not be written whole: %s", path,
                 strerror(number));
    }
    return is_whole;
}

/* Bytes of the character that begins here, 0 if it is none. */
static size_t character_bytes(const unsigned char *at)
{
    if (at[0] < 0x80) {
        return (at[0] >= ' ' && at[0] != 0x7f) || at[0] == '\n' || at[0] == '\t' ? 1 : 0;
    }
    size_t bytes = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) { /* the terminating zero is not, either */
            return 0;
        }
    }
    bool is_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool is_none = (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf4 && at[1] >= 0x90) ||
                   (at[0] == 0xc2 && at[1] < 0xa0); /* surrogates, beyond Unicode, control */
    return is_long || is_none ? 0 : bytes;
}

char *result_file_clean(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL) {
        return NULL;
    }
    for (unsigned char *at = (unsigned char *)copy; *at != '\0';) {
        size_t bytes = character_bytes(at);
        if (bytes == 0) {
            *at = '?';
            bytes = 1;
        }
        at += bytes;
    }
    return copy;
}
