/*
 * fleet_payload — texts with variables: taking them apart
 *
 * Why it is so:   a text is taken apart once, into pieces, so that filling it in is a walk over
 *                 them without a parser on the way. Whoever writes one by hand errs, so each error
 *                 says where, what is wrong, and what to write instead
 * Words:          piece: a run of bytes as they are, or one variable; field: a variable in braces;
 *                 form: how such a variable is written; scaled: a decimal as a whole number of its
 *                 last digit
 * Invariants:     (1) room for all pieces, choices and bytes is made before the first: each percent
 *                 sign makes at most one piece and one run of bytes behind it, each bar one choice,
 *                 each byte at most one byte
 * Memory:         a text is one block
 * Threads:        pure; a text is read-only after open
 * Limits:         FIXED_BYTES_MAX for all that has the same length in each message; 18 digits
 *                 behind a point; numbers of 64 bits
 * Not here:       what is drawn, and how it is written: fleet_payload_fill.c
 */
#include "engine/roles/fleet_payload.h"

#include "proto/topic.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIXED_BYTES_MAX 268000000u
#define DECIMALS_MAX    18u
#define SHOWN_BYTES     40 /* of what is wrong */
#define NAME_BYTES_MAX  8u

/* ── taking apart ── */

struct parser {
    const char *text;
    const char *at;
    bool has_devices;
    struct fmx_payload_text *into;
    char *error;
    size_t error_bytes;
};

/* What stands between the braces, and in the whole. */
struct field {
    fmx_slice whole;
    fmx_slice name;
    fmx_slice rest; /* behind the name's colon */
    bool has_rest;
    const struct form *form;
};

struct form {
    const char *name;
    const char *usage;
    bool (*take)(struct parser *parser, const struct field *field);
};

/* In characters, from 1: a byte that continues a character of UTF-8 is none. */
static size_t position_of(const struct parser *parser, const char *where)
{
    size_t position = 1;

    for (const char *at = parser->text; at < where; at++) {
        position += ((unsigned char)*at & 0xc0) != 0x80;
    }
    return position;
}

static __attribute__((format(printf, 3, 4))) bool fail(const struct parser *parser,
                                                       const char *where, const char *format, ...)
{
    int used =
        snprintf(parser->error, parser->error_bytes, "character %zu: ", position_of(parser, where));
    va_list arguments;

    if (used >= 0 && (size_t)used < parser->error_bytes) {
        va_start(arguments, format);
        vsnprintf(parser->error + used, parser->error_bytes - (size_t)used, format, arguments);
        va_end(arguments);
    }
    return false;
}

/* What is wrong with a field, and how it is written. */
static bool fail_field(const struct parser *parser, const struct field *field, const char *why)
{
    int shown = field->whole.bytes < SHOWN_BYTES ? (int)field->whole.bytes : SHOWN_BYTES;

    return fail(parser, (const char *)field->whole.data, "'%.*s': %s; write %s", shown,
                (const char *)field->whole.data, why, field->form->usage);
}

static struct fmx_payload_piece *add_piece(struct parser *parser, enum fmx_piece_kind kind)
{
    struct fmx_payload_piece *piece = &parser->into->pieces[parser->into->pieces_count++];

    *piece = (struct fmx_payload_piece){.kind = kind};
    parser->into->counts[kind]++;
    return piece;
}

static void add_byte(struct parser *parser, char byte)
{
    struct fmx_payload_text *into = parser->into;
    struct fmx_payload_piece *last =
        into->pieces_count > 0 ? &into->pieces[into->pieces_count - 1] : NULL;

    if (last == NULL || last->kind != FMX_PIECE_LITERAL) {
        last = add_piece(parser, FMX_PIECE_LITERAL);
        last->bytes.data = into->bytes;
    }
    *into->bytes++ = (uint8_t)byte;
    last->bytes.bytes++;
    into->fixed_bytes++;
}

/* ── parameters ── */

