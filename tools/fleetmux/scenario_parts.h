/*
 * scenario_parts.h — scenarios inside: the tables of keys, and what walks along them
 *
 *     scenario.c          a file becomes a plan; positions of what the library refuses
 *     scenario_keys.c     the tables: every key of every level
 *     scenario_read.c     the walk: mappings, merges, plain values
 *     scenario_group.c    keys of groups that are more than a value: targets, TLS, devices …
 *     scenario_publish.c  the same of publishes, subscribes and their payloads
 *     scenario_json.c     a mapping that becomes a JSON text
 *     scenario_stage.c    the same of stages and thresholds
 *     scenario_value.c    shares, rates, times: read and written
 *     scenario_write.c    a plan becomes a file
 *     scenario_help.c     the tables for people
 *
 * Words:   level: a mapping with keys of its own; key: one of them, a row of flags.h and how it is
 *          written beyond what flags.h knows; settings: the struct of a level, which the levels
 *          inside it share; where: the path to a value, "groups[1].publish[0].every".
 */
#ifndef FMX_TOOLS_SCENARIO_PARTS_H
#define FMX_TOOLS_SCENARIO_PARTS_H

#include "tools/fleetmux/fleet.h"
#include "tools/fleetmux/scenario.h"

#include <yaml.h>

#define SCENARIO_BYTES_MAX        (16u << 20)         /* of a file */
#define SCENARIO_MEMORY_BYTES_MAX (UINT64_C(1) << 30) /* of all that is made of it */
#define SCENARIO_PAYLOAD_MAX      268000000u
#define SCENARIO_KEYS_MAX         64 /* of a level */

/* ── tables ── */

enum scenario_form {
    FORM_PLAIN = 0,     /* by the row's kind, as on the command line; times have a unit */
    FORM_SIGNED,        /* int, from −row.min to row.max */
    FORM_SHARE,         /* double: 0.5, 50% */
    FORM_FACTORS,       /* two doubles, from and to: 150%, 50%..150% */
    FORM_RATES,         /* two doubles a second: 500/s, 100..500/s */
    FORM_SPEED,         /* uint64_t: 10Ki, 10Ki/s */
    FORM_NONE_TEXT,     /* "none" is the empty text */
    FORM_PATH,          /* relative to the scenario's folder */
    FORM_PATH_TEMPLATE, /* the same with variables in it */
    FORM_MORE,          /* `read` and `write` do it */
};

struct scenario_reader;
struct scenario_writer;
struct scenario_level;
struct scenario_key;

struct scenario_where {
    const struct scenario_where *outer; /* NULL: the whole file */
    const char *name;                   /* NULL: item `index` */
    size_t index;
};

typedef bool scenario_read_fn(struct scenario_reader *reader, const struct scenario_where *where,
                              const struct scenario_key *key, void *settings, yaml_node_t *node);
/* Adds the key to the mapping, unless there is nothing to say. */
typedef bool scenario_write_fn(struct scenario_writer *writer, int mapping,
                               const struct scenario_key *key, const void *settings,
                               const void *defaults);

struct scenario_key {
    struct flag row;
    enum scenario_form form;
    bool is_needed;
    bool is_written;                    /* even if it has its default */
    const char *member;                 /* what the library calls it in an error; NULL: nothing */
    const struct scenario_level *level; /* keys inside, also of a list's items */
    scenario_read_fn *read;             /* NULL: by form, or `level` alone */
    scenario_write_fn *write;
    const char *words;    /* how it is written, where the row does not say: "a list of …" */
    const char *standard; /* its default, where the row does not say */
};

struct scenario_level {
    const char *path;  /* "groups[].publish[]"; "": the file itself */
    const char *title; /* in the help */
    const struct scenario_key *keys;
    size_t keys_count;
    size_t settings_bytes;
    void (*init)(void *settings); /* every default */
    /* After all keys: what depends on several. */
    bool (*finish)(struct scenario_reader *reader, const struct scenario_where *where,
                   void *settings, yaml_node_t *node);
};

extern const struct scenario_level scenario_top;
extern const struct scenario_level scenario_group;
extern const struct scenario_level scenario_device;
extern const struct scenario_level scenario_tls;
extern const struct scenario_level scenario_publish;
extern const struct scenario_level scenario_properties;
extern const struct scenario_level scenario_request;
extern const struct scenario_level scenario_subscribe;
extern const struct scenario_level scenario_answers;
extern const struct scenario_level scenario_reconnect;
extern const struct scenario_level scenario_link;
extern const struct scenario_level scenario_stage;

/* All of the above, in the order of the help; ends with NULL. */
extern const struct scenario_level *const scenario_levels[];

/* ── settings of levels ── */

enum scenario_scheme { SCHEME_NONE, SCHEME_PLAIN, SCHEME_TLS };

struct scenario_host {
    const char *text; /* behind the scheme */
    enum scenario_scheme scheme;
};

struct group_settings {
    struct fmx_fleet_group plan;
    struct fmx_tls_client tls;
    enum { TLS_UNSAID, TLS_OFF, TLS_ON } tls_said;
    struct scenario_host *hosts; /* NULL: no `target` */
    size_t hosts_count;
    const char *devices;  /* a CSV file; NULL: none */
    const char *registry; /* a registry; NULL: none */
};

struct publish_settings {
    struct fmx_fleet_publish plan;
    const char *payload; /* the key that says what is sent; NULL: none yet */
};

struct stage_settings {
    struct fmx_fleet_stage plan;
    const struct scenario *scenario; /* whose groups it names */
};

