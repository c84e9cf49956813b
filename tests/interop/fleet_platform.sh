#!/usr/bin/env bash
# fleet_platform.sh COMMAND: our fleet's devices against our gateway of profile platform: signing,
# registration, calls, property posts, and limits that are told apart.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"

export FLEETMUX_REGISTRY=$folder/registry
socket=$folder/control
devices=(--product pk --secret-key k)

run() { # name, kind, options of fleet...
    fleet "$@"
    await "$last" 40
}

let_in() { # name, kind, options of fleet, without --duration...
    fleet "$@"
    till_ready "$1"
}

call() { # what ctl prints, device, options of call...
    local wanted=$1 device=$2
    shift 2
    check "a call of $device $*" \
        "$(printf hello | "$command" ctl --control "$socket" call "pk/$device" "$@" 2>&1 | tr -d '\n')" \
        "$wanted"
}

"$command" registry create "$FLEETMUX_REGISTRY"
"$command" registry product add pk --secret prodsecret >/dev/null
"$command" registry product register pk known,new
"$command" fleet conn "${devices[@]}" -c 200 --export-devices "$folder/devices.csv"
check_has 'the registry imports what the fleet exports' \
    "$("$command" registry import "$folder/devices.csv")" 'imported 200 devices'
start_gateway --profile platform --registry "$FLEETMUX_REGISTRY" --control "$socket" \
    --connects-per-minute none --answers-thing-model --registers-again

for version in 3 4 5; do
    for method in hmacmd5 hmacsha1 hmacsha256; do
        let_in sign conn -V $version -c 200 -R 0 "${devices[@]}" --sign-method $method
        check "version $version, $method: all are let in" \
            "$status $(get sign clients.connects_ok)" '0 200'
    done
    run wrong conn -V $version -c 5 -R 0 --duration 20 --product pk --secret-key other
    check "version $version: none with another secret" "$(get wrong clients.failed)" 5
done
let_in file conn -R 0 --devices "$folder/devices.csv" --timestamp none --sdk none
check 'devices of the file are let in' "$status $(get file clients.connects_ok)" '0 200'

for version in 4 5; do
    let_in known conn -V $version -c 50 -R 0 --product pk --register known \
        --product-secret prodsecret
    check "version $version: known devices learn their secrets" \
        "$status $(get known registrations clients.connects_ok)" '0 50 50'
    let_in new conn -V $version -c 50 -R 0 --product pk --register new \
        --product-secret prodsecret --device-prefix "fresh$version"
    check "version $version: new devices learn their tokens" \
        "$status $(get new registrations clients.connects_ok)" '0 50 50'
done
run liar conn -c 5 -R 0 --duration 20 --product pk --register new --product-secret other \
    --device-prefix liar
check 'nobody registers with another secret' "$(get liar clients.failed registrations)" '5 0'

for options in '-V 4' '-V 5' '-V 4 --auto-subscribe' '-V 5 --auto-subscribe --aliases'; do
    # shellcheck disable=SC2086
    run posts pub $options -c 100 -R 0 -q 1 -I 300 -L 500 --duration 30 --drain 2 "${devices[@]}" \
        --thing-model
    check "posts with $options: each has its PUBACK" "$status $(get posts messages.acked)" '0 500'
    check_true "posts with $options: and its reply" test "$(get posts thing_replies)" -ge 495
done

good=(-c 50 -R 0 -q 1 -I 300 -L 200 --duration 30 "${devices[@]}" -t '/%p/%d/user/update')
run update pub "${good[@]}" --response-topic '/%p/%d/user/get' --correlation-bytes 128 \
    --user-property a=b --aliases
check 'properties within their limits' "$status $(get update messages.acked)" '0 200'
run refused pub "${good[@]}" --correlation-bytes 129
check 'correlation data above its limit' "$(get refused messages.acked messages.refused)" '0 200'
run refused pub "${good[@]}" --user-property _a=b
check 'a reserved user property' "$(get refused messages.acked messages.refused)" '0 200'

for options in '-V 4' '-V 5' '-V 4 --auto-subscribe' '-V 5 --auto-subscribe'; do
    # shellcheck disable=SC2086
    fleet callees conn $options --ext 1 -c 20 -R 0 "${devices[@]}" --rrpc delay:20
    callees=$last
    check_true "callees with $options are up" wait_until 20 is_ready callees
    call helloSUCCESS device_3
    call helloSUCCESS device_4 --topic /pk/device_4/user/get
    kill -TERM "$callees"
    await "$callees" 10
    check "callees with $options answered" "$(get callees calls.received calls.answered)" '2 2'
done
wait_until 10 no_connections "$port" # the gateway has heard that they have gone
call OFFLINE device_3
fleet mute conn -c 5 -R 0 "${devices[@]}" --rrpc never
mute=$last
check_true 'devices that never answer are up' wait_until 20 is_ready mute
call TIMEOUT device_2 --timeout 3
kill -TERM "$mute"
await "$mute" 10
check 'they count what they were asked' "$(get mute calls.received calls.answered)" '1 0'
stop_gateway
finish
