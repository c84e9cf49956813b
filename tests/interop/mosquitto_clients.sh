#!/usr/bin/env bash
# mosquitto_clients.sh COMMAND: mosquitto_pub and mosquitto_sub of Debian against the gateway, in
# every pair of versions.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"
need mosquitto_pub mosquitto_sub stdbuf

versions='mqttv31 mqttv311 mqttv5'

pub() { # options...
    timeout 60 mosquitto_pub -h 127.0.0.1 -p "$port" "$@"
}

# A subscriber in the background that writes to a file; returns when its SUBACK is there. Messages
# are the lines after "MSG", debug output stands between them.
sub() { # file, options...
    local file=$1
    shift
    rm -f "$file" # not an older one's
    stdbuf -oL mosquitto_sub -h 127.0.0.1 -p "$port" -d "$@" >"$file" 2>&1 &
    last=$!
    children+=("$last")
    if ! wait_until 10 has_line "$file" '^Subscribed '; then
        fail "subscribing: $*" "$(tail -3 "$file")" 'Subscribed'
    fi
}

messages() { sed -n 's/^MSG //p' "$1"; } # file
has_messages() { [ "$(messages "$1" | wc -l)" -ge "$2" ]; } # file, count

end() { # pid...
    kill "$@" 2>/dev/null
    wait "$@" 2>/dev/null
}

counter() { # name
    "$command" ctl --control "$folder/control" stats | awk -v name="$1" '$1 == name { print $2 }'
}
counter_is() { [ "$(counter "$1")" = "$2" ]; }           # name, wanted
is_between() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; } # number, least, most

# --- every pair of versions, QoS and size ------------------------------------------------------

pairs() {
    local subscribers=() publisher subscriber qos name size
    head -c 100000 /dev/urandom >"$folder/100000"
    printf x >"$folder/1"
    : >"$folder/0"
    for subscriber in $versions; do
        for qos in 0 1; do
            sub "$folder/pairs.$subscriber.$qos" -V $subscriber -q $qos -t 'pairs/#' -F 'MSG %t %q %r %l %x'
            subscribers+=("$last")
        done
    done
    for publisher in $versions; do
        for qos in 0 1; do
            for size in 0 1 100000; do
                if [ $size -eq 0 ]; then set -- -n; else set -- -f "$folder/$size"; fi
                pub -V $publisher -q $qos -t "pairs/$publisher/$qos/$size" "$@" ||
                    fail "mosquitto_pub $publisher QoS $qos, $size bytes" $? 0
            done
        done
    done
    for subscriber in $versions; do
        for qos in 0 1; do
            name=$folder/pairs.$subscriber.$qos
            wait_until 10 has_messages "$name" 18
            messages "$name" | sort >"$name.got"
            for publisher in $versions; do
                for published in 0 1; do
                    for size in 0 1 100000; do
                        printf 'pairs/%s/%s/%s %s 0 %s %s\n' $publisher $published $size \
                            $((published < qos ? published : qos)) $size \
                            "$(od -An -v -tx1 "$folder/$size" | tr -d ' \n')"
                    done
                done
            done | sort | sed 's/ $//' >"$name.wanted"
            sed -i 's/ $//' "$name.got"
            for publisher in $versions; do
                check "$publisher to $subscriber subscribed at QoS $qos" \
                    "$(grep "^pairs/$publisher/" "$name.got" | sha256sum)" \
                    "$(grep "^pairs/$publisher/" "$name.wanted" | sha256sum)"
            done
        done
    done
    end "${subscribers[@]}"
}

# --- wildcards ---------------------------------------------------------------------------------

