/*
 * nearest.h — which known word somebody probably meant
 */
#ifndef FMX_TOOLS_NEAREST_H
#define FMX_TOOLS_NEAREST_H

#include <stddef.h>

/* The best candidate so far. Start with {.word = …}; read `best`, NULL if none is near. */
struct nearest {
    const char *word;
    const char *best;
    size_t distance;
};

/* `candidate` must live as long as `best` is read. */
void nearest_consider(struct nearest *nearest, const char *candidate);

/* Insertions, deletions, replacements and swaps of neighbours from one word to the other. */
size_t nearest_distance(const char *from, const char *to);

#endif
