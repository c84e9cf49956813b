/*
 * result_compare.h — what two runs are compared by
 */
#ifndef FMX_TOOLS_RESULT_COMPARE_H
#define FMX_TOOLS_RESULT_COMPARE_H

#include "tools/fleetmux/result_svg.h"

struct compare_row {
    const char *name;
    enum plot_scale scale;
    int better; /* 1: more is better, −1: less is, 0: neither */
    double (*value)(const struct result *result, size_t what); /* NaN: it has none */
    size_t what;
};

extern const struct compare_row compare_rows[];
extern const size_t compare_rows_count;

/* Has any of them anything but nothing there? */
bool compare_is_shown(const struct compare_row *row, struct result *const *results, size_t count);

/* How many times the first one's: "×1.23", or ""; out_verdict: 1 better, −1 worse, 0 neither. */
struct plot_words compare_ratio(const struct compare_row *row, double first, double other,
                                int *out_verdict);

/* A table for terminals. */
void compare_print(struct result *const *results, size_t count, FILE *out);

#endif
