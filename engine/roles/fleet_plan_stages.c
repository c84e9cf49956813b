/*
 * fleet_plan_stages — when what happens: the order of stages, their times, shares and rates
 *
 * Why it is so:   a stage that can never end, or whose clients have gone for good, would be noticed
 *                 hours into a run. So the walk through the stages is made once before it
 * Threads:        pure
 * Limits:         each in a table below
 * Not here:       what a stage does: fleet_stage.c, fleet_leave.c
 */
#include "engine/roles/fleet_plan.h"

#include "engine/options.h"

/* What a walk through the stages has come to: groups, a bit each. */
struct walk {
    uint64_t all;
    uint64_t begun;   /* have been in a RAMP */
    uint64_t stopped; /* clients of theirs do not come back */
};

static const char *kind_name(enum fmx_fleet_stage_kind kind)
{
    static const char *const names[] = {[FMX_FLEET_RAMP] = "ramp",
                                        [FMX_FLEET_HOLD] = "hold",
                                        [FMX_FLEET_CHURN] = "churn",
                                        [FMX_FLEET_STORM] = "storm",
                                        [FMX_FLEET_STOP] = "stop"};

    return names[kind];
}

static enum fmx_status check_numbers(const struct fmx_fleet_stage *stage, char *error,
                                     size_t error_bytes)
{
    const struct fmx_option_range ranges[] = {
        {"kind", (uint64_t)stage->kind, 0, FMX_FLEET_STOP},
        {"duration_ns", stage->duration_ns, 0, FMX_PLAN_TIME_NS_MAX},
        {"within_ns", stage->within_ns, 0, FMX_PLAN_TIME_NS_MAX},
        {"leave", (uint64_t)stage->leave, 0, FMX_FLEET_LEAVE_VANISH},
    };
    const struct {
        const char *field;
        double value;
        double max;
    } numbers[] = {
        {"share", stage->share, 1},
        {"rate_begin", stage->rate_begin, FMX_PLAN_RATE_MAX},
        {"rate_end", stage->rate_end, FMX_PLAN_RATE_MAX},
        {"publish_begin", stage->publish_begin, FMX_PLAN_PUBLISH_RATE_MAX},
        {"publish_end", stage->publish_end, FMX_PLAN_PUBLISH_RATE_MAX},
    };
    enum fmx_status status =
        fmx_options_check(ranges, sizeof(ranges) / sizeof(ranges[0]), error, error_bytes);

    for (size_t i = 0; status == FMX_OK && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        status = fmx_plan_check_number(numbers[i].field, numbers[i].value, 0, numbers[i].max, error,
                                       error_bytes);
    }
    return status;
}

/* Rates with which a stage would never end, or do nothing. */
static enum fmx_status check_rates(const struct fmx_fleet_stage *stage, char *error,
                                   size_t error_bytes)
{
    bool ends_by_count = stage->kind == FMX_FLEET_RAMP || stage->kind == FMX_FLEET_STOP;
    double rate_begin = stage->duration_ns > 0 ? stage->rate_begin : stage->rate_end;

    if (stage->kind == FMX_FLEET_CHURN && rate_begin == 0 && stage->rate_end == 0) {
        return fmx_plan_refuse(error, error_bytes,
                               "rate_end is 0: write how many clients leave a second");
    }
    if (ends_by_count && stage->rate_begin > 0 && stage->rate_end == 0) {
        return fmx_plan_refuse(error, error_bytes,
                               "rate_end is 0, but rate_begin is %g: a %s that stands still never "
                               "ends: write a rate above 0",
                               stage->rate_begin, kind_name(stage->kind));
    }
    if (stage->kind == FMX_FLEET_STORM && stage->duration_ns > 0 &&
        stage->within_ns > stage->duration_ns) {
        return fmx_plan_refuse(
            error, error_bytes, "within_ns is %llu: write at most duration_ns, which is %llu",
            (unsigned long long)stage->within_ns, (unsigned long long)stage->duration_ns);
    }
    return FMX_OK;
}

static bool has_no_end(const struct fmx_fleet_stage *stage)
{
    return stage->duration_ns == 0 &&
           (stage->kind == FMX_FLEET_HOLD || stage->kind == FMX_FLEET_CHURN ||
            stage->kind == FMX_FLEET_STORM);
}

/* Whom it is about, and whether they are there. */
static enum fmx_status check_clients(const struct fmx_fleet_stage *stage, struct walk *walk,
                                     char *error, size_t error_bytes)
{
    uint64_t groups = stage->groups == 0 ? walk->all : stage->groups;

    if ((groups & ~walk->all) != 0) {
        return fmx_plan_refuse(error, error_bytes,
                               "groups is 0x%llx: write bits of groups that there are, within "
                               "0x%llx",
                               (unsigned long long)stage->groups, (unsigned long long)walk->all);
    }
    if (stage->kind == FMX_FLEET_HOLD) {
        return FMX_OK;
    }
    if ((groups & ~walk->stopped) == 0) {
        return fmx_plan_refuse(error, error_bytes,
                               "groups: their clients have been stopped for good by a stage before "
                               "this %s",
                               kind_name(stage->kind));
    }
    if (stage->kind == FMX_FLEET_RAMP) {
        walk->begun |= groups;
    } else if ((groups & walk->begun) == 0) {
        return fmx_plan_refuse(error, error_bytes,
                               "kind is %s, but no ramp before it lets these clients connect: "
                               "begin with a ramp",
                               kind_name(stage->kind));
    }
    walk->stopped |= stage->kind == FMX_FLEET_STOP ? groups : 0;
    return FMX_OK;
}

static enum fmx_status check_stage(const struct fmx_fleet_stage *stage, bool is_last,
                                   struct walk *walk, char *error, size_t error_bytes)
{
    enum fmx_status status = check_numbers(stage, error, error_bytes);

    if (status == FMX_OK) {
        status = check_rates(stage, error, error_bytes);
    }
    if (status == FMX_OK && !is_last && has_no_end(stage)) {
        return fmx_plan_refuse(error, error_bytes,
                               "duration_ns is 0, but stages follow: write how long this %s lasts",
                               kind_name(stage->kind));
    }
    return status == FMX_OK ? check_clients(stage, walk, error, error_bytes) : status;
}

enum fmx_status fmx_plan_check_stages(const struct fmx_fleet_plan *plan, char *error,
                                      size_t error_bytes)
{
    struct walk walk = {.all = plan->groups_count == 64 ? UINT64_MAX
                                                        : (1ull << plan->groups_count) - 1};
    enum fmx_status status = FMX_OK;

    static_assert(FMX_FLEET_GROUPS_MAX <= 64, "a bit each");
    for (size_t i = 0; status == FMX_OK && i < plan->stages_count; i++) {
        status =
            check_stage(&plan->stages[i], i + 1 == plan->stages_count, &walk, error, error_bytes);
        status = fmx_plan_place(status, error, error_bytes, "stages[%zu].", i);
    }
    for (size_t i = 0; status == FMX_OK && plan->stages_count > 0 && i < plan->groups_count; i++) {
        if ((walk.begun >> i & 1) == 0) {
            (void)fmx_plan_refuse(error, error_bytes,
                                  "clients_count is %u, but no ramp lets them connect: add a stage",
                                  plan->groups[i].clients_count);
            fmx_fleet_place_words(&plan->groups[i], i, error, error_bytes);
            status = FMX_E_OPTION;
        }
    }
    return status;
}