/* Cuts the next parameter off; false: there is none. */
static bool next_parameter(struct field *field, char separator, fmx_slice *out_parameter)
{
    if (!field->has_rest) {
        return false;
    }
    const uint8_t *data = field->rest.data;
    const uint8_t *end = field->rest.bytes > 0 ? memchr(data, separator, field->rest.bytes) : NULL;
    size_t bytes = end != NULL ? (size_t)(end - data) : field->rest.bytes;

    *out_parameter = (fmx_slice){.data = data, .bytes = bytes};
    field->has_rest = end != NULL;
    if (end != NULL) {
        field->rest = (fmx_slice){.data = end + 1, .bytes = field->rest.bytes - bytes - 1};
    }
    return true;
}

/* Exactly so many, apart by colons. */
static bool all_parameters(const struct field *field, size_t count, fmx_slice *out_parameters)
{
    struct field left = *field;

    for (size_t i = 0; i < count; i++) {
        if (!next_parameter(&left, ':', &out_parameters[i])) {
            return false;
        }
    }
    return !left.has_rest;
}

static bool add_digit(uint64_t *value, uint64_t digit)
{
    return !__builtin_mul_overflow(*value, 10, value) &&
           !__builtin_add_overflow(*value, digit, value);
}

/* A decimal, scaled by so many digits, as many as it may have. NULL, or what is wrong. */
static const char *read_scaled(fmx_slice text, uint32_t digits, int64_t *out_value)
{
    bool is_negative = text.bytes > 0 && text.data[0] == '-';
    size_t at = text.bytes > 0 && (text.data[0] == '-' || text.data[0] == '+');
    uint64_t value = 0;
    uint32_t behind = 0;
    bool has_point = false;
    bool has_digit = false;

    for (; at < text.bytes; at++) {
        uint8_t byte = text.data[at];
        if (byte == '.' && !has_point && digits > 0) {
            has_point = true;
            continue;
        }
        if (byte < '0' || byte > '9') {
            return digits > 0 ? "one of them is no number" : "one of them is no whole number";
        }
        if (has_point && behind++ == digits) {
            return "a number has more digits than DIGITS";
        }
        has_digit = true;
        if (!add_digit(&value, byte - '0')) {
            return "a number is too large";
        }
    }
    for (; behind < digits && has_digit; behind++) {
        if (!add_digit(&value, 0)) {
            return "a number is too large";
        }
    }
    if (!has_digit) {
        return "a number is missing";
    }
    if (value > (uint64_t)INT64_MAX) {
        return "a number is too large";
    }
    *out_value = is_negative ? -(int64_t)value : (int64_t)value;
    return NULL;
}

static const char *read_range(const fmx_slice *least, const fmx_slice *most, uint32_t digits,
                              struct fmx_payload_piece *piece)
{
    int64_t highest = 0;
    const char *why = read_scaled(*least, digits, &piece->least);

    why = why != NULL ? why : read_scaled(*most, digits, &highest);
    if (why == NULL && highest < piece->least) {
        why = "LEAST is above MOST";
    }
    piece->span = (uint64_t)highest - (uint64_t)piece->least;
    piece->digits = digits;
    return why;
}

static const char *read_digits(fmx_slice text, uint32_t *out_digits)
{
    int64_t digits = 0;
    const char *why = read_scaled(text, 0, &digits);

    *out_digits = (uint32_t)digits;
    return why == NULL && (digits < 0 || digits > DECIMALS_MAX) ? "DIGITS are 0 to 18" : why;
}

/* ── each variable with parameters ── */

static const struct {
    const char *name;
    enum fmx_piece_kind kind;
    uint64_t unit_ns;
} times[] = {{"s", FMX_PIECE_TIME, 1000000000},
             {"ms", FMX_PIECE_TIME, 1000000},
             {"us", FMX_PIECE_TIME, 1000},
             {"ns", FMX_PIECE_TIME, 1},
             {"iso", FMX_PIECE_TIME_ISO, 0}};

static void add_time(struct parser *parser, enum fmx_piece_kind kind, uint64_t unit_ns)
{
    add_piece(parser, kind)->unit_ns = unit_ns;
    parser->into->variable_bytes += FMX_PAYLOAD_NUMBER_BYTES;
}

