#!/usr/bin/env python3
"""tidy: house rules that no compiler checks.

Layers (who may include whom), where liburing and BoringSSL may be named, the head of each .c file,
banned calls, leftover words, width, trailing space, sizes of functions and files.

usage: tools/tidy.py [-v] [FILE...]     -v also lists functions that are getting long
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# ---- the rules ----------------------------------------------------------------------------------

FOLDERS = ("include", "proto", "tls", "engine", "tools", "tests", "bench")

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 100
FUNCTION_LINES_LONG = 70
FILE_LINES_MAX = 900

# Functions that may be longer than FUNCTION_LINES_MAX, as "path:name", each with its reason.
LONG_FUNCTIONS_ALLOWED = {}

# Who may include what of ours. A pattern is a path from the root, with * for any name; public
# headers stand as <fleetmux/...>. Tests may include everything. The first layer that fits a file
# is the file's.
SMALL_PUBLIC = [
    "include/fleetmux/types.h",
    "include/fleetmux/error.h",
    "include/fleetmux/limits.h",
    "include/fleetmux/private/assert.h",
]
PUBLIC = ["include/fleetmux/*.h"]
LAYERS = [
    ("include/fleetmux/private/", ["include/fleetmux/*"]),
    ("include/", PUBLIC),
    ("proto/", SMALL_PUBLIC + ["proto/*"]),
    ("tls/", SMALL_PUBLIC + ["include/fleetmux/tls.h", "include/fleetmux/cert.h", "tls/*"]),
    (
        "engine/roles/",
        ["include/fleetmux/*", "proto/*", "engine/roles/*"]
        + ["tls/%s.h" % name for name in ("hmac", "tls", "tickets")]
        + ["engine/%s.h" % name for name in ("role", "conn", "conn_tls", "link", "shard", "mux", "router", "index", "payload", "timer")]
        + ["engine/%s.h" % name for name in ("stats", "histogram", "options", "log", "clock")],
    ),
    ("engine/", ["include/fleetmux/*", "proto/*", "tls/tls.h", "tls/record.h", "engine/[^/]*"]),
    ("tools/", PUBLIC + ["tools/*"]),
    ("tests/loop/", PUBLIC + ["tests/*", "proto/*"]),
    ("tests/", ["*"]),
    (
        "bench/",
        PUBLIC + ["bench/*", "proto/*", "tls/tls.h", "tls/tickets.h", "tests/support/temporary.h"]
        + ["engine/%s.h" % name for name in ("clock", "histogram", "inbox", "op", "ring", "router", "sendq", "slab", "timer")],
    ),
]

# Foreign headers that only some files may include.
FOREIGN = [
    (
        re.compile(r"^liburing"),
        re.compile(r"^(engine/(ring|bufring)\.[ch]|bench/.*|tests/.*)$"),
        "liburing is used in engine/ring.c and engine/bufring.c only; ask them for what you need",
    ),
    (
        re.compile(r"^openssl/"),
        re.compile(r"^(tls/.*|tests/.*|bench/.*)$"),
        "BoringSSL is used in tls/ only; go through tls/tls.h or tls/hmac.h",
    ),
    (
        re.compile(r"^sqlite3\.h$"),
        re.compile(r"^(engine/roles/.*|tests/.*)$"),
        "SQLite is used in engine/roles/ only",
    ),
    (
        re.compile(r"^json-c/"),
        re.compile(r"^(engine/roles/system_topics\.c|tools/fleetmux/.*|tests/.*)$"),
        "json-c is used in engine/roles/system_topics.c and tools/fleetmux/ only",
    ),
    (
        re.compile(r"^cyaml/"),
        re.compile(r"^(tools/fleetmux/.*|tests/.*)$"),
        "libcyaml is used in tools/fleetmux/ only; the library takes option structs",
    ),
    (
        re.compile(r"^yaml\.h$"),
        re.compile(r"^(tools/fleetmux/scenario_parts\.h|tests/.*)$"),
        "libyaml is used for scenarios only, through tools/fleetmux/scenario_parts.h",
    ),
    (
        re.compile(r"^(n?curses|term)\.h$"),
        re.compile(r"^tools/fleetmux/fleet_screen[a-z_]*\.c$"),
        "ncurses is used for the screen only, in tools/fleetmux/fleet_screen*.c",
    ),
    (
        re.compile(r"^microhttpd\.h$"),
        re.compile(r"^tools/fleetmux/fleet_http\.c$"),
        "libmicrohttpd is used for metrics only, in tools/fleetmux/fleet_http.c",
    ),
]

BANNED_CALLS = {
    "sprintf": "use snprintf",
    "vsprintf": "use vsnprintf",
    "strcpy": "use memcpy with a checked length, or snprintf",
    "strcat": "use snprintf",
    "strncpy": "use memcpy with a checked length, or snprintf",
    "strncat": "use snprintf",
    "gets": "use fgets",
    "alloca": "use a bounded array, or a pool",
    "atoi": "use strtol and check its end",
    "atol": "use strtol and check its end",
    "strtok": "use strcspn, or strtok_r",
    "rand": "use a seeded generator of ours, or getrandom",
    "srand": "use a seeded generator of ours, or getrandom",
    "assert": "use FMX_ASSERT or FMX_DEBUG_ASSERT",
}
TESTS_MAY_CALL = {"assert", "rand", "srand"}

LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

# ---- reading C ----------------------------------------------------------------------------------

TOKENS = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.MULTILINE)
CALL = re.compile(r"(?<![\w.>])(%s)[ \t]*\(" % "|".join(sorted(BANNED_CALLS)))
NAME = re.compile(r"(\w+)[ \t]*\(")


def blanked(text):
    """The text with comments and literals blanked, line by line as long as before."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return TOKENS.sub(blank, text)