/* The name of a stage's kind in a file. */
const char *scenario_stage_name(enum fmx_fleet_stage_kind kind);

/* ── memory: what lives as long as the scenario ── */

struct scenario_memory {
    struct scenario_block *blocks;
    uint64_t bytes;
    yaml_document_t document; /* texts of the plan lie in it */
    bool has_document;
    struct fleet_devices *devices[FMX_FLEET_GROUPS_MAX];
    size_t devices_count;
};

/* Zeroed; NULL: memory ran out, or more is wanted than a scenario may have. */
void *scenario_take(struct scenario_memory *memory, size_t count, size_t bytes);

/* ── reading ── */

struct scenario_reader {
    const char *path;
    const char *folder; /* with the slash; "": the current one */
    struct scenario *scenario;
    const struct scenario_hosts *hosts;
    yaml_node_t *stages; /* read when the groups are known; NULL: none */
    char *error;
    size_t error_bytes;
};

/* Writes the error; always false. `where` may be NULL. */
__attribute__((format(printf, 4, 5))) bool scenario_refuse(struct scenario_reader *reader,
                                                           const struct scenario_where *where,
                                                           const yaml_node_t *node,
                                                           const char *format, ...);
bool scenario_refuse_memory(struct scenario_reader *reader, const struct scenario_where *where,
                            const yaml_node_t *node);

/* A path as text; returns out_text. */
const char *scenario_where_text(const struct scenario_where *where, char *out_text,
                                size_t text_bytes);

yaml_node_t *scenario_node(const struct scenario_reader *reader, int index);

/* Of a sequence: how many; any other node counts as one item, itself. */
size_t scenario_items_count(const yaml_node_t *node);
yaml_node_t *scenario_item(const struct scenario_reader *reader, yaml_node_t *node, size_t index);

/* The value of a key, merged ones too; NULL: it is not there, or this is no mapping. */
yaml_node_t *scenario_value_of(const struct scenario_reader *reader, const yaml_node_t *mapping,
                               const char *name);

/* Null, as in "key:" with nothing behind it. */
bool scenario_is_null(const yaml_node_t *node);

/* The text of a scalar; NULL: refused. `key` says what should stand there. */
const char *scenario_text(struct scenario_reader *reader, const struct scenario_where *where,
                          const struct scenario_key *key, const yaml_node_t *node);

/* All keys of a mapping into settings, then the level's `finish`. */
bool scenario_read_level(struct scenario_reader *reader, const struct scenario_where *where,
                         const struct scenario_level *level, void *settings, yaml_node_t *node);

/* One value by its key's form. */
bool scenario_read_value(struct scenario_reader *reader, const struct scenario_where *where,
                         const struct scenario_key *key, void *settings, const yaml_node_t *node);

/* The key of a level by its name; NULL: there is none. */
const struct scenario_key *scenario_key_find(const struct scenario_level *level, const char *name);

/* A name of a file, from the scenario's folder on; NULL: memory. A template's folder is quoted. */
const char *scenario_path(struct scenario_reader *reader, const char *text, bool is_template);

/* Keys of the tables that are more than a value. */
scenario_read_fn scenario_read_groups, scenario_read_targets, scenario_read_sources,
    scenario_read_tls, scenario_read_reconnect, scenario_read_answers, scenario_read_answer_payload,
    scenario_read_publishes, scenario_read_subscribes, scenario_read_payload, scenario_read_user,
    scenario_read_stages, scenario_read_stage_groups, scenario_read_thresholds;

bool scenario_finish_top(struct scenario_reader *reader, const struct scenario_where *where,
                         void *settings, yaml_node_t *node);
bool scenario_finish_group(struct scenario_reader *reader, const struct scenario_where *where,
                           void *settings, yaml_node_t *node);
bool scenario_finish_publish(struct scenario_reader *reader, const struct scenario_where *where,
                             void *settings, yaml_node_t *node);
bool scenario_finish_request(struct scenario_reader *reader, const struct scenario_where *where,
                             void *settings, yaml_node_t *node);

/* Cuts mqtt:// or mqtts:// off. NULL, or what is wrong with it. */
const char *scenario_host_read(const char *text, struct scenario_host *out_host);

/* scenario_json.c: a text of the scenario's; NULL: refused. */
const char *scenario_json(struct scenario_reader *reader, const struct scenario_where *where,
                          yaml_node_t *node);

/* ── values ── */

/* False: words say what is wrong, and what to write. */
bool scenario_value_read(const struct scenario_key *key, void *settings, const char *text,
                         char *words, size_t words_bytes);

/* The value as scenario_value_read takes it; NULL: there is none. Uses out_text or not. */
const char *scenario_value_text(const struct scenario_key *key, const void *settings,
                                char *out_text, size_t text_bytes);

bool scenario_value_equal(const struct scenario_key *key, const void *a, const void *b);

/* "a time from 1ms to 1h, such as 250ms or 10s" */
void scenario_value_describe(const struct scenario_key *key, char *out_text, size_t text_bytes);

/* 5000000 → "5ms" */
const char *scenario_time_text(uint64_t time_ns, char *out_text, size_t text_bytes);

/* ── writing ── */

scenario_write_fn scenario_write_groups, scenario_write_targets, scenario_write_sources,
    scenario_write_tls, scenario_write_devices, scenario_write_reconnect, scenario_write_answers,
    scenario_write_answer_payload, scenario_write_publishes, scenario_write_subscribes,
    scenario_write_payload, scenario_write_response_topic, scenario_write_request,
    scenario_write_user, scenario_write_stages, scenario_write_stage_groups,
    scenario_write_thresholds;

#endif