static bool take_time(struct parser *parser, const struct field *field)
{
    fmx_slice unit;

    if (!all_parameters(field, 1, &unit)) {
        return fail_field(parser, field, "it has one parameter");
    }
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        if (fmx_slice_equal(unit, fmx_slice_of(times[i].name))) {
            add_time(parser, times[i].kind, times[i].unit_ns);
            return true;
        }
    }
    return fail_field(parser, field, "there is no such unit");
}

static void add_sequence(struct parser *parser, int64_t first, int64_t step)
{
    struct fmx_payload_piece *piece = add_piece(parser, FMX_PIECE_SEQUENCE);

    piece->least = first;
    piece->span = (uint64_t)step;
    parser->into->variable_bytes += FMX_PAYLOAD_NUMBER_BYTES;
}

static bool take_sequence(struct parser *parser, const struct field *field)
{
    fmx_slice parameters[2];
    int64_t first = 0;
    int64_t step = 0;

    if (!all_parameters(field, 2, parameters)) {
        return fail_field(parser, field, "it has two parameters");
    }
    const char *why = read_scaled(parameters[0], 0, &first);
    why = why != NULL ? why : read_scaled(parameters[1], 0, &step);
    if (why != NULL) {
        return fail_field(parser, field, why);
    }
    add_sequence(parser, first, step);
    return true;
}

static bool take_int(struct parser *parser, const struct field *field)
{
    fmx_slice parameters[2];

    if (!all_parameters(field, 2, parameters)) {
        return fail_field(parser, field, "it has two parameters");
    }
    const char *why =
        read_range(&parameters[0], &parameters[1], 0, add_piece(parser, FMX_PIECE_DRAWN));
    parser->into->variable_bytes += FMX_PAYLOAD_NUMBER_BYTES;
    return why == NULL || fail_field(parser, field, why);
}

static bool take_real(struct parser *parser, const struct field *field)
{
    fmx_slice parameters[3];
    uint32_t digits;

    if (!all_parameters(field, 3, parameters)) {
        return fail_field(parser, field, "it has three parameters");
    }
    const char *why = read_digits(parameters[2], &digits);
    if (why == NULL) {
        why =
            read_range(&parameters[0], &parameters[1], digits, add_piece(parser, FMX_PIECE_DRAWN));
    }
    parser->into->variable_bytes += FMX_PAYLOAD_NUMBER_BYTES;
    return why == NULL || fail_field(parser, field, why);
}

/* Half of a step, but not more than a fourth of the way, is drawn anew each time. */
static void plan_walk(struct fmx_payload_piece *piece, uint64_t step)
{
    uint64_t product;

    piece->jitter = step / 2 < piece->span / 4 ? step / 2 : piece->span / 4;
    piece->drift = piece->span - piece->jitter;
    piece->period = piece->drift / (step - piece->jitter);
    piece->period += piece->drift % (step - piece->jitter) != 0 || piece->period == 0;
    piece->is_wide = __builtin_mul_overflow(piece->drift, piece->period, &product);
}

static bool take_walk(struct parser *parser, const struct field *field)
{
    fmx_slice parameters[4];
    uint32_t digits;
    int64_t step = 0;

    if (!all_parameters(field, 4, parameters)) {
        return fail_field(parser, field, "it has four parameters");
    }
    const char *why = read_digits(parameters[3], &digits);
    if (why != NULL) {
        return fail_field(parser, field, why);
    }
    struct fmx_payload_piece *piece = add_piece(parser, FMX_PIECE_WALK);
    why = read_range(&parameters[0], &parameters[1], digits, piece);
    why = why != NULL ? why : read_scaled(parameters[2], digits, &step);
    why = why == NULL && step <= 0 ? "STEP is to be above 0" : why;
    if (why != NULL) {
        return fail_field(parser, field, why);
    }
    plan_walk(piece, (uint64_t)step);
    parser->into->variable_bytes += FMX_PAYLOAD_NUMBER_BYTES;
    return true;
}

