/*
 * props_table.h — the standard's table of properties, a second time and independently (2.2.2.2)
 *
 * The tests hold proto/props.c against it. Columns: identifier, field, type, places.
 */
#ifndef FMX_TESTS_SUPPORT_PROPS_TABLE_H
#define FMX_TESTS_SUPPORT_PROPS_TABLE_H

#include "proto/packet.h"

enum fmx_prop_type {
    FMX_TYPE_BYTE, /* 0 or 1, all of them */
    FMX_TYPE_TWO,
    FMX_TYPE_FOUR,
    FMX_TYPE_VARIABLE,
    FMX_TYPE_STRING,
    FMX_TYPE_BINARY,
};

struct fmx_prop_row {
    enum fmx_prop prop;
    enum fmx_prop_type type;
    size_t offset;
    bool has_zero;      /* may its value be 0 */
    const char *places; /* letters, see fmx_prop_place_letter */
};

/* W will, C CONNECT, c CONNACK, P PUBLISH, a PUBACK … PUBCOMP, S/s SUBSCRIBE/SUBACK, U/u, D, A */
static inline char fmx_prop_place_letter(unsigned place)
{
    return "WCcPaaaaSsUu__DA"[place & 15];
}

/* The user property is not here: it stands everywhere and repeats. */
static const struct fmx_prop_row fmx_prop_rows[] = {
    {0x01, FMX_TYPE_BYTE, offsetof(struct fmx_props, payload_format), true, "PW"},
    {0x02, FMX_TYPE_FOUR, offsetof(struct fmx_props, message_expiry_s), true, "PW"},
    {0x03, FMX_TYPE_STRING, offsetof(struct fmx_props, content_type), true, "PW"},
    {0x08, FMX_TYPE_STRING, offsetof(struct fmx_props, response_topic), true, "PW"},
    {0x09, FMX_TYPE_BINARY, offsetof(struct fmx_props, correlation_data), true, "PW"},
    {0x0b, FMX_TYPE_VARIABLE, offsetof(struct fmx_props, subscription_id), false, "PS"},
    {0x11, FMX_TYPE_FOUR, offsetof(struct fmx_props, session_expiry_s), true, "CcD"},
    {0x12, FMX_TYPE_STRING, offsetof(struct fmx_props, assigned_client_id), true, "c"},
    {0x13, FMX_TYPE_TWO, offsetof(struct fmx_props, server_keepalive_s), true, "c"},
    {0x15, FMX_TYPE_STRING, offsetof(struct fmx_props, auth_method), true, "CcA"},
    {0x16, FMX_TYPE_BINARY, offsetof(struct fmx_props, auth_data), true, "CcA"},
    {0x17, FMX_TYPE_BYTE, offsetof(struct fmx_props, request_problem), true, "C"},
    {0x18, FMX_TYPE_FOUR, offsetof(struct fmx_props, will_delay_s), true, "W"},
    {0x19, FMX_TYPE_BYTE, offsetof(struct fmx_props, request_response), true, "C"},
    {0x1a, FMX_TYPE_STRING, offsetof(struct fmx_props, response_info), true, "c"},
    {0x1c, FMX_TYPE_STRING, offsetof(struct fmx_props, server_reference), true, "cD"},
    {0x1f, FMX_TYPE_STRING, offsetof(struct fmx_props, reason_string), true, "casuDA"},
    {0x21, FMX_TYPE_TWO, offsetof(struct fmx_props, receive_max), false, "Cc"},
    {0x22, FMX_TYPE_TWO, offsetof(struct fmx_props, topic_alias_max), true, "Cc"},
    {0x23, FMX_TYPE_TWO, offsetof(struct fmx_props, topic_alias), true, "P"},
    {0x24, FMX_TYPE_BYTE, offsetof(struct fmx_props, maximum_qos), true, "c"},
    {0x25, FMX_TYPE_BYTE, offsetof(struct fmx_props, retain_available), true, "c"},
    {0x27, FMX_TYPE_FOUR, offsetof(struct fmx_props, packet_bytes_max), false, "Cc"},
    {0x28, FMX_TYPE_BYTE, offsetof(struct fmx_props, wildcard_available), true, "c"},
    {0x29, FMX_TYPE_BYTE, offsetof(struct fmx_props, subscription_id_available), true, "c"},
    {0x2a, FMX_TYPE_BYTE, offsetof(struct fmx_props, shared_available), true, "c"},
};

#define FMX_PROP_ROWS_COUNT (sizeof fmx_prop_rows / sizeof fmx_prop_rows[0])

static inline bool fmx_prop_row_stands_in(const struct fmx_prop_row *row, unsigned place)
{
    return strchr(row->places, fmx_prop_place_letter(place)) != NULL;
}

#endif
