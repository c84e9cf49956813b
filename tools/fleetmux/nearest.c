/*
 * nearest — finds the known word that is the fewest slips of the keyboard away
 *
 * Why it is so:   "unknown option" sends a reader to the manual; the right spelling sends them on
 *                 their way. A slip is a letter more, less, wrong, or two neighbours swapped.
 * Threads:        pure
 * Limits:         words of up to 63 bytes; what is longer is near to nothing. A candidate counts
 *                 up to a third of the word's letters away, or if the word is its beginning.
 */
#include "tools/fleetmux/nearest.h"

#include <string.h>

#define WORD_BYTES_MAX 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t nearest_distance(const char *from, const char *to)
{
    size_t rows[3][WORD_BYTES_MAX + 1];
    size_t from_bytes = strlen(from), to_bytes = strlen(to);

    if (from_bytes > WORD_BYTES_MAX || to_bytes > WORD_BYTES_MAX) {
        return WORD_BYTES_MAX + 1;
    }
    for (size_t j = 0; j <= to_bytes; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= from_bytes; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= to_bytes; j++) {
            size_t replaced = above[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
                row[j] = least(row[j], above_that[j - 2] + 1);
            }
        }
    }
    return rows[from_bytes % 3][to_bytes];
}

void nearest_consider(struct nearest *nearest, const char *candidate)
{
    size_t bytes = strlen(nearest->word);
    size_t distance = nearest_distance(nearest->word, candidate);
    size_t reach = bytes / 3 > 2 ? bytes / 3 : least(bytes, 2);

    if (bytes >= 3 && strncmp(nearest->word, candidate, bytes) == 0) {
        reach = distance = least(distance, 2);
    }
    if (distance <= reach && (nearest->best == NULL || distance < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}