wildcards() {
    local filters=('#' '+' 'a/#' 'a/+' '+/b' '+/+' 'a/+/c' '/#' '/+' '+/' 'a//c' '$SYS/#' '$SYS/+/x'
        '+/SYS' 'ä/ö')
    local topics=(a a/b a/b/c /a a/ / b/b 'a//c' '$SYS/n/x' '$SYS' 'ä/ö')
    local index=0 topic filter pids=()
    for filter in "${filters[@]}"; do
        sub "$folder/wild.$index" -V mqttv311 -q 1 -t "$filter" -F 'MSG %t'
        pids+=("$last")
        index=$((index + 1))
    done
    for topic in "${topics[@]}"; do
        pub -q 1 -t "$topic" -m x
    done
    wanted() {
        case $1 in
        '#') echo 'a a/b a/b/c /a a/ / b/b a//c ä/ö' ;;
        '+') echo a ;;
        'a/#') echo 'a a/b a/b/c a/ a//c' ;;
        'a/+') echo 'a/b a/' ;;
        '+/b') echo 'a/b b/b' ;;
        '+/+') echo 'a/b /a a/ / b/b ä/ö' ;;
        'a/+/c') echo 'a/b/c a//c' ;;
        '/#') echo '/a /' ;;
        '/+') echo '/a /' ;;
        '+/') echo 'a/ /' ;;
        'a//c') echo 'a//c' ;;
        '$SYS/#') echo '$SYS/n/x $SYS' ;;
        '$SYS/+/x') echo '$SYS/n/x' ;;
        '+/SYS') echo '' ;;
        'ä/ö') echo 'ä/ö' ;;
        esac
    }
    index=0
    for filter in "${filters[@]}"; do
        wait_until 5 has_messages "$folder/wild.$index" "$(wanted "$filter" | wc -w)"
        index=$((index + 1))
    done
    sleep 0.3 # for one too many
    index=0
    for filter in "${filters[@]}"; do
        check "filter $filter" "$(messages "$folder/wild.$index" | paste -sd' ')" "$(wanted "$filter")"
        index=$((index + 1))
    done
    end "${pids[@]}"
}

# --- sessions that outlive their connection ----------------------------------------------------

persistent() { # version
    local id=stay-$1 away=$folder/away.$1 parked absent
    parked=$(counter parked_now)
    # The gateway may hear of a client's end when the client is gone already.
    is_away() { wait_until 5 counter_is parked_now $((parked + 1)); }
    timeout 60 mosquitto_sub -h 127.0.0.1 -p "$port" -V $1 -c -i $id -q 1 -t "stay/$1/#" -E
    check "$1: a persistent session subscribes" $? 0
    is_away
    seq 1 200 | pub -V $1 -q 1 -t "stay/$1/x" -l
    absent=$(counter dropped_absent)
    pub -V $1 -q 0 -t "stay/$1/x" -m 'QoS 0 is not kept'
    wait_until 5 counter_is dropped_absent $((absent + 1)) # nothing else says that it has come
    timeout 60 mosquitto_sub -h 127.0.0.1 -p "$port" -V $1 -c -i $id -q 1 -t "stay/$1/#" -C 200 -W 50 >"$away"
    check "$1: all that came while away, once and in order" \
        "$(sha256sum <"$away")" "$(seq 1 200 | sha256sum)"
    pub -V $1 -q 1 -t "stay/$1/x" -m last
    sub "$away" -V $1 -c -i $id -q 1 -t "stay/$1/#" -F 'MSG %p'
    wait_until 10 has_line "$away" '^MSG last$'
    end "$last"
    is_away
    # a client that closes before it has read its SUBACK resets: its last acknowledgements may be lost
    local first
    first=$(messages "$away" | head -n 1)
    check "$1: a second time comes only what was not acknowledged, in order" \
        "$(messages "$away" | paste -sd' ')" \
        "$([ "$first" = last ] || seq -s' ' "$first" 200 | tr '\n' ' ')last"
    # A clean session forgets what was kept.
    pub -V $1 -q 1 -t "stay/$1/x" -m forgotten
    timeout 60 mosquitto_sub -h 127.0.0.1 -p "$port" -V $1 -i $id -q 1 -t "other/$1" -E
    pub -V $1 -q 1 -t "stay/$1/x" -m nobody
    sub "$away" -V $1 -c -i $id -q 1 -t "stay/$1/new" -F 'MSG %p'
    pub -V $1 -q 1 -t "stay/$1/x" -m 'subscription forgotten too'
    pub -V $1 -q 1 -t "stay/$1/new" -m new
    wait_until 5 has_messages "$away" 1
    check "$1: a clean session forgets messages and subscriptions" "$(messages "$away")" new
    end "$last"
    is_away
}

