/*
 * load_login — who the clients say they are
 *
 * Why it is so:   a broker that checks its clients needs names and passwords which only its own
 *                 tools can make. They come from a file, one client a line, so that this program
 *                 still knows no broker.
 * Memory:         the file, as a whole, and a pointer a line
 * Limits:         texts up to WIRE_TEXT_SIZE_MAX, without blanks; 256 MiB
 */
#include "bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (256L << 20)

struct load_logins {
    char *text;
    struct wire_login *lines;
};

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    long size = -1;
    if (file && fseek(file, 0, SEEK_END) == 0) {
        size = ftell(file);
        rewind(file);
    }
    if (size >= 0 && size <= FILE_BYTES_MAX) {
        text = malloc((size_t)size + 1);
    }
    if (text) {
        size_t got = fread(text, 1, (size_t)size, file);
        text[got] = '\0';
    } else {
        fprintf(stderr, "bench_load: --credentials %s: %s\n", path,
                errno != 0 ? strerror(errno) : "larger than 256 MiB");
    }
    if (file) {
        (void)fclose(file);
    }
    return text;
}

/* Cuts one line into its three words; false when it has not just three that fit. */
static bool cut_line(char *line, struct wire_login *out_login)
{
    char *rest = line;
    const char *words[3];
    for (int i = 0; i < 3; i++) {
        words[i] = strtok_r(i == 0 ? line : NULL, " ", &rest);
        if (!words[i] || strlen(words[i]) > WIRE_TEXT_SIZE_MAX) {
            return false;
        }
    }
    *out_login = (struct wire_login){words[0], words[1], words[2]};
    return strtok_r(NULL, " ", &rest) == NULL;
}

static bool cut(struct load_logins *logins, const struct load_options *options, uint32_t count)
{
    char *rest = logins->text;
    uint32_t number = 0;
    for (char *line = strtok_r(logins->text, "\n", &rest); line && number < count;
         line = strtok_r(NULL, "\n", &rest), number++) {
        if (!cut_line(line, &logins->lines[number])) {
            fprintf(stderr, "bench_load: --credentials, line %u: must be CLIENT_ID USER PASSWORD\n",
                    number + 1);
            return false;
        }
    }
    if (number < count) {
        fprintf(stderr, "bench_load: --credentials %s has %u lines; this run needs %u\n",
                options->credentials, number, count);
    }
    return number == count;
}

bool load_logins_open(struct load_net *net)
{
    const struct load_options *options = net->options;
    uint32_t count = options->client_first + net->conns_count;
    if (!options->credentials) {
        return true;
    }
    net->logins = calloc(1, sizeof *net->logins);
    if (net->logins) {
        net->logins->lines = calloc(count, sizeof *net->logins->lines);
        net->logins->text = read_all(options->credentials);
    }
    return net->logins && net->logins->lines && net->logins->text &&
           cut(net->logins, options, count);
}

void load_logins_close(struct load_net *net)
{
    if (net->logins) {
        free(net->logins->text);
        free(net->logins->lines);
        free(net->logins);
        net->logins = NULL;
    }
}

struct wire_login load_login_of(const struct load_net *net, uint32_t index, char *room)
{
    uint32_t number = net->options->client_first + index;
    if (net->logins) {
        return net->logins->lines[number];
    }
    snprintf(room, 64, "%.40s-%06u", net->options->name, number);
    return (struct wire_login){.client_id = room};
}