static bool take_one(struct parser *parser, const struct field *field)
{
    struct field left = *field;
    struct fmx_payload_piece *piece = add_piece(parser, FMX_PIECE_ONE);
    size_t longest = 0;
    fmx_slice option;

    if (!field->has_rest || field->rest.bytes == 0) {
        return fail_field(parser, field, "it has nothing to choose from");
    }
    piece->options = parser->into->options;
    while (next_parameter(&left, '|', &option)) {
        if (option.bytes > 0 && memchr(option.data, '%', option.bytes) != NULL) {
            return fail_field(parser, field, "no '%' stands inside");
        }
        fmx_slice *kept = parser->into->options++;
        *kept = (fmx_slice){.data = parser->into->bytes, .bytes = option.bytes};
        memcpy(parser->into->bytes, option.data, option.bytes);
        parser->into->bytes += option.bytes;
        longest = option.bytes > longest ? option.bytes : longest;
        piece->digits++;
    }
    parser->into->fixed_bytes += longest;
    return true;
}

static bool take_bytes(struct parser *parser, const struct field *field, enum fmx_piece_kind kind)
{
    fmx_slice parameter;
    int64_t bytes = 0;

    if (!all_parameters(field, 1, &parameter)) {
        return fail_field(parser, field, "it has one parameter");
    }
    const char *why = read_scaled(parameter, 0, &bytes);
    why = why == NULL && (bytes < 1 || bytes > FIXED_BYTES_MAX) ? "BYTES are 1 to 268000000" : why;
    if (why != NULL) {
        return fail_field(parser, field, why);
    }
    add_piece(parser, kind)->bytes.bytes = (size_t)bytes;
    parser->into->fixed_bytes += (size_t)bytes * (kind == FMX_PIECE_HEX ? 2 : 1);
    return true;
}

static bool take_hex(struct parser *parser, const struct field *field)
{
    return take_bytes(parser, field, FMX_PIECE_HEX);
}

static bool take_text(struct parser *parser, const struct field *field)
{
    return take_bytes(parser, field, FMX_PIECE_TEXT);
}

static bool take_uuid(struct parser *parser, const struct field *field)
{
    if (field->has_rest) {
        return fail_field(parser, field, "it has no parameter");
    }
    add_piece(parser, FMX_PIECE_UUID);
    parser->into->fixed_bytes += FMX_PAYLOAD_UUID_BYTES;
    return true;
}

static const struct form forms[] = {
    {"time", "%{time:ms}, or s, us, ns, iso instead of ms", take_time},
    {"seq", "%{seq:FIRST:STEP}, whole numbers, as in %{seq:1:1}", take_sequence},
    {"int", "%{int:LEAST:MOST}, whole numbers, as in %{int:1:6}", take_int},
    {"real", "%{real:LEAST:MOST:DIGITS}, as in %{real:-5:40:2}", take_real},
    {"walk", "%{walk:LEAST:MOST:STEP:DIGITS}, as in %{walk:18:24:0.2:1}", take_walk},
    {"one", "%{one:A|B|C}, as in %{one:on|off}", take_one},
    {"hex", "%{hex:BYTES}, as in %{hex:8}", take_hex},
    {"text", "%{text:BYTES}, as in %{text:100}", take_text},
    {"uuid", "%{uuid}", take_uuid},
};

#define FORMS_COUNT (sizeof(forms) / sizeof(forms[0]))

/* ── the nearest name ── */

static size_t least_of(size_t one, size_t other)
{
    return one < other ? one : other;
}

/* Letters to put in, take out or exchange, neighbours that changed places counting once. */
static size_t distance(fmx_slice from, const char *to)
{
    size_t rows[NAME_BYTES_MAX + 1][NAME_BYTES_MAX + 1];
    size_t to_bytes = strlen(to);

    if (from.bytes > NAME_BYTES_MAX) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i <= from.bytes; i++) {
        for (size_t j = 0; j <= to_bytes; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = i + j;
                continue;
            }
            bool is_same = from.data[i - 1] == (uint8_t)to[j - 1];
            rows[i][j] = least_of(least_of(rows[i - 1][j], rows[i][j - 1]) + 1,
                                  rows[i - 1][j - 1] + !is_same);
            if (i > 1 && j > 1 && from.data[i - 1] == (uint8_t)to[j - 2] &&
                from.data[i - 2] == (uint8_t)to[j - 1]) {
                rows[i][j] = least_of(rows[i][j], rows[i - 2][j - 2] + 1);
            }
        }
    }
    return rows[from.bytes][to_bytes];
}

