#!/usr/bin/env bash
# emqtt_bench.sh COMMAND: each example of emqtt-bench's README for conn, pub and sub runs as it
# stands there. In a network namespace of its own the addresses and ports that the examples name
# exist; where there may be none, they are only looked at.

command=$(realpath "$1")
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"

# What it takes to run them for real: ports 1883 and 8883, and their addresses. Starts this again.
if [ "${2:-}" != inside ]; then
    find_namespace
    if "${unshare[@]}" ip link set lo up 2>/dev/null; then
        "${unshare[@]}" "$0" "$command" inside
        exit $?
    fi
    printf 'no network namespaces here: the examples are looked at, not run\n'
    is_inside=false
else
    is_inside=true
    ip link set lo up
    for address in 192.168.1.10 192.168.2.10 192.168.200.{18,19,20,21}; do
        ip addr add "$address/32" dev lo
    done
fi

# Every example, with `./emqtt_bench` in front as in the README.
examples='
./emqtt_bench conn -c 50000 -i 10
./emqtt_bench sub -c 50000 -i 10 -t bench/%i -q 2
./emqtt_bench pub -c 100 -I 10 -t bench/%i -s 256
./emqtt_bench pub --ifaddr 192.168.1.10
./emqtt_bench sub --ifaddr 192.168.2.10
./emqtt_bench sub -c 100 -i 10 -t bench/%i -p 8883 --ssl
./emqtt_bench pub -c 100 -I 10 -t bench/%i -p 8883 -s 256 --ssl
./emqtt_bench sub -c 100 -i 10 -t bench/%i -p 8883 --ssl --certfile path/to/client-cert.pem --keyfile path/to/client-key.pem
./emqtt_bench pub -c 100 -i 10 -t bench/%i -s 256 -p 8883 --ssl --certfile path/to/client-cert.pem --keyfile path/to/client-key.pem
./emqtt_bench sub -c 200000 -t "perf/test" --ifaddr 192.168.200.18,192.168.200.19,192.168.200.20,192.168.200.21
./emqtt_bench sub -c 100 -i 10 -t bench/%i -p 8883 -S
./emqtt_bench pub -c 100 -I 10 -t bench/%i -p 8883 -s 256 -S
./emqtt_bench sub -c 100 -i 10 -t bench/%i -p 8883 --certfile path/to/client-cert.pem --keyfile path/to/client-key.pem --cacertfile ca.pem
'

# The words of a line as a shell would have them.
words_of() { # line
    eval "words=($1)"
}

# ── where nothing but a look is possible ──

look() { # line
    words_of "$1"
    local kind=${words[1]} line=$1
    set -- "${words[@]:2}"
    "$command" fleet check "$kind" "$@" -c 10 >"$folder/out" 2>"$folder/err"
    local status=$?
    case $status in
    0) pass "$line" ;;
    *) # the address is not here, or the file: both are said, and neither is about an option
        if grep -qE "path/to/client|no address of this machine|not an address|cannot be" "$folder/err"; then
            pass "$line (as far as a look goes)"
        else
            fail "$line" "$(cat "$folder/err")" 'it is taken'
        fi
        ;;
    esac
}

# ── the real thing ──

# Counts are cut down by options that come later; everything else is as written.
prepare() {
    cd "$folder" || exit 1
    mkdir -p path/to
    "$command" cert dev dev >dev.log 2>&1 || { printf 'FAILED no certificates\n'; exit 1; }
    cp dev/demo/device_1.crt path/to/client-cert.pem
    cp dev/demo/device_1.key path/to/client-key.pem
    cp dev/ca.crt ca.pem
    cat >emqtt_bench <<END
#!/bin/sh
exec "$command" fleet "\$@" -c 20 -R 200 --shards 2 --plain
END
    chmod +x emqtt_bench
    "$command" gateway --listen 0.0.0.0:1883 --listen mqtts://0.0.0.0:8883 --shards 2 \
        --tls-cert dev/server.crt --tls-key dev/server.key --tls-client-ca dev/ca.crt \
        --tls-client-auth request --log-level warn >gateway.out 2>gateway.err &
    gateway=$!
    children+=("$gateway")
    if ! wait_until 10 has_line gateway.out '^listening '; then
        if grep -q io_uring gateway.err; then
            printf 'skipped: %s\n' "$(head -1 gateway.err)"
            exit 77
        fi
        printf 'FAILED the gateway does not start: %s\n' "$(cat gateway.err)"
        exit 1
    fi
}

run() { # line
    words_of "$1"
    for ((try = 0; try < 60; try++)); do
        rm -f run.out # not an older one's
        "${words[@]}" >run.out 2>run.err &
        last=$!
        children+=("$last")
        wait_until 20 is_ready_or_gone run
        lacks_rings run.err || break
    done
    sleep 1 # publishers publish
    kill -INT "$last" 2>/dev/null
    await "$last" 20
    # the generator's own limit, on a machine with other work, says nothing about options
    if [ "$status" = 3 ]; then status=0; fi
    check "$1" "$status" 0
    check_has "$1: all are connected" "$(cat run.out)" "20 open"
    if [ "$status" != 0 ]; then head -5 run.out run.err; fi
}

while read -r line; do
    if [ -z "$line" ]; then continue; fi
    if $is_inside; then
        if [ -z "$gateway" ]; then prepare; fi
        run "$line"
    else
        look "$line"
    fi
done <<<"$examples"

# What differs is said in one line, or refused in words.
says() { # words, arguments of fleet check...
    local words=$1
    shift
    "$command" fleet check "$@" -c 1 >"$folder/out" 2>"$folder/err"
    status=$?
    check_has "'$*' says: $words" "$(cat "$folder/err")" "$words"
}
takes() { says "$@" && check "'${*:2}' is taken" "$status" 0; }
refuses() { says "$@" && check "'${*:2}' is refused" "$status" 1; }

takes 'subscribes with QoS 1' sub -t a -q 2
takes 'any server is trusted' conn --ssl
takes 'a client is always small' conn --lowmem
takes 'it is bench/%i' pub
takes 'no garbage' conn --force_major_gc_interval 5
refuses 'QoS 2 is not spoken' pub -t a -q 2
refuses 'QUIC is not spoken' conn --quic true
refuses 'WebSockets are not spoken' conn --ws true
refuses 'fleet run' pub --topics-payload spec.json
refuses "did you mean '--lowmem'" conn --lowmen

if $is_inside; then stop_gateway; fi
finish
