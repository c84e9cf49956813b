#!/usr/bin/env bash
# fleet_mosquitto.sh COMMAND: our fleet against Debian's mosquitto: its books add up, in every
# version and QoS, and it says so when the server goes away.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"
PATH=$PATH:/usr/sbin
need mosquitto mosquitto_passwd
mosquitto=
port=$(free_port)
ulimit -Sn 4096 2>/dev/null # of mosquitto: who has gone may still be there when others come

# Once more on the same port, if it has ended.
start_mosquitto() { # lines of configuration...
    {
        printf 'listener %s 127.0.0.1\nmax_queued_messages 0\nmax_inflight_messages 0\n' "$port"
        printf 'persistence false\nlog_type error\nlog_type warning\nset_tcp_nodelay true\n'
        if [ "$(id -u)" -eq 0 ]; then printf 'user root\n'; fi
        printf '%s\n' "$@"
    } >"$folder/mosquitto.conf"
    mosquitto -c "$folder/mosquitto.conf" >>"$folder/mosquitto.log" 2>&1 &
    mosquitto=$!
    children+=("$mosquitto")
    if ! wait_until 10 accepts; then
        printf 'FAILED mosquitto does not start: %s\n' "$(tail -3 "$folder/mosquitto.log")"
        exit 1
    fi
}
accepts() { (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

stop_mosquitto() { # signal
    kill "-$1" "$mosquitto"
    wait "$mosquitto" 2>/dev/null
}

pairs() { # version, qos
    local sub pub clients=500 count=10000
    fleet sub sub -V "$1" -q "$2" -c $clients -R 0 -t 'pair/%i' -L $count --duration 60
    sub=$last
    check_true "version $1, QoS $2: $clients subscribers are ready" wait_until 20 is_ready sub
    fleet pub pub -V "$1" -q "$2" -c $clients -R 0 -t 'pair/%i' -L $count -I 50 --duration 60
    pub=$last
    await "$pub" 30
    check "version $1, QoS $2: the publishing fleet's exit status" "$status" 0
    await "$sub" 30
    check "version $1, QoS $2: the subscribing fleet's exit status" "$status" 0
    local acked=0
    if [ "$2" -eq 1 ]; then acked=$count; fi
    check "version $1, QoS $2: what was planned was sent and acknowledged" \
        "$(get pub messages.{sent,acked,refused,unacked,lost,missing})" \
        "$count $acked 0 0 0 0"
    check "version $1, QoS $2: what was sent was received, once and in order" \
        "$(get sub messages.{received,duplicate,gap,foreign,lost,missing})" \
        "$count 0 0 0 0 0"
    check "version $1, QoS $2: the clients add up" \
        "$(get sub clients.{connects_ok,lost,failed,never_up,subscribes_refused})" \
        "$clients 0 0 0 0"
    check "version $1, QoS $2: every delivery has its latency" "$(get sub latency.delivery.count)" \
        $count
}

connects() { # version
    fleet conn conn -V "$1" -c 500 -R 1000
    till_ready conn
    check "version $1: fleet conn, exit status and connects" \
        "$status $(get conn clients.connects_ok) $(get conn verdict)" '0 500 ok'
}

# Fan-in through wildcards, with foreign messages in between.
wildcards() {
    local sub
    fleet sub sub -V 5 -q 1 -c 10 -R 0 -t 'fan/#' -L 10000 --duration 60
    sub=$last
    wait_until 20 is_ready sub
    fleet pub pub -V 4 -q 1 -c 100 -R 0 -t 'fan/%i/%c' -L 1000 -I 10 -s 24 --duration 60
    await "$last" 30
    await "$sub" 30
    check "100 publishers to 10 subscribers of a wildcard" \
        "$status $(get sub messages.{received,duplicate,gap})" '0 10000 0 0'
}

credentials() {
    local version
    mosquitto_passwd -b -c "$folder/passwords" user-1 secret 2>/dev/null
    mosquitto_passwd -b "$folder/passwords" user-2 secret 2>/dev/null
    chmod 600 "$folder/passwords"
    stop_mosquitto TERM
    start_mosquitto 'allow_anonymous false' "password_file $folder/passwords"
    for version in 3 4 5; do
        fleet right conn -V $version -c 2 -R 0 -u 'user-%i' -P secret
        till_ready right
        check "version $version: right user names and passwords" \
            "$status $(get right clients.connects_ok)" '0 2'
        fleet wrong conn -V $version -c 2 -R 0 -u 'user-%i' -P wrong --duration 20
        await "$last" 20
        check "version $version: wrong passwords are counted as failed, exit status 4" \
            "$status $(get wrong clients.{connects_ok,failed})" '4 0 2'
        check_true "version $version: and the summary says what to do: $(grep -m1 ' x ' "$folder/wrong.out")" \
            has_line "$folder/wrong.out" '--username'
        fleet nobody conn -V $version -c 2 -R 0 --duration 20
        await "$last" 20
        check "version $version: without user name: exit status 4" "$status" 4
    done
    stop_mosquitto TERM
}

# The server dies in the middle: losses are told, the exit status is 4, nothing hangs.
killed() { # version
    local pub
    start_mosquitto 'allow_anonymous true'
    fleet sub sub -V "$1" -q 1 -c 100 -R 0 -t 'killed/%i' -L 1000000 --duration 60
    local sub=$last
    wait_until 20 is_ready sub
    fleet pub pub -V "$1" -q 1 -c 100 -R 0 -t 'killed/%i' -L 1000000 -I 1 --duration 60 --drain 1 \
        --control "$folder/pub.control"
    pub=$last
    wait_until 20 is_ready pub
    wait_until 20 tells_over pub acked 100
    stop_mosquitto KILL
    await "$pub" 20
    check "version $1: mosquitto is killed: the publishing fleet ends with 4" "$status" 4
    await "$sub" 20
    check "version $1: mosquitto is killed: the subscribing fleet ends with 4" "$status" 4
    check "version $1: all clients are told lost" \
        "$(get pub clients.lost) $(get sub clients.lost) $(get pub verdict)" '100 100 not ok'
    check "version $1: sent is acknowledged, refused or lost" \
        "$(balance pub)" 0
    check_true "version $1: something was acknowledged before: $(get pub messages.acked)" \
        test "$(get pub messages.acked)" -gt 100
    check_true "version $1: the cause is told" has_line "$folder/pub.out" '^causes  *[0-9]* x '
    fleet gone conn -V "$1" -c 10 -R 0 --duration 20
    await "$last" 20
    check "version $1: nobody listens: exit status 4, all failed" "$status $(get gone clients.failed)" '4 10'
    check_true "version $1: nobody listens: the summary asks whether the server runs" \
        has_line "$folder/gone.out" 'is the server running'
}

# It comes back, and so do those with --reconnect.
comes_back() { # version
    start_mosquitto 'allow_anonymous true'
    fleet sub sub -V "$1" -q 1 -c 100 -R 0 -t 'back/%i' --reconnect 50-500 \
        --control "$folder/sub.control"
    local sub=$last
    wait_until 20 is_ready sub
    fleet pub pub -V "$1" -q 1 -c 100 -R 0 -t 'back/%i' -I 20 --reconnect 50-500 --drain 2 \
        --control "$folder/pub.control"
    local pub=$last
    wait_until 20 is_ready pub
    wait_until 20 tells_over pub acked 1000
    stop_mosquitto KILL
    wait_until 20 tells pub open 0
    wait_until 20 tells sub open 0
    sleep 0.3 # some try in vain
    local before
    start_mosquitto 'allow_anonymous true'
    check_true "version $1, --reconnect: all publishers come back" wait_until 20 tells pub open 100
    check_true "version $1, --reconnect: all subscribers come back" wait_until 20 tells sub open 100
    wait_until 20 tells_over pub acked 15000
    wait_until 20 tells_over sub received 15000
    kill -INT "$pub"
    await "$pub" 20
    before=$status
    kill -INT "$sub"
    await "$sub" 20
    check "version $1, --reconnect: nobody stays away" "$(get pub clients.lost) $(get sub clients.lost)" '0 0'
    check_true "version $1, --reconnect: all publishers connected twice" test "$(get pub clients.connects_ok)" -ge 200
    check_true "version $1, --reconnect: all subscribers connected twice" test "$(get sub clients.connects_ok)" -ge 200
    check_true "version $1, --reconnect: publishing went on: planned, sent, acked, lost $(get pub messages.{planned,sent,acked,lost}), received $(get sub messages.received), exit status $before and $status" \
        test "$(get pub messages.acked)" -gt 15000 -a "$(get sub messages.received)" -gt 15000
    check "version $1, --reconnect: sent is acknowledged, refused, or told lost" \
        "$(balance pub)" 0
    stop_mosquitto TERM
}

start_mosquitto 'allow_anonymous true'
for version in 3 4 5; do
    connects $version
    for qos in 0 1; do
        pairs $version $qos
    done
done
wildcards
credentials
for version in 3 4 5; do
    killed $version
done
comes_back 5
finish
