# interop.sh: what the shell scripts here share. Source it with the path of the command in $command.
#
#   start_gateway FLAG...    one gateway with two shards on a free port: $gateway, $port
#   stop_gateway             SIGTERM; its exit status and its log are a case of their own
#   check WHAT GOT EXPECTED  one case
#   wait_until SECONDS COMMAND...   true as soon as the command is
#   finish                   the count, and the exit status with it
#
# Everything lies in $folder, which goes away at the end. Only children are signalled, by pid.

set -uo pipefail

export LC_ALL=C.UTF-8
folder=$(mktemp -d)
children=()
gateway=
port=
passed=0
failed=0

# A remembered pid that is still a child of ours, so that no stranger is ever signalled.
is_child() { # pid
    [ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f2)" = $$ ]
}

end_children() {
    local pid
    for pid in "${children[@]}"; do
        if is_child "$pid"; then
            kill -CONT "$pid" 2>/dev/null
            kill -KILL "$pid" 2>/dev/null
        fi
    done
    wait 2>/dev/null
    rm -rf "$folder"
}
trap end_children EXIT
trap 'exit 1' INT TERM HUP

need() { # programs of Debian
    local program
    for program in "$@"; do
        if ! command -v "$program" >/dev/null; then
            printf 'skipped: %s is missing\n' "$program"
            exit 77
        fi
    done
}

pass() { # what
    passed=$((passed + 1))
    printf 'ok %s\n' "$1"
}

fail() { # what, got, expected
    failed=$((failed + 1))
    printf 'FAILED %s: got %.400q expected %.400q\n' "$1" "$2" "$3"
}

check() { # what, got, expected
    if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "$2" "$3"; fi
}

check_has() { # what, text, part of it
    case $2 in
    *"$3"*) pass "$1" ;;
    *) fail "$1" "$2" "…$3…" ;;
    esac
}

check_true() { # what, command...
    local what=$1
    shift
    if "$@"; then pass "$what"; else fail "$what" false "$*"; fi
}

finish() {
    printf '%s: %d ok, %d failed\n' "$(basename "$0")" "$passed" "$failed"
    [ "$failed" -eq 0 ]
    exit $?
}

# Seconds of a machine like ours; FMX_PATIENCE says how many times as long others may take.
wait_until() { # seconds, command...
    local end=$((SECONDS + $1 * ${FMX_PATIENCE:-6}))
    shift
    until "$@"; do
        if [ $SECONDS -gt $end ]; then return 1; fi
        sleep 0.02
    done
}

