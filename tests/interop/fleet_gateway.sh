#!/usr/bin/env bash
# fleet_gateway.sh COMMAND: our fleet against our gateway, while one of them is killed, drained,
# stopped, or started wrongly.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"

descriptors() { find "/proc/$gateway/fd" -mindepth 1 | wc -l; }
descriptors_are() { [ "$(descriptors)" -eq "$1" ]; }
# The sessions that the gateway counts, from its newest line of counters.
sessions() { sed -n 's/^stats: sessions \([0-9]*\) .*/\1/p' "$folder/gateway.err" | tail -1; }
sessions_are() { [ "$(sessions)" = "$1" ]; }

# --- the gateway goes ----------------------------------------------------------------------------

# Subscribers and publishers in the background, who have begun with it: $sub, $pub.
both() { # version, seconds (0: until they are stopped), options for both...
    local version=$1 seconds=$2
    shift 2
    fleet sub sub -V "$version" -q 1 -c 200 -R 0 -t 'mid/%i' --duration "$seconds" \
        --control "$folder/sub.control" "$@"
    sub=$last
    wait_until 20 is_ready sub
    fleet pub pub -V "$version" -q 1 -c 200 -R 0 -t 'mid/%i' -I 10 --duration "$seconds" --drain 1 \
        --control "$folder/pub.control" "$@"
    pub=$last
    wait_until 20 is_ready pub
    wait_until 20 tells_over pub acked 1000
}

ledger() { # words
    check "$1: both fleets tell every client lost" \
        "$(get pub clients.lost clients.failed) $(get sub clients.lost)" '200 0 200'
    check "$1: sent is acknowledged, refused or lost" "$(balance pub)" 0
    check_true "$1: something was acknowledged before: $(get pub messages.acked)" \
        test "$(get pub messages.acked)" -gt 1000
}

killed() { # version
    start_gateway
    both "$1" 60
    kill -KILL "$gateway"
    wait "$gateway" 2>/dev/null
    await "$pub" 20
    check "version $1: the gateway is killed: the publishing fleet ends with 4" "$status" 4
    await "$sub" 20
    check "version $1: the gateway is killed: the subscribing fleet ends with 4" "$status" 4
    ledger "version $1: the gateway is killed"
}

drained() { # version
    start_gateway
    both "$1" 60
    kill -TERM "$gateway"
    await "$gateway" 20
    check "version $1: SIGTERM under load: the gateway ends with 0" "$status" 0
    check "version $1: SIGTERM under load: nothing is complained of" \
        "$(grep -E 'Sanitizer|runtime error|assert|error' "$folder/gateway.err")" ''
    await "$pub" 20
    await "$sub" 20
    ledger "version $1: SIGTERM under load"
    if [ "$1" -eq 5 ]; then
        check "version 5: SIGTERM under load: all subscribers got DISCONNECT 0x8B" \
            "$(reasons sub)" '139: 200'
        check "version 5: SIGTERM under load: all publishers got DISCONNECT 0x8B" \
            "$(reasons pub)" '139: 200'
    fi
}

reasons() { # name: how often each reason code ended a connection
    /usr/bin/python3 -c 'import json, sys
causes = json.load(open(sys.argv[1]))["causes"]
print(" ".join("%d: %d" % (c["reason"], c["count"]) for c in causes))' "$folder/$1.json"
}

second_signal() {
    start_gateway --drain-ms 60000
    # A client that never reads its goodbye would hold a drain up; a second signal does not wait.
    kill -TERM "$gateway"
    kill -TERM "$gateway" 2>/dev/null
    await "$gateway" 15
    check_true "a second signal ends the gateway at once, with 0 or 4: $status" \
        test "$status" = 0 -o "$status" = 4
}

# The kernel takes down the rings of who was killed when it comes to it, and the port with them.
listens_again() { # port
    rm -f "$folder/gateway.out"
    "$command" gateway --listen "127.0.0.1:$1" --shards 2 >"$folder/gateway.out" \
        2>"$folder/gateway.err" &
    gateway=$!
    children+=("$gateway")
    wait_until 10 has_said_or_gone
    has_line "$folder/gateway.out" '^listening '
}
has_said_or_gone() { has_line "$folder/gateway.out" '^listening ' || is_gone "$gateway"; }

restarted() {
    start_gateway
    local first=$gateway
    both 5 0 --reconnect 50-300
    kill -KILL "$first"
    wait "$first" 2>/dev/null
    wait_until 20 tells pub open 0
    wait_until 20 tells sub open 0
    sleep 0.3 # some try in vain
    check_true "a killed gateway's port can be listened on again" wait_until 5 listens_again "$port"
    check_true "--reconnect: all publishers come back" wait_until 20 tells pub open 200
    check_true "--reconnect: all subscribers come back" wait_until 20 tells sub open 200
    kill -INT "$pub"
    await "$pub" 20
    kill -INT "$sub"
    await "$sub" 20
    check "--reconnect: nobody stays away" "$(get pub clients.lost) $(get sub clients.lost)" '0 0'
    check "--reconnect: all connected twice" \
        "$(get pub clients.connects_ok) $(get sub clients.connects_ok)" '400 400'
    check "--reconnect: sent is acknowledged, refused or lost" "$(balance pub)" 0
    check_true "--reconnect: nothing came twice: $(get sub messages.duplicate)" \
        test "$(get sub messages.duplicate)" -eq 0
    stop_gateway
}

