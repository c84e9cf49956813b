#!/usr/bin/env bash
# fleet_capacity.sh COMMAND: what `fleet check` foretells is what happens, within 2 %: with few
# descriptors, with few ports in a network namespace, and with memory counted by a control group,
# which counts otherwise on a busy machine, and from kernel to kernel.

command=$(realpath "$1")
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"

# Starts this again for the part that wants a namespace; its cases are counted there.
if [ "${2:-}" = inside ]; then
    ip link set lo up
    ip addr add 192.0.2.1/32 dev lo
    start_gateway
    echo 40000 40599 >/proc/sys/net/ipv4/ip_local_port_range
fi

# How many fit, by the last lines of a look: "966 of 6,000 clients fit: …" or "all 6,000 clients fit".
fits() { # arguments of fleet check...
    "$command" fleet check "$@" 2>/dev/null | tr -d , |
        sed -nE 's/^all ([0-9]+) clients fit.*/\1/p; s/^([0-9]+) of [0-9]+ clients fit.*/\1/p'
}

binding() { # arguments of fleet check...
    "$command" fleet check "$@" 2>/dev/null | sed -nE 's/.* clients fit: (.*)/\1/p'
}

is_near() { # number, another one, per cent that they may be apart (2)
    local apart=$(($1 > $2 ? $1 - $2 : $2 - $1))
    [ "$1" -gt 0 ] && [ "$2" -gt 0 ] && [ $((apart * 100)) -le $(($2 * ${3:-2})) ]
}

