/*
 * temporary.h — where tests and benchmarks put files and folders: below $TMPDIR, or /tmp
 */
#ifndef FMX_TESTS_SUPPORT_TEMPORARY_H
#define FMX_TESTS_SUPPORT_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>

#define FMX_TEMPORARY_BYTES      256 /* of a folder's name, */
#define FMX_TEMPORARY_FILE_BYTES 384 /* and of a file's in it */

/* `name` there: for mkdtemp and mkstemp one that ends in XXXXXX. */
static inline void fmx_temporary_path(char *out_path, size_t path_bytes, const char *name)
{
    const char *folder = getenv("TMPDIR");
    int bytes = snprintf(out_path, path_bytes, "%s/%s",
                         folder != NULL && folder[0] != '\0' ? folder : "/tmp", name);

    if (bytes < 0 || (size_t)bytes >= path_bytes) {
        fprintf(stderr, "TMPDIR: too long; %zu bytes have room, with '/%s'\n", path_bytes - 1,
                name);
        exit(1);
    }
}

#endif
