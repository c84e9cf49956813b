/*
 * result_json.h — the version of the file's schema, which docs/RESULTS.md describes
 */
#ifndef FMX_TOOLS_RESULT_JSON_H
#define FMX_TOOLS_RESULT_JSON_H

/* Grows when a reader of the older one would misunderstand a file. */
#define RESULT_JSON_SCHEMA 1u

/* Beyond these a file is refused before it eats the memory. */
#define RESULT_JSON_BYTES_MAX (512u << 20)
#define RESULT_JSON_ROWS_MAX  (1u << 21)
#define RESULT_JSON_TEXT_MAX  (16u << 20) /* of scenario and command */
#define RESULT_JSON_LIST_MAX  4096u       /* thresholds, steps, groups, stages, parts */
#define RESULT_JSON_DEPTH_MAX 8

#endif