def fits(path, pattern):
    if pattern.endswith("/[^/]*"):
        folder = pattern[: -len("[^/]*")]
        return path.startswith(folder) and "/" not in path[len(folder) :]
    if pattern.startswith("include/fleetmux/*.h"):
        return re.match(r"^include/fleetmux/[^/]+\.h$", path) is not None
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return path == pattern


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Checker:
    def __init__(self, verbose):
        self.verbose = verbose
        self.errors = 0

    def error(self, path, line, words):
        print("%s:%d: %s" % (path, line, words))
        self.errors += 1

    def check_file(self, path):
        try:
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            self.error(path, 1, "the file is not UTF-8; save it as UTF-8")
            return
        code = blanked(text)
        self.check_lines(path, text)
        self.check_head(path, text)
        self.check_includes(path, text)
        self.check_calls(path, code)
        self.check_functions(path, code)

    def check_lines(self, path, text):
        lines = text.split("\n")
        if lines and lines[-1] != "":
            self.error(path, len(lines), "the last line has no end; add a newline")
        if len(lines) - 1 > FILE_LINES_MAX:
            self.error(
                path,
                FILE_LINES_MAX + 1,
                "the file has %d lines, more than %d; it probably holds two subjects: split it"
                % (len(lines) - 1, FILE_LINES_MAX),
            )
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                self.error(
                    path,
                    number,
                    "the line has %d columns, more than %d; break it" % (len(line), COLUMNS_MAX),
                )
            if line != line.rstrip():
                self.error(path, number, "space at the end of the line; remove it")
            if "\t" in line:
                self.error(path, number, "a tab; indent with four spaces")
            leftover = LEFTOVERS.search(line)
            if leftover:
                self.error(
                    path,
                    number,
                    "'%s' is left over; do it now, or say plainly what is missing"
                    % leftover.group(1),
                )

    def check_head(self, path, text):
        if not path.endswith(".c"):
            return
        stem = os.path.basename(path)[:-2]
        if not re.match(r"/\*\n \* %s — \S" % re.escape(stem), text):
            self.error(
                path,
                1,
                "the file does not begin with its head; begin with '/*', then ' * %s — ' and one "
                "sentence on what it does" % stem,
            )

    def check_includes(self, path, text):
        layer = next(((prefix, may) for prefix, may in LAYERS if path.startswith(prefix)), None)
        for match in INCLUDE.finditer(text):
            line = line_of(text, match.start())
            angle, target = match.group(1) == "<", match.group(2)
            for header, files, words in FOREIGN:
                if header.match(target) and not files.match(path):
                    self.error(path, line, "<%s>: %s" % (target, words))
            if target.startswith("fleetmux/"):
                if not angle:
                    self.error(path, line, "include public headers as <%s>" % target)
                target = "include/" + target
            elif angle:
                if os.path.exists(os.path.join(ROOT, target)):
                    self.error(path, line, 'include our own headers as "%s"' % target)
                continue
            elif "/" not in target or target.startswith("."):
                self.error(
                    path,
                    line,
                    '"%s" is not root-relative; write "%s"'
                    % (target, os.path.normpath(os.path.join(os.path.dirname(path), target))),
                )
                continue
            if target == "include/fleetmux/private/assert.h" and path.startswith("bench/"):
                continue
            if layer and not any(pattern == "*" or fits(target, pattern) for pattern in layer[1]):
                self.error(
                    path,
                    line,
                    "%s may not include %s; it may include: %s"
                    % (layer[0], target, ", ".join(layer[1])),
                )

    def check_calls(self, path, code):
        in_tests = path.startswith("tests/")
        for match in CALL.finditer(code):
            name = match.group(1)
            if in_tests and name in TESTS_MAY_CALL:
                continue
            self.error(
                path, line_of(code, match.start()), "%s is banned; %s" % (name, BANNED_CALLS[name])
            )

    def check_functions(self, path, code):
        """A body begins with { in the first column (clang-format puts it there) and ends with }."""
        if not path.endswith(".c"):
            return
        lines = code.split("\n")
        opened = None
        for index, line in enumerate(lines):
            if line == "{":
                opened = index
            elif line == "}" and opened is not None:
                self.check_function(path, lines, opened, index)
                opened = None

    def check_function(self, path, lines, opened, closed):
        first = opened - 1
        while first > 0 and lines[first - 1].strip() and lines[first - 1].rstrip()[-1] not in ";}":
            first -= 1
        names = NAME.findall(" ".join(lines[first:opened]))
        names = [name for name in names if not name.startswith("__")]
        name = names[0] if names else "?"
        size = closed - opened - 1
        if size > FUNCTION_LINES_MAX:
            if "%s:%s" % (path, name) not in LONG_FUNCTIONS_ALLOWED:
                self.error(
                    path,
                    first + 1,
                    "%s has %d lines, more than %d; split it" % (name, size, FUNCTION_LINES_MAX),
                )
        elif size > FUNCTION_LINES_LONG and self.verbose:
            print("%s:%d: note: %s has %d lines" % (path, first + 1, name, size))


def our_files():
    for folder in FOLDERS:
        for base, folders, names in os.walk(os.path.join(ROOT, folder)):
            folders[:] = sorted(name for name in folders if name not in ("build", "corpus"))
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(base, name), ROOT)


def main(words):
    if "-h" in words or "--help" in words:
        print(__doc__.strip())
        return 0
    verbose = "-v" in words
    named = [os.path.relpath(os.path.abspath(word), ROOT) for word in words if word != "-v"]
    checker = Checker(verbose)
    count = 0
    for path in named or our_files():
        checker.check_file(path)
        count += 1
    if checker.errors:
        print("tidy: %d to mend in %d files" % (checker.errors, count), file=sys.stderr)
        return 1
    print("tidy: %d files, nothing to mend" % count)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