expiry() {
    local got left begin waited parked
    parked=$(counter parked_now)
    timeout 60 mosquitto_sub -h 127.0.0.1 -p "$port" -V mqttv5 -c -x 3600 -i lasts -q 1 -t expiry/x -E
    wait_until 5 counter_is parked_now $((parked + 1)) # what it is sent is kept, not under way
    timeout 60 mosquitto_sub -h 127.0.0.1 -p "$port" -V mqttv5 -c -x 1 -i expires -q 1 -t expiry/x -E
    begin=$SECONDS
    pub -V mqttv5 -q 1 -t expiry/x -m short -D publish message-expiry-interval 1
    pub -V mqttv5 -q 1 -t expiry/x -m long -D publish message-expiry-interval 3600
    pub -V mqttv5 -q 1 -t expiry/x -m unbounded
    wait_until 5 counter_is sessions_now 0
    sleep 2.2
    wait_until 5 counter_is parked_now $((parked + 1)) # the other one is forgotten
    got=$(timeout 60 mosquitto_sub -h 127.0.0.1 -p "$port" -V mqttv5 -c -x 3600 -i lasts -q 1 \
        -t expiry/x -C 2 -W 50 -F '%p %E')
    check "a message that expired while its receiver was away is dropped, others are kept" \
        "$(cut -d' ' -f1 <<<"$got" | paste -sd' ')" 'long unbounded'
    left=$(sed -n '1s/^long \([0-9]*\)$/\1/p' <<<"$got")
    waited=$((SECONDS - begin + 2)) # at most
    check_true "message expiry is passed on less the time it waited: $(head -1 <<<"$got")" \
        is_between "${left:-0}" $((3600 - waited)) 3598
    sub "$folder/expires" -V mqttv5 -c -x 60 -i expires -q 1 -t expiry/new -F 'MSG %p'
    pub -q 1 -t expiry/x -m 'subscription expired too'
    pub -q 1 -t expiry/new -m new
    wait_until 5 has_messages "$folder/expires" 1
    check "a session is forgotten when its expiry has passed" "$(messages "$folder/expires")" new
    end "$last"
}

# --- properties --------------------------------------------------------------------------------

properties() {
    local qos pids=()
    for qos in 0 1; do
        sub "$folder/props.$qos" -V mqttv5 -q $qos -t 'props/#' -F 'MSG %q|%P|%R|%D|%C|%F|%E|%p'
        pids+=("$last")
    done
    sub "$folder/props.311" -V mqttv311 -q 1 -t 'props/#' -F 'MSG %q|%p'
    pids+=("$last")
    for qos in 0 1; do
        pub -V mqttv5 -q $qos -t props/x -m payload \
            -D publish user-property b 2 -D publish user-property a 1 \
            -D publish user-property a 1 -D publish user-property ä 'ö €' \
            -D publish response-topic answer/here -D publish correlation-data c0rr \
            -D publish content-type text/plain -D publish payload-format-indicator 1 \
            -D publish message-expiry-interval 3600
    done
    local rest='b:2 a:1 a:1 ä:ö €|answer/here|c0rr|text/plain|1|3600|payload'
    # Nothing says when a publish at QoS 0 has come, so the other may overtake it; and an expiry has
    # whole seconds less that the message has waited.
    got() { messages "$1" | sed 's/|35[0-9][0-9]|/|3600|/' | sort; } # file
    for qos in 0 1; do
        wait_until 5 has_messages "$folder/props.$qos" 2
        check "properties reach QoS $qos unchanged and in order" \
            "$(got "$folder/props.$qos" | paste -sd'!')" "0|$rest!$qos|$rest"
    done
    wait_until 5 has_messages "$folder/props.311" 2
    check "a 3.1.1 subscriber gets the payload alone" \
        "$(got "$folder/props.311" | paste -sd' ')" '0|payload 1|payload'
    end "${pids[@]}"
}