static bool fail_name(const struct parser *parser, const struct field *field)
{
    const struct form *nearest = NULL;
    size_t best = 3;
    int shown = field->name.bytes < SHOWN_BYTES ? (int)field->name.bytes : SHOWN_BYTES;
    const char *name = (const char *)field->name.data;

    for (size_t i = 0; i < FORMS_COUNT; i++) {
        size_t apart = distance(field->name, forms[i].name);
        if (apart < best && apart < strlen(forms[i].name)) {
            best = apart;
            nearest = &forms[i];
        }
    }
    if (nearest != NULL) {
        return fail(parser, (const char *)field->whole.data,
                    "no variable is called '%.*s'; perhaps %s", shown, name, nearest->usage);
    }
    return fail(parser, (const char *)field->whole.data,
                "no variable is called '%.*s'; there are time, seq, int, real, walk, one, hex, "
                "text and uuid",
                shown, name);
}

/* ── the whole text ── */

/* At "%{". */
static bool take_field(struct parser *parser)
{
    const char *begin = parser->at;
    const char *end = strchr(begin, '}');

    if (end == NULL) {
        return fail(parser, begin, "'%%{' without a '}'; write %%%%{ for the two characters");
    }
    fmx_slice inside = {.data = (const uint8_t *)begin + 2, .bytes = (size_t)(end - begin) - 2};
    struct field field = {
        .whole = {.data = (const uint8_t *)begin, .bytes = (size_t)(end - begin) + 1},
        .rest = inside,
        .has_rest = true};
    (void)next_parameter(&field, ':', &field.name);
    for (size_t i = 0; i < FORMS_COUNT; i++) {
        if (fmx_slice_equal(field.name, fmx_slice_of(forms[i].name))) {
            field.form = &forms[i];
            parser->at = end + 1;
            return forms[i].take(parser, &field);
        }
    }
    return fail_name(parser, &field);
}

static const struct {
    char letter;
    enum fmx_piece_kind kind;
} clients[] = {{'i', FMX_PIECE_NUMBER},      {'n', FMX_PIECE_RUN_NUMBER},
               {'c', FMX_PIECE_CLIENT_ID},   {'u', FMX_PIECE_USERNAME},
               {'p', FMX_PIECE_PRODUCT_KEY}, {'d', FMX_PIECE_DEVICE_NAME}};

static bool take_client(struct parser *parser, char letter)
{
    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        if (clients[i].letter == letter) {
            add_piece(parser, clients[i].kind);
            return true;
        }
    }
    return false;
}

static bool take_letter(struct parser *parser)
{
    const char *begin = parser->at;
    char letter = begin[1];

    parser->at += 2;
    if ((letter == 'p' || letter == 'd') && !parser->has_devices) {
        return fail(parser, begin,
                    "%%%c is a variable of the platform's devices only; write %%%%%c for the two "
                    "characters",
                    letter, letter);
    }
    switch (letter) {
    case '%':
        add_byte(parser, '%');
        return true;
    case 't':
        add_time(parser, FMX_PIECE_TIME, 1000000);
        return true;
    case 's':
        add_sequence(parser, 0, 1);
        return true;
    case 'm':
        add_piece(parser, FMX_PIECE_MARK);
        parser->into->fixed_bytes += FMX_MARK_DIGITS;
        return true;
    case '\0':
        return fail(parser, begin, "a single '%%' at the end; write %%%%");
    default:
        break;
    }
    if (take_client(parser, letter)) {
        return true;
    }
    if ((unsigned char)letter <= ' ' || (unsigned char)letter >= 0x7f) {
        return fail(parser, begin, "a single '%%'; write %%%%");
    }
    return fail(parser, begin,
                "'%%%c' is no variable; write %%%%%c for the two characters, or one of %%c %%i %%u "
                "%%n %%t %%s %%m%s %%{…}",
                letter, letter, parser->has_devices ? " %p %d" : "");
}

