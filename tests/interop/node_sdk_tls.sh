#!/usr/bin/env bash
# node_sdk_tls.sh COMMAND: the npm package alibabacloud-iot-device-sdk, as it is published, by mqtts
# against our gateway of profile platform, with an ECDSA certificate and with nothing but RSA: it
# logs in, reports, obeys, and comes back after a kick. node_package.sh installs it.

command=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/interop/node_package.sh
. "$here/node_package.sh"

# The gateway listens on IPv4 alone; older versions of node may try ::1 only.
export NODE_OPTIONS=--dns-result-order=ipv4first
"$command" cert dev "$folder/tls" >/dev/null

start() { # certificate without .crt, more flags...
    rm -rf "$folder/store" "$folder/events" # not an older one's
    start_gateway --listen mqtts://127.0.0.1:0 --profile platform --answers-thing-model \
        --registry "$FLEETMUX_REGISTRY" --store "$folder/store" --control "$socket" \
        --events "$folder/events" --tls-cert "$folder/tls/$1.crt" \
        --tls-key "$folder/tls/$1.key" "${@:2}"
    port=$(sed -n '1s/^listening .*127.0.0.1:\([0-9]*\) mqtts .*/\1/p' "$folder/gateway.out")
    url=mqtts://localhost:$port
}

online() { grep -c '"status":"online"' "$folder/events"; }

round() { # what it has, certificate, version, suite as a pattern, flags of the gateway...
    local what=$1 version=$3 suite=$4 lamp
    start "$2" "${@:5}"
    device lamp lampsecret
    lamp=$last
    says "$what: it logs in" 'connect 1 present false'
    says "$what: a property post has its reply" \
        'props 1 200 .*|exp-topic|/sys/pk/lamp/thing/event/property/post_reply'
    says "$what: a message at QoS 1 is acknowledged" 'update acked'
    says "$what: a custom topic is subscribed to" 'subscribed /pk/lamp/user/get 1'
    uplink "$what: the service hears the post" /sys/pk/lamp/thing/event/property/post '.*connects.*'
    uplink "$what: the service hears the message" /pk/lamp/user/update hello
    check "$what: a message for it" "$(publish /pk/lamp/user/get here)" acknowledged
    says "$what: it has it" 'message /pk/lamp/user/get here qos 1 dup false'

    # It stands still while it is away, so that it comes back after, not before, what is done to it.
    kill -STOP "$lamp"
    ctl kick pk/lamp >/dev/null
    check_true "$what: kicked, it is away" wait_until 10 is_offline
    check "$what: a message while it is away" "$(publish /pk/lamp/user/get away)" stored
    kill -CONT "$lamp"
    says "$what: it comes back" 'connect 2 present true'
    says "$what: the message arrives" 'message /pk/lamp/user/get away qos 1 dup false'
    says "$what: its posts have replies again" 'props 2 200 .*'

    kill -TERM "$lamp"
    await "$lamp" 10
    check "$what: it leaves" "$status $(cat "$folder/lamp.err")" '0 '
    check_true "$what: and is away" wait_until 10 is_offline
    stop_gateway
    local tls="\"tls\":{\"version\":\"$version\",\"suite\":\"$suite\","
    check "$what: events of both logins tell the version and the suite" \
        "$(online) $(grep '"status":"online"' "$folder/events" | grep -c "$tls")" '2 2'
}

# --- who is believed -----------------------------------------------------------------------------

start server
device lamp lampsecret
await "$last" 10
check 'a gateway whose authority it does not know' "$status $(head -1 "$folder/lamp.out")" \
    '3 error unable to verify the first certificate'
export NODE_EXTRA_CA_CERTS=$folder/tls/ca.crt
device wrong othersecret
await "$last" 10
check 'a wrong secret' "$status $(head -1 "$folder/wrong.out")" \
    '3 error Connection refused: Bad username or password'
stop_gateway

round 'ECDSA' server 'TLS 1.3' 'TLS_[A-Z0-9_]*'
round 'RSA alone' server-rsa 'TLS 1.3' 'TLS_[A-Z0-9_]*'
round 'RSA alone, TLS 1.2' server-rsa 'TLS 1.2' 'TLS_ECDHE_RSA_[A-Z0-9_]*' --tls-max 1.2
finish
