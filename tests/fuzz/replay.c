/*
 * replay — runs a fuzz target over files, in builds that have no fuzzer
 *
 * Why it is so:   with it, every input that once broke something is tried in each ordinary build,
 *                 by each compiler and sanitizer, and not only where libFuzzer is to be had
 * Limits:         files up to 1 MiB; a folder's own folders are not entered
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_BYTES_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static size_t inputs_count;

static void replay_bytes(const uint8_t *bytes, size_t count)
{
    /* an exact allocation, so that a read past the end is seen */
    uint8_t *copy = malloc(count > 0 ? count : 1);

    if (copy == NULL) {
        abort();
    }
    if (count > 0) {
        memcpy(copy, bytes, count);
    }
    (void)LLVMFuzzerTestOneInput(copy, count);
    free(copy);
    inputs_count++;
}

static void replay_file(const char *path)
{
    static uint8_t buffer[INPUT_BYTES_MAX];
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t count = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    replay_bytes(buffer, count);
}

static void replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;

    if (folder == NULL) {
        return; /* a target without a corpus yet */
    }
    while ((entry = readdir(folder)) != NULL) {
        char name[4096];
        struct stat facts;

        int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (length < 0 || (size_t)length >= sizeof name) {
            continue;
        }
        if (stat(name, &facts) == 0 && S_ISREG(facts.st_mode)) {
            replay_file(name);
        }
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    replay_bytes((const uint8_t *)"", 0);
    for (int index = 1; index < argc; index++) {
        struct stat facts;

        if (stat(argv[index], &facts) == 0 && S_ISREG(facts.st_mode)) {
            replay_file(argv[index]);
        } else {
            replay_folder(argv[index]);
        }
    }
    printf("%zu inputs\n", inputs_count);
    return 0;
}
