#!/usr/bin/env bash
# report.sh COMMAND: results of real runs as pages in a browser: Chromium opens them from the disk,
# wide and narrow, light and dark; there are the plots, no script fails, and nothing is fetched.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"

browser=
for name in chromium chromium-browser google-chrome; do
    [ -n "$browser" ] || browser=$(command -v "$name")
done
if [ -z "$browser" ]; then
    echo "skipped: there is no Chromium: apt-get install --no-install-recommends chromium"
    exit 77
fi

report() { timeout 60 "$command" report "$@" >"$folder/out" 2>"$folder/err"; } # arguments...

# What the browser makes of a page, as HTML, in $folder/dom; what it says, in $folder/log. Nothing
# but the file can be reached: every host name leads nowhere.
browse() { # page, width, height, options...
    local page=$1 width=$2 height=$3
    shift 3
    timeout 60 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync \
        --host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir="$folder/browser" \
        --enable-logging=stderr --v=0 --log-net-log="$folder/net.json" \
        --window-size="$width,$height" --virtual-time-budget=3000 "$@" "file://$page" \
        2>"$folder/log"
}

size_of() { # PNG: its width and height
    /usr/bin/python3 -c 'import struct, sys
print(*struct.unpack(">II", open(sys.argv[1], "rb").read(24)[16:24]))' "$1"
}

count_in_dom() { grep -o "$1" "$folder/dom" | wc -l; } # words

looks_right() { # what, page, least plots
    local what=$1 page=$2 plots=$3 shape
    browse "$page" 1400 900 --dump-dom >"$folder/dom"
    check "$what: the browser ends well" $? 0
    check_true "$what: $plots plots or more: $(count_in_dom '<svg ')" \
        test "$(count_in_dom '<svg ')" -ge "$plots"
    check "$what: each plot has hover text" \
        "$(count_in_dom '<g class="hits"><rect[^>]*><title>')" "$(count_in_dom '<svg ')"
    check "$what: the script has run" "$(count_in_dom 'class="tip"')" 1
    check "$what: no script fails, and nothing breaks the page's policy" \
        "$(grep -E 'CONSOLE|Uncaught|Refused|Content Security' "$folder/log" | head -3)" ''
    check "$what: nothing is fetched" "$(grep -oE '"url":"(https?|wss?)://[^"]*' "$folder/net.json" |
        grep -vE 'google|gstatic|gvt1|chromium' | head -3)" ''
    for shape in 390,844 1400,900; do
        browse "$page" "${shape%,*}" "${shape#*,}" --screenshot="$folder/shot.png" >/dev/null
        check "$what: a picture of $shape" "$(size_of "$folder/shot.png")" "${shape/,/ }"
        keep "$what" "$shape"
    done
    browse "$page" 390 844 --screenshot="$folder/shot.png" \
        --blink-settings=preferredColorScheme=0 >/dev/null
    keep "$what" 390,844-dark
}

# Pictures for eyes, where FMX_PICTURES names a folder.
keep() { # what, shape
    [ -z "${FMX_PICTURES:-}" ] || cp "$folder/shot.png" "$FMX_PICTURES/report-${1// /-}-$2.png"
}

# --- results of real runs ----------------------------------------------------------------------

start_gateway
run() { # name, kind, options...: once all are up, two seconds more; leaves NAME.json
    fleet "$@"
    wait_until 20 is_ready_or_gone "$1"
    sleep 2.2
    kill -INT "$last" 2>/dev/null
    await "$last" 60
}
run pub pub -c 50 -R 200 -I 50 -q 1 -t 'report/%i'
check 'a run that publishes' "$status $(get pub schema verdict)" '0 1 ok'
run conn conn -c 100 -R 100
check 'a run that connects' "$status $(get conn schema verdict)" '0 1 ok'
stop_gateway
run gone conn -c 20 -R 0 --duration 30
check 'a run against nobody' "$status $(get gone clients.failed)" '4 20'

# --- pages -------------------------------------------------------------------------------------

for name in pub conn gone; do
    report "$folder/$name.json" --html "$folder/$name.html"
    check "the page of $name" "$? $(cat "$folder/err")" '0 '
done
looks_right 'one run' "$folder/pub.html" 6
looks_right 'nobody there' "$folder/gone.html" 1
check_has 'nobody there: the cause is told, with a hint' "$(cat "$folder/dom")" \
    'nothing listens there'
report "$folder/pub.json" "$folder/conn.json" --html "$folder/both.html"
check 'the page of two runs' "$? $(cat "$folder/err")" '0 '
looks_right 'two runs' "$folder/both.html" 8
check 'two runs: a table of differences' "$(count_in_dom 'to A</th>')" 1

/usr/bin/python3 - "$folder/pub.json" "$folder/invalid.json" <<'EOT'
import json, sys
result = json.load(open(sys.argv[1]))
result.update(is_valid=False, limit="GENERATOR-LIMITED", exit_status=3)
json.dump(result, open(sys.argv[2], "w"))
EOT
report "$folder/invalid.json" --html "$folder/invalid.html"
check 'the page of an invalid run' "$? $(cat "$folder/err")" '0 '
looks_right 'an invalid run' "$folder/invalid.html" 6
check 'an invalid run says so in every section' \
    "$(count_in_dom 'INVALID: the generator was the limit')" "$(count_in_dom '<section')"

# --- other forms -------------------------------------------------------------------------------

report "$folder/pub.json"
check 'the summary' "$? $(cat "$folder/err")" '0 '
check_true 'the summary fits on a screen' test "$(wc -l <"$folder/out")" -le 30
report "$folder/pub.json" "$folder/conn.json"
check_has 'two summaries are compared' "$(cat "$folder/out")" 'connects a second'
report "$folder/pub.json" --csv -
check 'CSV is standard: as many cells in each line' "$(/usr/bin/python3 -c '
import csv, sys
rows = list(csv.reader(open(sys.argv[1], newline="")))
print(len(rows) > 2 and len({len(row) for row in rows}) == 1, rows[0][0])' "$folder/out")" 'True begin_s'
report "$folder/pub.json" --hdr - --latency puback
check 'the percentiles count each message' \
    "$(sed -n 's/.*Total count *= *\([0-9]*\)]/\1/p' "$folder/out")" "$(get pub latency.puback.count)"

report "$folder/pub.json" --threshold 'puback.p99<1h' 'lost==0'
check 'thresholds that hold' $? 0
report "$folder/pub.json" --threshold 'puback.p99<1us'
check 'a threshold that is missed' $? 2

# --- what is refused ---------------------------------------------------------------------------

refuses() { # what, words of the message, arguments...
    local what=$1 words=$2
    shift 2
    report "$@"
    check "$what: exit status" $? 1
    check_has "$what: says so" "$(cat "$folder/err")" "$words"
}

printf '{"program": "fleetmux", "schema": 99}\n' >"$folder/newer.json"
refuses 'no file' 'name the result'
refuses 'a missing file' 'No such file' "$folder/nothing.json"
refuses 'a page instead of a result' 'is no JSON' "$folder/pub.html"
refuses 'a newer schema' 'schema 99, of a newer fleetmux' "$folder/newer.json"
refuses 'an unknown metric' "did you mean 'puback.p99'" "$folder/pub.json" --threshold 'pubak.p99<1s'
refuses 'CSV of two runs' 'takes one run' "$folder/pub.json" "$folder/conn.json" --csv -
refuses 'merging whole runs' 'not parts of one run' "$folder/pub.json" "$folder/conn.json" --merge -
refuses 'a latency that was not measured' "has no 'request'" "$folder/pub.json" --hdr - \
    --latency request

finish