# Each client is in, or will not be, by the newest line of progress: "0:02  OK  open 599/2,000
# failed 1,401". Asking by a socket would take descriptors, and memory.
all_have_tried() { # how many
    is_gone "$last" || [ "$(tail -1 "$folder/real.err" 2>/dev/null | tr -d , |
        awk '{ for (i = 1; i < NF; i++) if ($i ~ /^(open|failed)$/) sum += $(i + 1) }
            END { print sum + 0 }')" -ge "$1" ]
}

# $real: how many connect really; 0 if it does not start. The words in `within` begin it, if any.
within=()
connect() { # how many, arguments of fleet conn...
    for ((try = 0; try < 60; try++)); do
        rm -f "$folder"/real.*
        "${within[@]}" "$command" fleet conn -h 127.0.0.1 -p "$port" -R 0 --shards 2 --plain \
            --force --json "$folder/real.json" -c "$@" \
            >"$folder/real.out" 2>"$folder/real.err" &
        last=$!
        children+=("$last")
        wait_until 30 all_have_tried "$1"
        kill -INT "$last" 2>/dev/null
        await "$last" 30
        lacks_rings "$folder/real.err" || break
    done
    real=$(get real clients.connects_ok | grep -xE "[0-9]+")
    real=${real:-0}
    if [ "$real" -eq 0 ]; then # why
        printf 'exit status %s\n' "$status"
        head -3 "$folder/real.err"
    fi
}

# The kernel uses ports on loopback again a second after both ends are closed.
let_ports_go() {
    wait_until 20 no_connections "$port"
    sleep 1.2
}

# ── ports ──

if [ "${2:-}" = inside ]; then
    fit=$(fits conn -p "$port" -c 2000)
    check "narrow ports bind" "$(binding conn -p "$port" -c 2000)" ports
    connect 2000
    check_true "one address: $fit were foretold, $real connect" is_near "$real" "$fit"
    let_ports_go
    fit=$(fits conn -p "$port" -A 127.0.0.1,192.0.2.1 -c 2000)
    connect 2000 -A 127.0.0.1,192.0.2.1
    check_true "two addresses: $fit were foretold, $real connect" is_near "$real" "$fit"
    echo 40100-40299 >/proc/sys/net/ipv4/ip_local_reserved_ports
    let_ports_go
    fit=$(fits conn -p "$port" -c 2000)
    connect 2000
    check_true "with reserved ports: $fit were foretold, $real connect" is_near "$real" "$fit"
    let_ports_go
    for ((try = 0; try < 60; try++)); do
        fleet other conn -c 100 -R 0 --shards 2 # somebody else has ports there
        other=$last
        wait_until 20 is_ready_or_gone other
        lacks_rings "$folder/other.err" || break
    done
    check_true "another fleet is ready" is_ready other
    fit=$(fits conn -p "$port" -c 2000 --prefix more)
    connect 2000 --prefix more
    check_true "beside another fleet: $fit were foretold, $real connect" is_near "$real" "$fit"
    kill -TERM "$other"
    await "$other" 10
    stop_gateway
    finish
fi

find_namespace
# What is written there stays there.
can_narrow='ip link set lo up && echo 40000 40599 >/proc/sys/net/ipv4/ip_local_port_range'
if "${unshare[@]}" sh -c "$can_narrow" 2>/dev/null; then
    "${unshare[@]}" "$0" "$command" inside
    status=$?
    if [ $status -ne 77 ]; then check "ports, in a namespace" $status 0; fi
else
    printf 'not tested: ports, since there are no network namespaces of our own here\n'
fi

# ── descriptors ──

start_gateway
few() { # a limit, what to do with it...
    local limit=$1
    shift
    (
        ulimit -n "$limit" || exit 1
        "$@"
    )
}

# So many that a ring more or less is less than 2 %. Two at least, on however many processors.
limit=200
fit=$(few $limit fits conn -p "$port" -c 12000 --shards 2)
check "with $limit descriptors, they bind" \
    "$(few $limit binding conn -p "$port" -c 12000 --shards 2)" descriptors
# shellcheck disable=SC2016 # the shell within expands it
within=(bash -c 'ulimit -n "$0" && exec "$@"' "$limit")
connect "$fit"
check "with $limit descriptors, all $fit that were foretold connect" "$real" "$fit"
more=$((fit + fit / 50 + 1))
connect $more
check_true "with $limit descriptors, 2 % more do not: $real" [ "$real" -lt $more ]
within=()

# ── memory ──

is_sanitized() { grep -qa '__asan_init\|__tsan_init' "$command"; }

group=
make_group() {
    local mount
    for mount in /sys/fs/cgroup/memory /sys/fs/cgroup; do
        group=$mount/fleetmux_test_$$
        if mkdir "$group" 2>/dev/null; then
            if { echo $((1 << 30)) >"$group/memory.limit_in_bytes"; } 2>/dev/null ||
                { echo $((1 << 30)) >"$group/memory.max"; } 2>/dev/null; then
                return 0
            fi
            rmdir "$group"
        fi
    done
    group=
    return 1
}

in_group() { # what...
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        "$@"
    )
}

# Per cent: 2, and what the kernel charges otherwise: it counts in batches, each processor its own,
# and frees what was used in passing when it comes to it.
allowed=7

charged() { cat "$group"/memory.max_usage_in_bytes "$group"/memory.peak 2>/dev/null | head -1; }

# "takes" of the row of memory, "151 MiB", in bytes.
foretold() { # arguments of fleet check...
    "$command" fleet check "$@" 2>/dev/null | sed -nE 's/^memory .* ([0-9.]+) MiB +[0-9,]+$/\1/p' |
        awk '{ printf "%d", $1 * 1048576 }'
}

clients=15000
if is_sanitized; then
    printf 'not tested: memory, since a sanitizer takes several times as much\n'
elif ! make_group; then
    printf 'not tested: memory, since no control group can be made here\n'
else
    fleet_files=$(ulimit -Hn)
    expected=$(in_group foretold conn -p "$port" -c $clients --shards 2)
    # shellcheck disable=SC2016 # the shell within expands it
    within=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
    connect $clients
    check "$clients clients connect within a control group (descriptors: $fleet_files)" \
        "$real" $clients
    peak=$(charged)
    check_true "memory: $expected bytes were foretold, $peak charged; $allowed % are allowed" \
        is_near "${peak:-0}" "$expected" $allowed
    wait_until 5 rmdir "$group" 2>/dev/null
fi

stop_gateway
finish
