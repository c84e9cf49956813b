#!/usr/bin/env bash
# guide.sh: the blocks of code in docs/SERVICE.md that begin with /* compiles */ do.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
compiler=${CC:-cc}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
count=0

if ! command -v "$compiler" >/dev/null; then
    printf 'skipped: %s is missing\n' "$compiler"
    exit 77
fi

# Each block goes to a file named by the line it begins in.
awk -v folder="$folder" '
    /^```c$/ { begin = NR; next }
    /^```$/ { begin = 0 }
    begin && NR == begin + 1 { file = $0 == "/* compiles */" ? folder "/" NR ".c" : "/dev/null" }
    begin { print >file }
' "$root/docs/SERVICE.md"

for block in "$folder"/*.c; do
    [ -e "$block" ] || break
    count=$((count + 1))
    line=$(basename "$block" .c)
    if "$compiler" -std=gnu17 -fsyntax-only -I"$root/include" -Wall -Wextra -Werror "$block"; then
        printf 'ok docs/SERVICE.md:%s compiles\n' "$line"
    else
        printf 'FAILED docs/SERVICE.md:%s does not compile\n' "$line"
        failed=1
    fi
done

if [ $count -eq 0 ]; then
    printf 'FAILED docs/SERVICE.md: no block begins with /* compiles */\n'
    failed=1
fi
exit $failed
