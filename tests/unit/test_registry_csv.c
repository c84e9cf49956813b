/*
 * test_registry_csv — rows of CSV as spreadsheets and scripts write them, and as they go wrong
 */
#include "tests/support/run.h"
#include "tools/fleetmux/registry_csv.h"

#include <stdlib.h>
#include <string.h>

/* Reads all rows into "LINE:field|field;" …, and "LINE!" at a row that is malformed. */
static const char *read_all(const char *bytes, size_t count)
{
    static char text[16384];
    static struct csv csv;
    size_t used = 0;
    enum csv_result result;
    FILE *file = fmemopen((void *)(uintptr_t)bytes, count, "r");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    csv_init(&csv, file);
    text[0] = '\0';
    while ((result = csv_next(&csv)) == CSV_ROW) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%u:", (unsigned)csv.line);
        for (size_t i = 0; i < csv.fields_count; i++) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? "|" : "",
                                     csv.fields[i]);
        }
        used += (size_t)snprintf(text + used, sizeof(text) - used, ";");
    }
    if (result == CSV_BAD) {
        snprintf(text + used, sizeof(text) - used, "%u!", (unsigned)csv.line);
        CU_ASSERT_PTR_NOT_NULL(csv.error);
    }
    fclose(file);
    return text;
}

#define READ(literal) read_all(literal, sizeof(literal) - 1)

static void rows_are_read_with_quotes_and_line_ends_of_any_kind(void)
{
    CU_ASSERT_STRING_EQUAL(READ("a,b,c\n"), "1:a|b|c;");
    CU_ASSERT_STRING_EQUAL(READ("a,b\r\nc,d"), "1:a|b;2:c|d;");
    CU_ASSERT_STRING_EQUAL(READ("\n\r\na,\n\n,b\n\n"), "3:a|;5:|b;");
    CU_ASSERT_STRING_EQUAL(READ("\"a,b\",\"c\"\"d\",\"\"\n"), "1:a,b|c\"d|;");
    CU_ASSERT_STRING_EQUAL(READ("\"a\nb\",c\nd\n"), "1:a\nb|c;3:d;");
    CU_ASSERT_STRING_EQUAL(READ("\xef\xbb\xbf\"a\",b\nc"), "1:a|b;2:c;");
    CU_ASSERT_STRING_EQUAL(READ("a\rb,c\n"), "1:a\rb|c;");
    CU_ASSERT_STRING_EQUAL(READ("\n"), "");
}

static void what_is_in_doubt_is_refused_with_its_line(void)
{
    static char long_row[CSV_ROW_BYTES + 8];

    CU_ASSERT_STRING_EQUAL(READ("a\n\"b"), "1:a;2!");
    CU_ASSERT_STRING_EQUAL(READ("a\n\"b\nc\nd"), "1:a;2!");
    CU_ASSERT_STRING_EQUAL(READ("\"a\"b\n"), "1!");
    CU_ASSERT_STRING_EQUAL(READ("a\"b\n"), "1!");
    CU_ASSERT_STRING_EQUAL(READ("x\na\0b\n"), "1:x;2!");
    CU_ASSERT_STRING_EQUAL(READ("\"\0\"\n"), "1!");
    CU_ASSERT_STRING_EQUAL(READ(",,,,,,,,,,,,,,,,\n"), "1!");
    CU_ASSERT_STRING_EQUAL(READ(",,,,,,,,,,,,,,,\n"), "1:|||||||||||||||;");
    CU_ASSERT_STRING_EQUAL(READ("\xef\xbb\n"), "1!");
    memset(long_row, 'x', sizeof(long_row));
    CU_ASSERT_STRING_EQUAL(read_all(long_row, sizeof(long_row)), "1!");
    long_row[0] = '"';
    CU_ASSERT_STRING_EQUAL(read_all(long_row, sizeof(long_row)), "1!");
}

static void what_is_written_is_read_again(void)
{
    static const char *const fields[] = {"plain",           "",           "a,b", "say \"so\"",
                                         " led by a space", "two\nlines", "\""};
    char text[256] = "";
    char expected[256] = "1:";
    FILE *file = fmemopen(text, sizeof(text), "w");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        bool is_last = i + 1 == sizeof(fields) / sizeof(fields[0]);
        size_t used = strlen(expected);
        csv_write(file, fields[i], is_last ? '\n' : ',');
        snprintf(expected + used, sizeof(expected) - used, "%s%s", fields[i], is_last ? ";" : "|");
    }
    fclose(file);
    CU_ASSERT_STRING_EQUAL(read_all(text, strlen(text)), expected);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(rows_are_read_with_quotes_and_line_ends_of_any_kind),
    FMX_TEST_CASE(what_is_in_doubt_is_refused_with_its_line),
    FMX_TEST_CASE(what_is_written_is_read_again),
};

int main(int argc, char **argv)
{
    return fmx_test_main("registry_csv", cases, sizeof cases / sizeof cases[0], argc, argv);
}