# --- the fleet goes ------------------------------------------------------------------------------

fleet_killed() {
    local before kept
    start_gateway --stats 1
    # One run first, so that what the gateway opens once is open.
    fleet warm conn -c 300 -R 0
    till_ready warm
    wait_until 20 no_connections "$port"
    before=$(descriptors)
    for signal in KILL TERM; do
        both 5 60
        check "200 and 200 clients are connected" "$(connections "$port")" 400
        kill -$signal "$pub" "$sub"
        wait "$pub" "$sub" 2>/dev/null
        check_true "SIG$signal of both fleets: no connection is left in the gateway" \
            wait_until 20 no_connections "$port"
        check_true "SIG$signal of both fleets: the gateway counts no session" \
            wait_until 20 sessions_are 0
        check_true "SIG$signal of both fleets: the gateway holds as many descriptors as before" \
            wait_until 10 descriptors_are "$before"
    done
    fleet after conn -c 300 -R 0
    till_ready after
    check "the gateway goes on: 300 clients connect" "$status $(get after clients.connects_ok)" '0 300'
    # Connects cut in the middle, many times over.
    for kept in 1 2 3 4 5; do
        fleet storm conn -c 2000 -R 0 --duration 5
        sleep 0.1
        kill -KILL "$last"
        wait "$last" 2>/dev/null
    done
    check_true "fleets killed while they connect leave nothing" wait_until 20 no_connections "$port"
    check_true "and no descriptor" wait_until 10 descriptors_are "$before"
    stop_gateway
}

# Subscribers that stop reading for 3 s, with the default queues: publishers and others go on.
fleet_stopped() {
    local other slow
    start_gateway --send-queue-bytes-max 65536
    fleet slow sub --prefix slow -V 5 -q 0 -c 20 -R 0 -t 'flood/#' \
        --control "$folder/slow.control"
    slow=$last
    fleet other sub -V 5 -q 1 -c 50 -R 0 -t 'calm/%i' -L 5000 --duration 60
    other=$last
    wait_until 20 is_ready slow
    wait_until 20 is_ready other
    kill -STOP "$slow"
    fleet flood pub --prefix flood -V 5 -q 0 -c 10 -R 0 -t 'flood/%i' -I 5 -s 2000 --duration 4 \
        --drain 60
    local flood=$last
    fleet calm pub -V 5 -q 1 -c 50 -R 0 -t 'calm/%i' -I 30 -L 5000 --duration 60
    local calm=$last
    sleep 3
    kill -CONT "$slow"
    await "$calm" 40
    check "subscribers stopped for 3 s: other publishers end with 0" "$status" 0
    await "$other" 20
    check "subscribers stopped for 3 s: other subscribers miss nothing" \
        "$status $(get other messages.{received,duplicate,gap})" '0 5000 0 0'
    await "$flood" 40
    check "subscribers stopped for 3 s: those that flooded them end with 0" "$status" 0
    check_true "subscribers stopped for 3 s: the gateway is alive" is_child "$gateway"
    wait_until 20 tells_over slow received 1000
    kill -INT "$slow"
    await "$slow" 40
    check "subscribers stopped for 3 s: they kept their connections, nothing came twice" \
        "$(get slow clients.lost) $(get slow messages.duplicate)" '0 0'
    check_true "subscribers stopped for 3 s: they read on afterwards: $(get slow messages.received) received, $(get slow messages.gap) dropped" \
        test "$(get slow messages.received)" -gt 1000
    stop_gateway
}

# At QoS 1 a subscriber that acknowledges again gets what waited, up to its queue.
fleet_stopped_qos1() {
    start_gateway
    fleet slow sub -V 4 -q 1 -c 5 -R 0 -t 'queue/%i' -L 5000 --duration 60
    local slow=$last
    wait_until 20 is_ready slow
    kill -STOP "$slow"
    fleet pub pub -V 4 -q 1 -c 5 -R 0 -t 'queue/%i' -I 2 -L 5000 -s 1000 --duration 60
    await "$last" 30
    check "QoS 1 to stopped subscribers: the publishers end with 0" "$status" 0
    kill -CONT "$slow"
    await "$slow" 30
    check "QoS 1 to stopped subscribers: all that waited comes, once and in order" \
        "$status $(get slow messages.{received,duplicate,gap})" '0 5000 0 0'
    stop_gateway
}

# --- a balanced run ------------------------------------------------------------------------------

undisturbed() { # version, qos
    fleet sub sub -V "$1" -q "$2" -c 500 -R 0 -t 'pair/%i' -L 20000 --duration 60
    sub=$last
    wait_until 20 is_ready sub
    fleet pub pub -V "$1" -q "$2" -c 500 -R 0 -t 'pair/%i' -L 20000 -I 20 --duration 60
    await "$last" 30
    local publishers=$status
    await "$sub" 30
    check "version $1, QoS $2: 500 pairs, 20,000 messages: nothing lost or doubled" \
        "$publishers $status $(get pub messages.sent) $(get sub messages.{received,duplicate,gap})" \
        '0 0 20000 20000 0 0'
}

