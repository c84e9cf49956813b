/*
 * fleet_plan.h — what the files that check a plan know of one another
 *
 * A check's words begin with the field's name, without the place where it stands; whoever calls it
 * puts that in front.
 */
#ifndef ENGINE_ROLES_FLEET_PLAN_H
#define ENGINE_ROLES_FLEET_PLAN_H

#include "engine/roles/fleet.h"

#define FMX_PLAN_TIME_NS_MAX      (100ull * 24 * 3600 * 1000000000ull) /* 100 days */
#define FMX_PLAN_PAYLOAD_MAX      268000000u
#define FMX_PLAN_RATE_MAX         1e7 /* clients a second */
#define FMX_PLAN_PUBLISH_RATE_MAX 1e6 /* times the planned rate */

/* Words; returns FMX_E_OPTION. */
enum fmx_status fmx_plan_refuse(char *error, size_t error_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts a place in front of words, unless the status is FMX_OK; returns the status. */
enum fmx_status fmx_plan_place(enum fmx_status status, char *error, size_t error_bytes,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A number that is finite and in the range. */
enum fmx_status fmx_plan_check_number(const char *field, double value, double min, double max,
                                      char *error, size_t error_bytes) FMX_MUST_USE;

/* 0 or 1. */
enum fmx_status fmx_plan_check_qos(uint8_t qos, char *error, size_t error_bytes) FMX_MUST_USE;

/* ── fleet_plan_messages.c: what a group says and hears; `longest` as variables can be ── */

enum fmx_status fmx_plan_check_messages(const struct fmx_fleet_group *group,
                                        const struct fmx_template_values *longest, char *error,
                                        size_t error_bytes) FMX_MUST_USE;

/* ── fleet_plan_names.c: who clients are, and that no two are the same ── */

/* What variables become at their longest. */
struct fmx_plan_longest {
    struct fmx_template_values values;
    uint8_t product_key[FMX_TEMPLATE_BYTES_MAX];
    uint8_t device_name[FMX_TEMPLATE_BYTES_MAX];
    uint8_t client_id[FMX_TEMPLATE_BYTES_MAX];
    uint8_t username[FMX_TEMPLATE_BYTES_MAX];
};

/* Checks client id, user name and password, and finds their longest. */
enum fmx_status fmx_plan_check_names(const struct fmx_fleet_group *group,
                                     struct fmx_plan_longest *out_longest, char *error,
                                     size_t error_bytes) FMX_MUST_USE;

/* Of clients of different groups at one server. */
enum fmx_status fmx_plan_check_twins(const struct fmx_fleet_plan *plan, char *error,
                                     size_t error_bytes) FMX_MUST_USE;

/* ── fleet_plan_stages.c ── */

enum fmx_status fmx_plan_check_stages(const struct fmx_fleet_plan *plan, char *error,
                                      size_t error_bytes) FMX_MUST_USE;

#endif
