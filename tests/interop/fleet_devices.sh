#!/usr/bin/env bash
# fleet_devices.sh COMMAND: the fleet's options about devices: what is refused and how it is said,
# files in and out, and runs against a gateway.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"

refuses() { # what, words of the message, arguments of fleet...
    local what=$1 words=$2
    shift 2
    timeout 60 "$command" fleet "$@" >"$folder/refused.out" 2>"$folder/refused.err"
    check "$what: exit status" "$?" 1
    check_has "$what: says so" "$(cat "$folder/refused.err")" "$words"
}

csv() { printf '%b' "$1" >"$folder/devices.csv"; } # text

# --- options ---------------------------------------------------------------------------------

refuses 'a secret without devices' "option '--secret' is about devices" conn --secret s
refuses 'a product without secrets' 'give one of secret, secret_key and device' conn --product pk
refuses 'two kinds of secrets' 'give one of secret' conn --product pk --secret s --secret-key k
refuses 'a product key that is none' "option '--product' is 'p/k'" conn --product p/k --secret s
refuses 'a user name of a device' "option '--username' has no meaning for devices" \
    conn --product pk --secret s -u me
refuses 'a registration without its secret' "option '--product-secret' is missing" \
    conn --product pk --register new
refuses 'an answer that is none' "option '--rrpc' has no such answer" conn --rrpc ecko
refuses 'a delay that is none' "option '--rrpc' has a bad delay" conn --rrpc delay:soon
refuses 'a delay that is too long' "up to 60 s" conn --rrpc delay:61s
refuses 'an answer without calls' "option '--rrpc-message' needs --rrpc" conn --rrpc-message x
refuses 'posts with a topic' "option '--thing-model' has a topic of its own" \
    pub --product pk --secret s --thing-model -t x
refuses 'a property without a value' "option '--user-property' is not KEY=VALUE" \
    pub -t x --user-property a
refuses 'properties before 5.0' "option '--user-property' needs version MQTT 5.0" pub -t x -V 4 --user-property a=b
refuses 'a variable of devices' "option '--topic' is '%d'" pub -t '%d'

# --- files -----------------------------------------------------------------------------------

refuses 'a file that is not there' 'No such file' conn --devices "$folder/none.csv"
csv ''
refuses 'an empty file' 'devices.csv:1: there are no devices' conn --devices "$folder/devices.csv"
csv 'product_key,device_name\npk,a\n'
refuses 'a missing column' 'devices.csv:1: device_secret:' conn --devices "$folder/devices.csv"
csv 'product_key,device_name,device_secret\npk,a,s\npk,b,\n'
refuses 'a missing secret' 'devices.csv:3: device_secret: has 0 bytes' \
    conn --devices "$folder/devices.csv"
csv 'device_name,device_secret,product_key\na,s,pk\nb/c,s,pk\n'
refuses 'a bad name' 'devices.csv:3: device_name: has a character that is not allowed, at byte 2' \
    conn --devices "$folder/devices.csv"
csv "pk,$(printf '%065d' 0),s\n"
refuses 'a long name' 'devices.csv:1: device_name: has 65 bytes; write 1 to 64' \
    conn --devices "$folder/devices.csv"
csv 'pk,a,s\npk,"b,s\n'
refuses 'a quote without its other' 'devices.csv:2:' conn --devices "$folder/devices.csv"
csv 'pk,a,s\npk,b,s\n'
refuses 'more clients than devices' 'has 2 devices, and 3 from number 1 on are wanted' \
    conn -c 3 --devices "$folder/devices.csv"
refuses 'no devices left' 'has 2 devices' conn -n 2 --devices "$folder/devices.csv"
refuses 'a file and a product' "option '--product' has no meaning with --devices" \
    conn --devices "$folder/devices.csv" --product pk

"$command" fleet conn --product pk --secret-key k -c 3 --export-devices "$folder/out.csv"
check 'an export of made secrets' "$(cat "$folder/out.csv")" \
    'product_key,device_name,device_secret
pk,device_1,4b7a22063dfd0fe856fe680e34445807
pk,device_2,2a61a645cd3e9c4c6dd2e72c19a2a398
pk,device_3,62d9fecafae717e130e5be345cd3e5d5'
check 'an export is its owner'"'"'s alone' "$(stat -c %a "$folder/out.csv")" 600
check 'an export of a file is that file' \
    "$("$command" fleet conn --devices "$folder/out.csv" --export-devices -)" \
    "$(cat "$folder/out.csv")"
check 'rows are skipped by number' \
    "$("$command" fleet conn --devices "$folder/out.csv" -n 1 -c 1 --export-devices - | tail -1)" \
    'pk,device_2,2a61a645cd3e9c4c6dd2e72c19a2a398'
"$command" fleet conn --product pk --secret 'a,"b' --device-prefix 'd%n' -c 1 \
    --export-devices "$folder/odd.csv"
check 'a secret with a comma and a quote comes back' \
    "$("$command" fleet conn --devices "$folder/odd.csv" --export-devices - | tail -1)" \
    'pk,d0,"a,""b"'

# --- runs ------------------------------------------------------------------------------------

start_gateway
fleet callees conn -c 50 -R 0 --devices <(
    "$command" fleet conn --product pk --secret-key k -c 50 --export-devices -
) --ext 1 --rrpc echo
callees=$last
check_true 'devices from a file are up' wait_until 20 is_ready callees
fleet callers pub -c 50 -R 0 -t '/sys/pk/device_%i/rrpc/request/%i' -I 20 -L 1000 --duration 60
await "$last" 30
check 'calls are sent' "$status $(get callers messages.sent)" '0 1000'
fleet custom pub -c 50 -R 0 -t '/ext/rrpc/%i/pk/device_%i/user/get' -I 20 -L 1000 --duration 60
await "$last" 30
check 'custom calls are sent' "$status $(get custom messages.sent)" '0 1000'
wait_until 20 has_line "$folder/callees.err" '  calls 2,000$' # as its progress has it
kill -INT "$callees"
await "$callees" 15
check 'calls are answered' "$status $(get callees calls.{received,answered,over_bound})" \
    '0 2000 2000 0'
check_has 'calls stand in the summary' "$(cat "$folder/callees.out")" \
    'calls       2,000 received, 2,000 answered'

fleet posts pub -c 50 -R 0 --product pk --secret s --thing-model -q 1 -I 20 -L 1000 --duration 60 \
    --aliases --response-topic '/%p/%d/user/get' --correlation-bytes 16 \
    --user-property a=b --user-property c=
await "$last" 30
check 'property posts are acknowledged' "$status $(get posts messages.acked thing_replies)" \
    '0 1000 0'
stop_gateway
finish