# --- starting wrongly ----------------------------------------------------------------------------

refuses() { # what, exit status, words of the message, arguments...
    local what=$1 wanted=$2 words=$3
    shift 3
    # a resolver that nobody answers waits for long
    RES_OPTIONS='timeout:1 attempts:1' timeout 60 "$command" "$@" >"$folder/refused.out" \
        2>"$folder/refused.err"
    check "$what: exit status" "$?" "$wanted"
    check_has "$what: says so" "$(cat "$folder/refused.err")" "$words"
}

started_wrongly() {
    start_gateway
    refuses "a second gateway on the same port" 5 "port $port: Address already in use" gateway --listen "127.0.0.1:$port"
    check_has "a second gateway on the same port: says what to do" "$(cat "$folder/refused.err")" 'listen on another'
    refuses 'a port out of range' 1 "listen is '127.0.0.1:70000'" gateway --listen 127.0.0.1:70000
    refuses 'an address that is none' 1 'listen' gateway --listen 'not an address:1883'
    refuses 'an address of another machine' 5 '192.0.2.1' gateway --listen 192.0.2.1:0
    refuses 'a number that is none' 1 "'--shards': 'two'" gateway --shards two
    refuses 'a number out of range' 1 "1 to 65535" gateway --receive-max 65536
    refuses 'an option that is none' 1 "did you mean '--drain-ms'" gateway --drain-s 5
    refuses 'bounds that contradict each other' 1 'keepalive' gateway --keepalive-min-s 20 --keepalive-max-s 10
    refuses 'a profile that is none' 1 "'--profile'" gateway --profile both
    refuses 'a file that is not there' 1 "$folder/none.yaml" gateway --config "$folder/none.yaml"
    printf 'listen: ["127.0.0.1:0"]\nqueue_bytes_max: 5Gi\n' >"$folder/bad.yaml"
    refuses 'a file with a value out of range' 1 "bad.yaml:2: key 'queue_bytes_max'" gateway --config "$folder/bad.yaml"
    printf 'listen: ["127.0.0.1:0"]\n  shards: [\n' >"$folder/bad.yaml"
    refuses 'a file that is no YAML' 1 'bad.yaml: at or after line' gateway --config "$folder/bad.yaml"
    refuses 'a fleet with QoS 2' 1 'QoS 2 is not spoken here' fleet pub -t x -q 2
    refuses 'a fleet with version 6' 1 "'-V'" fleet conn -V 6
    refuses 'a fleet with two topics' 1 'fleet run' fleet pub -t a -t b
    refuses 'a fleet to a host that is none' 1 'host.invalid' fleet conn -h host.invalid --duration 1
    check_true "the first gateway is unmoved" is_child "$gateway"
    stop_gateway
}

for version in 4 5; do
    killed $version
    drained $version
done
second_signal
restarted
fleet_killed
fleet_stopped
fleet_stopped_qos1
start_gateway
for version in 3 4 5; do
    undisturbed $version 1
done
undisturbed 5 0
stop_gateway
started_wrongly

# ── messages that no longer come ──

start_gateway
fleet few sub --prefix few -c 1 -R 0 -t 'few/#' -q 1 --limit 1000 --give-up 4
few=$last
check_true '--give-up: the subscriber is ready' wait_until 20 is_ready few
# hears nothing, and so waits
fleet none sub --prefix none -c 1 -R 0 -t 'none/#' --limit 5 --give-up 4
none=$last
wait_until 20 is_ready none
fleet five pub -c 1 -R 0 -t few/1 -q 1 -I 10 --limit 5
await "$last" 20
await "$few" 30
check '--give-up: it ends by itself with 4' "$status $(get few signal messages.received)" '4 0 5'
check_has '--give-up: it says what is missing' "$(cat "$folder/few.out")" \
    '995 messages missing of --limit'
check_true '--give-up: who has heard nothing waits on' is_child "$none"
kill -INT "$none"
await "$none" 20
check '--give-up: until somebody ends it' "$(get none signal messages.received)" '2 0'

# ── what is wanted of clients that have sent all they may ──

fleet shares pub -c 60 -R 30 -t 'shares/%i' -q 0 -I 50 --limit 600 # ten each, in half a second
await "$last" 20
check '--limit: what each second wanted is what the plan had' "$status $(/usr/bin/python3 -c '
import json, sys
rows = json.load(open(sys.argv[1]))["rows"]
wanted = rows["columns"].index("publishes_wanted")
print(sum(row[wanted] for row in rows["data"]))' "$folder/shares.json")" '0 600'
fleet loop pub -c 2 -R 0 -t 'loop/%i' -q 1 -I 0 --duration 3
await "$last" 20
check_has 'a closed loop: what was sent' "$(cat "$folder/loop.err")" '  sent '
check 'a closed loop: nothing is said to be wanted' "$(grep -c '/s of ' "$folder/loop.err")" 0
stop_gateway

finish