static bool take_all(struct parser *parser)
{
    while (*parser->at != '\0') {
        const char *begin = parser->at;
        if (begin[0] != '%') {
            add_byte(parser, *parser->at++);
        } else if (!(begin[1] == '{' ? take_field(parser) : take_letter(parser))) {
            return false;
        }
        if (parser->into->fixed_bytes > FIXED_BYTES_MAX) {
            return fail(parser, begin, "the text grows longer than %u bytes here; shorten it",
                        FIXED_BYTES_MAX);
        }
    }
    return true;
}

/* Room for all pieces, choices and bytes that a text can have. */
static struct fmx_payload_text *make_room(const char *text)
{
    size_t percents = 0;
    size_t bars = 0;
    size_t bytes = strlen(text);

    for (const char *at = text; *at != '\0'; at++) {
        percents += *at == '%';
        bars += *at == '|';
    }
    size_t pieces_bytes = (2 * percents + 1) * sizeof(struct fmx_payload_piece);
    size_t options_bytes = (percents + bars) * sizeof(fmx_slice);
    struct fmx_payload_text *into = malloc(sizeof(*into) + pieces_bytes + options_bytes + bytes);
    if (into == NULL) {
        return NULL;
    }
    *into = (struct fmx_payload_text){0};
    into->hash = fmx_topic_hash(fmx_slice_of(text), 0);
    into->options = (fmx_slice *)(void *)((uint8_t *)into->pieces + pieces_bytes);
    into->bytes = (uint8_t *)into->options + options_bytes;
    return into;
}

enum fmx_status fmx_payload_text_open(const char *text, bool has_devices,
                                      struct fmx_payload_text **out_text, char *error,
                                      size_t error_bytes)
{
    struct parser parser = {.text = text,
                            .at = text,
                            .has_devices = has_devices,
                            .into = make_room(text),
                            .error = error,
                            .error_bytes = error_bytes};

    if (out_text != NULL) {
        *out_text = NULL;
    }
    if (parser.into == NULL) {
        snprintf(error, error_bytes, "memory ran out");
        return FMX_LIMIT_MEMORY;
    }
    bool is_good = take_all(&parser);
    if (is_good && out_text != NULL) {
        *out_text = parser.into;
    } else {
        free(parser.into);
    }
    return is_good ? FMX_OK : FMX_E_OPTION;
}

void fmx_payload_text_close(struct fmx_payload_text *text)
{
    free(text);
}

size_t fmx_payload_text_bytes_max(const struct fmx_payload_text *text,
                                  const struct fmx_template_values *longest)
{
    const uint32_t *counts = text->counts;
    size_t numbers = (size_t)counts[FMX_PIECE_NUMBER] + counts[FMX_PIECE_RUN_NUMBER];

    return text->fixed_bytes + text->variable_bytes + numbers * FMX_PAYLOAD_NUMBER_BYTES +
           counts[FMX_PIECE_CLIENT_ID] * longest->client_id.bytes +
           counts[FMX_PIECE_USERNAME] * longest->username.bytes +
           counts[FMX_PIECE_PRODUCT_KEY] * longest->product_key.bytes +
           counts[FMX_PIECE_DEVICE_NAME] * longest->device_name.bytes;
}

bool fmx_payload_text_has_mark(const struct fmx_payload_text *text)
{
    return text->counts[FMX_PIECE_MARK] > 0;
}

bool fmx_payload_text_has_time(const struct fmx_payload_text *text)
{
    return text->counts[FMX_PIECE_TIME] + text->counts[FMX_PIECE_TIME_ISO] > 0;
}

bool fmx_payload_text_has(const struct fmx_payload_text *text, char variable)
{
    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        if (clients[i].letter == variable) {
            return text->counts[clients[i].kind] > 0;
        }
    }
    return false;
}