request_response() {
    command -v mosquitto_rr >/dev/null || return 0
    local got
    sub "$folder/rr" -V mqttv5 -q 1 -t rr/ask -C 1 -F 'MSG %R %D'
    local responder=$last
    timeout 60 mosquitto_rr -h 127.0.0.1 -p "$port" -V mqttv5 -q 1 -t rr/ask -e rr/answer -m question \
        -D publish correlation-data 17 -W 50 >"$folder/rr.got" 2>&1 &
    local asker=$!
    children+=("$asker")
    wait_until 5 has_messages "$folder/rr" 1
    check "a request names where its answer goes" "$(messages "$folder/rr")" 'rr/answer 17'
    pub -V mqttv5 -q 1 -t rr/answer -m answer -D publish correlation-data 17
    await "$asker" 8
    got=$(cat "$folder/rr.got")
    check "mosquitto_rr gets its answer" "$status $got" '0 answer'
    end "$responder"
}

# --- wills, retain, credentials ----------------------------------------------------------------

will() { # version
    sub "$folder/will" -V $1 -q 1 -t "will/$1/#" -F 'MSG %p'
    local watcher=$last
    sub "$folder/dies" -V $1 -q 1 -t dies --will-topic "will/$1/x" --will-payload dead \
        --will-qos 1 --will-retain
    kill -KILL "$last"
    wait "$last" 2>/dev/null
    wait_until 5 counter_is sessions_now 1 # the gateway knows that it is dead
    pub -V $1 -q 1 -t "will/$1/x" -m marker
    wait_until 5 has_messages "$folder/will" 1
    check "$1: a will is accepted and not published" "$(messages "$folder/will")" marker
    end "$watcher"
}

retain() { # version
    sub "$folder/live" -V $1 -q 1 -t "retain/$1" -F 'MSG %r %p'
    local live=$last
    pub -V $1 -q 1 -r -t "retain/$1" -m kept
    check "$1: a publish with RETAIN is taken" $? 0
    wait_until 5 has_messages "$folder/live" 1
    check "$1: it is delivered with RETAIN cleared" "$(messages "$folder/live")" '0 kept'
    sub "$folder/late" -V $1 -q 1 -t "retain/$1" -F 'MSG %r %p'
    pub -V $1 -q 1 -t "retain/$1" -m marker
    wait_until 5 has_messages "$folder/late" 1
    check "$1: it is not kept for those who come later" "$(messages "$folder/late")" '0 marker'
    end "$live" "$last"
}

credentials() { # version
    sub "$folder/user" -V $1 -q 1 -u someone -P secret -t "user/$1" -F 'MSG %p'
    pub -V $1 -q 1 -u another -P 'ö €' -t "user/$1" -m known
    pub -V $1 -q 1 -u alone -t "user/$1" -m 'no password'
    wait_until 5 has_messages "$folder/user" 2
    check "$1: user name and password are accepted" \
        "$(messages "$folder/user" | paste -sd,)" 'known,no password'
    end "$last"
}

# --- many --------------------------------------------------------------------------------------

many() {
    local index pids=() pubs=() complete=0 set=($versions)
    for index in $(seq 0 59); do
        stdbuf -oL mosquitto_sub -h 127.0.0.1 -p "$port" -V ${set[$((index % 3))]} -q 1 -t 'many/#' -d \
            -F 'MSG %p' >"$folder/many.$index" 2>&1 &
        pids+=("$!")
        children+=("$!")
    done
    for index in $(seq 0 59); do
        wait_until 10 has_line "$folder/many.$index" '^Subscribed '
    done
    for index in $(seq 0 19); do
        seq -f "$index %g" 1 50 | timeout 60 mosquitto_pub -h 127.0.0.1 -p "$port" -V ${set[$((index % 3))]} \
            -q 1 -t "many/$index" -l &
        pubs+=("$!")
    done
    wait "${pubs[@]}"
    for index in $(seq 0 59); do
        wait_until 10 has_messages "$folder/many.$index" 1000
        # Every publisher's messages in order; between publishers there is none.
        if messages "$folder/many.$index" | sort -s -n -k1,1 |
            cmp -s - <(for p in $(seq 0 19); do seq -f "$p %g" 1 50; done); then
            complete=$((complete + 1))
        fi
    done
    check "60 subscribers get 20 publishers' 1,000 messages, each in order" $complete 60
    end "${pids[@]}"
}

start_gateway --control "$folder/control"
pairs
wildcards
for version in $versions; do
    persistent $version
    will $version
    retain $version
    credentials $version
done
properties
request_response
expiry
many
check_true "no connection is left" wait_until 5 no_connections "$port"
stop_gateway
finish
