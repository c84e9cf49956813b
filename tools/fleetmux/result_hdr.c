/*
 * result_hdr — a latency's distribution as the percentile text of HdrHistogram, for its plotters
 *
 * Why it is so:   the columns are Value, Percentile, TotalCount and 1/(1-Percentile), and lines
 *                 stand ever closer to 1: five for each halving of what is left, as theirs do. A
 *                 value is the highest of its bucket, and six digits behind the point keep
 *                 nanoseconds apart in milliseconds
 * Threads:        one
 * Not here:       the distribution: fleetmux/distribution.h
 */
#include "tools/fleetmux/result_file.h"
#include "tools/fleetmux/result.h"

#include <inttypes.h>
#include <math.h>

#define TICKS_PER_HALVING 5.0
#define NS_PER_MS         1e6

/* The percentile to look for after this one. */
static double next_percentile(double percentile)
{
    double halvings = floor(log2(100.0 / (100.0 - percentile))) + 1;

    return percentile + 100.0 / (TICKS_PER_HALVING * exp2(halvings));
}

static void print_line(FILE *file, uint64_t value_ns, uint64_t seen, uint64_t total)
{
    double fraction = (double)seen / (double)total;

    fprintf(file, "%16.6f %2.12f %10" PRIu64, (double)value_ns / NS_PER_MS, fraction, seen);
    if (seen < total) {
        fprintf(file, " %14.2f", 1 / (1 - fraction));
    }
    fputc('\n', file);
}

static uint64_t value_of(const struct fmx_distribution *distribution, uint32_t bucket)
{
    uint64_t edge_ns = fmx_distribution_edge_ns(bucket);

    return edge_ns > distribution->max_ns || bucket + 1 == FMX_DISTRIBUTION_BUCKETS
               ? distribution->max_ns
               : edge_ns;
}

static void print_lines(FILE *file, const struct fmx_distribution *distribution)
{
    double wanted = 0;
    uint64_t seen = 0;

    for (uint32_t i = 0; i < FMX_DISTRIBUTION_BUCKETS && seen < distribution->total; i++) {
        if (distribution->counts[i] == 0) {
            continue;
        }
        seen += distribution->counts[i];
        double reached = 100.0 * (double)seen / (double)distribution->total;
        if (seen == distribution->total || reached >= wanted) {
            print_line(file, value_of(distribution, i), seen, distribution->total);
        }
        while (seen < distribution->total && wanted <= reached && wanted < 100) {
            double next = next_percentile(wanted);
            wanted = next > wanted ? next : 100;
        }
    }
}

static double deviation_of(const struct fmx_distribution *distribution, double mean)
{
    double sum = 0;

    for (uint32_t i = 0; i < FMX_DISTRIBUTION_BUCKETS; i++) {
        if (distribution->counts[i] > 0) {
            double least = i > 0 ? (double)fmx_distribution_edge_ns(i - 1) + 1 : 0;
            double middle = (least + (double)value_of(distribution, i)) / 2;
            sum += (double)distribution->counts[i] * (middle - mean) * (middle - mean);
        }
    }
    return distribution->total > 0 ? sqrt(sum / (double)distribution->total) : 0;
}

bool result_write_hdr(const struct result *result, enum fmx_fleet_latency latency, const char *path,
                      char *error, size_t error_bytes)
{
    const struct fmx_distribution *distribution = result->distributions[latency];
    FILE *file = result_file_open(path, error, error_bytes);

    if (file == NULL) {
        return false;
    }
    double mean = fmx_distribution_mean(distribution);
    fprintf(file, "%16s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
            "1/(1-Percentile)");
    print_lines(file, distribution);
    fprintf(file, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean / NS_PER_MS,
            deviation_of(distribution, mean) / NS_PER_MS);
    fprintf(file, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
            (double)distribution->max_ns / NS_PER_MS, distribution->total);
    fprintf(file, "#[Buckets = %12d, SubBuckets     = %12d]\n", 32, 2048);
    return result_file_close(file, path, error, error_bytes);
}
