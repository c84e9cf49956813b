#!/usr/bin/env bash
# fleet_capacity.sh COMMAND: what `fleet check` foretells is what happens, within 2 %: with few
# descriptors, with few ports in a network namespace, and with memory counted by a control group.

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

is_near() { # number, another one: within 2 %
    [ -n "$1" ] && [ -n "$2" ] && [ $((($1 - $2) * ($1 > $2 ? 50 : -50))) -le "$2" ]
}

# How many connect really; nothing if it does not start.
connected() { # arguments of fleet conn...
    rm -f "$folder/real.json"
    timeout 60 "$command" fleet conn -h 127.0.0.1 -p "$port" -R 0 --duration 3 --quiet --force \
        --json "$folder/real.json" "$@" >"$folder/real.out" 2>"$folder/real.err"
    get real clients.connects_ok | grep -xE "[0-9]+"
}

# ── ports ──

if [ "${2:-}" = inside ]; then
    fit=$(fits conn -p "$port" -c 2000)
    check "narrow ports bind" "$(binding conn -p "$port" -c 2000)" ports
    real=$(connected -c 2000)
    check_true "one address: $fit were foretold, $real connect" is_near "$real" "$fit"
    sleep 1.2 # the kernel uses ports on loopback again after a second
    two=(-A "127.0.0.1,192.0.2.1" -c 2000)
    fit=$(fits conn -p "$port" "${two[@]}")
    real=$(connected "${two[@]}")
    check_true "two addresses: $fit were foretold, $real connect" is_near "$real" "$fit"
    echo 40100-40299 >/proc/sys/net/ipv4/ip_local_reserved_ports
    sleep 1.2
    fit=$(fits conn -p "$port" -c 2000)
    real=$(connected -c 2000)
    check_true "with reserved ports: $fit were foretold, $real connect" is_near "$real" "$fit"
    sleep 1.2
    fleet other conn -c 100 -R 0 --duration 20 # somebody else has ports there
    other=$last
    check_true "another fleet is ready" wait_until 10 is_ready other
    fit=$(fits conn -p "$port" -c 2000 --prefix more)
    real=$(connected -c 2000 --prefix more)
    check_true "beside another fleet: $fit were foretold, $real connect" is_near "$real" "$fit"
    kill -TERM "$other"
    await "$other" 10
    stop_gateway
    finish
fi

if command -v unshare ip >/dev/null && unshare -rn true 2>/dev/null; then
    if unshare -rn "$0" "$command" inside; then
        pass "ports, in a namespace"
    else
        fail "ports, in a namespace" 'see above' 'all ok'
    fi
else
    printf 'not tested: ports, since there are no network namespaces here\n'
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

# So many that a ring more or less is less than 2 %.
limit=200
fit=$(few $limit fits conn -p "$port" -c 12000)
check "with $limit descriptors, they bind" "$(few $limit binding conn -p "$port" -c 12000)" \
    descriptors
check "with $limit descriptors, all $fit that were foretold connect" \
    "$(few $limit connected -c "$fit")" "$fit"
more=$((fit + fit / 50 + 1))
real=$(few $limit connected -c $more)
check_true "with $limit descriptors, 2 % more do not: ${real:-none}" [ "${real:-0}" -lt $more ]

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
    told=$(in_group foretold conn -p "$port" -c $clients)
    real=$(in_group connected -c $clients)
    check "$clients clients connect within a control group (descriptors: $fleet_files)" \
        "$real" $clients
    peak=$(charged)
    check_true "memory: $told bytes were foretold, $peak were charged" is_near "$peak" "$told"
    wait_until 5 rmdir "$group" 2>/dev/null
fi

stop_gateway
finish