has_line() { grep -q -- "$2" "$1" 2>/dev/null; }    # file, pattern
lines_are() { [ "$(wc -l <"$1")" -ge "$2" ]; }      # file, count
is_gone() { ! is_child "$1" || [ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1)" = Z ]; }

# Waits for a child, but not for ever; $status is its exit status, or "hangs".
await() { # pid, seconds
    if wait_until "$2" is_gone "$1"; then
        wait "$1"
        status=$?
    else
        kill -KILL "$1" 2>/dev/null
        wait "$1" 2>/dev/null
        status=hangs
    fi
}

start_gateway() { # flags...
    rm -f "$folder/gateway.out" "$folder/gateway.err" # not an older one's
    "$command" gateway --listen 127.0.0.1:0 --shards 2 --log-level warn "$@" \
        >"$folder/gateway.out" 2>"$folder/gateway.err" &
    gateway=$!
    children+=("$gateway")
    if ! wait_until 10 has_line "$folder/gateway.out" '^listening '; then
        if grep -q io_uring "$folder/gateway.err"; then
            printf 'skipped: %s\n' "$(head -1 "$folder/gateway.err")"
            exit 77
        fi
        printf 'FAILED the gateway does not start: %s\n' "$(cat "$folder/gateway.err")"
        exit 1
    fi
    port=$(sed -n '1s/^listening 127.0.0.1:\([0-9]*\).*/\1/p' "$folder/gateway.out")
}

stop_gateway() {
    kill -TERM "$gateway"
    await "$gateway" 15
    check "the gateway drains on SIGTERM" "$status" 0
    check "the gateway's log has no complaint of a sanitizer or an assertion" \
        "$(grep -E 'Sanitizer|runtime error|assert' "$folder/gateway.err" | head -3)" ""
}

# In a user namespace rings count against RLIMIT_MEMLOCK, those of all such processes together, and
# those of who has just ended until the kernel has taken them down: who finds no room tries again.
lacks_rings() { has_line "$1" RLIMIT_MEMLOCK && sleep 0.5; } # file with its complaint

# A network of our own, in a user namespace only if it must be: the words in `unshare`.
find_namespace() {
    unshare=(unshare -n)
    unshare -n true 2>/dev/null || unshare=(unshare -rn)
    ulimit -l unlimited 2>/dev/null || ulimit -Sl "$(ulimit -Hl)"
}

# The kernel ends a killed ring after its process: a port may be listened on for a moment more.
nobody_listens() { # port
    [ "$(awk -v port="$(printf ':%04X' "$1")" \
        'FNR > 1 && $2 ~ port "$" && $4 == "0A"' /proc/net/tcp | wc -l)" -eq 0 ]
}

# A TCP port of 127.0.0.1 that was free a moment ago, and that the kernel gives to nobody meanwhile:
# it lies below those that it chooses from, if there are enough of them.
free_port() {
    /usr/bin/python3 -c '
import random, socket
try:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
except OSError:
    first = 0
for attempt in range(1000):
    try:
        with socket.socket() as s:
            s.bind(("127.0.0.1", random.randrange(10000, first) if first >= 12000 else 0))
            print(s.getsockname()[1])
            break
    except OSError:
        pass'
}

# Sockets of a local port that are connected in any way (listening and TIME_WAIT left out).
connections() { # port
    awk -v port="$(printf ':%04X' "$1")" \
        'FNR > 1 && $2 ~ port "$" && $4 != "0A" && $4 != "06" && $4 != "0C"' /proc/net/tcp | wc -l
}
no_connections() { [ "$(connections "$1")" -eq 0 ]; } # port

# A fleet in the background against $port: $last; its output lies in NAME.out, its result in
# NAME.json.
fleet() { # name, kind, options...
    local name=$1 kind=$2
    shift 2
    rm -f "$folder/$name".{json,out,err,control} # not an older one's
    "$command" fleet "$kind" -h 127.0.0.1 -p "$port" --accept-invalid --json "$folder/$name.json" "$@" \
        >"$folder/$name.out" 2>"$folder/$name.err" &
    last=$!
    children+=("$last")
}

is_ready() { has_line "$folder/$1.out" '^ready '; } # name
is_ready_or_gone() { is_ready "$1" || is_gone "$last"; }

# The last fleet, started without --duration: until all its clients are up; then it ends. $status.
till_ready() { # name
    wait_until 20 is_ready_or_gone "$1"
    kill -INT "$last" 2>/dev/null
    await "$last" 20
}

# A count of a fleet that runs with --control "$folder/NAME.control": open, failed, sent, acked …
told() { # name, which
    local count
    count=$("$command" fleet ctl --control "$folder/$1.control" status --json 2>/dev/null |
        sed -nE "s/.*\"$2\":([0-9]+).*/\\1/p")
    printf '%d\n' "${count:--1}"
}
tells() { [ "$(told "$1" "$2")" -eq "$3" ]; }      # name, which, count
tells_over() { [ "$(told "$1" "$2")" -gt "$3" ]; } # name, which, more than so many

get() { # name, path in the JSON...
    /usr/bin/python3 -c '
import json, sys
for path in sys.argv[2:]:
    value = json.load(open(sys.argv[1]))
    for key in path.split("."):
        value = value[key]
    print(value, end=" " if path != sys.argv[-1] else "\n")' "$folder/$1.json" "${@:2}" 2>&1 | tail -1
}

# What was sent, less what became of it: 0 if the books add up.
balance() { # name
    local sent acked refused lost
    read -r sent acked refused lost <<<"$(get "$1" messages.{sent,acked,refused,lost})"
    printf '%s\n' $((sent - acked - refused - lost))
}
