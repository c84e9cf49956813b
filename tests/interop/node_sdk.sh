#!/usr/bin/env bash
# node_sdk.sh COMMAND: the npm package alibabacloud-iot-device-sdk, as it is published, against our
# gateway of profile platform: it logs in, reports, obeys, answers calls, and comes back by itself
# to its session after a kick, a restart and a kill -9 of the gateway. node_package.sh installs it.

command=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/interop/node_package.sh
. "$here/node_package.sh"

start() {
    start_gateway --listen "$address" --profile platform --registry "$FLEETMUX_REGISTRY" \
        --store "$folder/store" --control "$socket" --events "$folder/events" --answers-thing-model \
        --call-timeout-min-ms 60s --call-timeout-max-ms 60s
}

address=127.0.0.1:$(free_port)
url=mqtt://$address
start

# --- who is let in -------------------------------------------------------------------------------

device wrong othersecret
await "$last" 10
check 'a wrong secret' "$status $(head -1 "$folder/wrong.out")" \
    '3 error Connection refused: Bad username or password'
device wrong lampsecret ',"signAlgorithm":"sha256"'
await "$last" 10
check 'the package names another algorithm than it computes' \
    "$status $(head -1 "$folder/wrong.out")" '3 error Connection refused: Bad username or password'

device lamp lampsecret
lamp=$last
says 'it logs in' 'connect 1 present false'

# --- what it reports -----------------------------------------------------------------------------

reply=/sys/pk/lamp/thing/event/property/post_reply
says 'a property post has its reply' "props 1 200 .*|exp-topic|$reply"
says 'an event post has its reply' 'event 200'
says 'a message at QoS 1 is acknowledged' 'update acked'
says 'a custom topic is subscribed to' 'subscribed /pk/lamp/user/get 1'
uplink 'the service hears the post' /sys/pk/lamp/thing/event/property/post '.*connects.*'
uplink 'the service hears the message' /pk/lamp/user/update hello

# --- what it is asked ----------------------------------------------------------------------------

set=/sys/pk/lamp/thing/service/property/set
check 'a property set is acknowledged' "$(publish $set \
    '{"id":"7","version":"1.0","params":{"on":1},"method":"thing.service.property.set"}')" \
    acknowledged
says 'a property set arrives' 'set thing.service.property.set {"on":1}'
uplink 'the answer to a property set' ${set}_reply '.*"\?id.*7.*200.*'
check 'a service is asked' "$(publish /sys/pk/lamp/thing/service/turn \
    '{"id":"8","version":"1.0","params":{"by":30},"method":"thing.service.turn"}')" acknowledged
says 'a service runs' 'service {"by":30}'
uplink "a service's answer" /sys/pk/lamp/thing/service/turn_reply '.*turned.*30.*'
check 'a call has its answer' "$(printf \
    '{"id":"9","version":"1.0","params":{"by":60,"waits":1},"method":"thing.service.turn"}' |
    ctl call pk/lamp)" '{"id":"9","code":200,"data":{"turned":60}}SUCCESS'

# --- how it comes back ---------------------------------------------------------------------------

get=/pk/lamp/user/get
check 'a message while it is there' "$(publish $get here)" acknowledged
says 'it has it' "message $get here qos 1 dup false"

# What has come before has been acknowledged when this is; else it would come once more.
settles() { check "$1" "$(publish $get "$2")" acknowledged; } # what, payload

# It stands still while it is away, so that it comes back after, not before, what is done to it.
kill -STOP "$lamp"
ctl kick pk/lamp >/dev/null
check_true 'kicked, it is away' wait_until 10 is_offline
check 'messages while it is away' "$(publish $get kick1) $(publish $get kick2)" 'stored stored'
kill -CONT "$lamp"
says 'it comes back after a kick' 'connect 2 present true'
says 'its posts have replies again' 'props 2 200 .*'
says 'the first message arrives' "message $get kick1 qos 1 dup false"
says 'the second message arrives' "message $get kick2 qos 1 dup false"
settles 'a message while it is there again' back2

kill -STOP "$lamp"
stop_gateway
start
check 'messages after a restart, while it is away' "$(publish $get restart)" stored
kill -CONT "$lamp"
says 'it comes back after a restart' 'connect 3 present true'
says 'the message arrives' "message $get restart qos 1 dup false"
settles 'a message while it is there after a restart' back3

kill -STOP "$lamp"
ctl kick pk/lamp >/dev/null
check_true 'kicked, it is away again' wait_until 10 is_offline
check 'a message before kill -9' "$(publish $get kill)" stored
kill -KILL "$gateway"
await "$gateway" 10 2>/dev/null # the shell says "Killed"
wait_until 10 nobody_listens "${address#*:}"
start
kill -CONT "$lamp"
says 'it comes back after kill -9' 'connect 4 present true'
says 'the message has outlived the gateway' "message $get kill qos 1 dup false"
says 'its posts still have replies' 'props 4 200 .*'
check 'each message came once, in order' \
    "$(sed -n 's/^message [^ ]* \([^ ]*\).*/\1/p' "$folder/lamp.out" | tr '\n' ' ')" \
    'here kick1 kick2 back2 restart back3 kill '

kill -TERM "$lamp"
await "$lamp" 10
check 'it leaves' "$status $(cat "$folder/lamp.err")" '0 '
check_true 'and is away' wait_until 10 is_offline
stop_gateway
finish
