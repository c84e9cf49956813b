#!/usr/bin/env bash
# platform_mosquitto.sh COMMAND: mosquitto_pub and mosquitto_sub of Debian, unmodified, as devices of
# the platform: what `fleetmux registry sign` prints lets them in.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"
need mosquitto_pub mosquitto_sub stdbuf

export FLEETMUX_REGISTRY=$folder/registry
socket=$folder/control

# Sets $client_id, $username and $password.
sign() { # device, options of sign...
    eval "$("$command" registry sign "pk/$1" "${@:2}" --shell)"
}

sub() { # file, version, options...
    stdbuf -oL mosquitto_sub -h 127.0.0.1 -p "$port" -V "$2" -d -i "$client_id" -u "$username" \
        -P "$password" -F 'MSG %t %p' "${@:3}" >"$1" 2>&1 &
    last=$!
    children+=("$last")
    wait_until 10 has_line "$1" '^Subscribed '
}

pub() { # version, options...
    timeout 60 mosquitto_pub -h 127.0.0.1 -p "$port" -V "$1" -i "$client_id" -u "$username" \
        -P "$password" "${@:2}" 2>&1
}

end() { # pid
    kill "$1" 2>/dev/null
    wait "$1" 2>/dev/null
}

"$command" registry create "$FLEETMUX_REGISTRY"
"$command" registry product add pk >/dev/null
"$command" registry device add pk lamp >/dev/null
start_gateway --profile platform --registry "$FLEETMUX_REGISTRY" --control "$socket" \
    --events "$folder/events" --connects-per-minute none

for version in mqttv31 mqttv311 mqttv5; do
    for method in hmacmd5 hmacsha1 hmacsha256; do
        sign lamp --method $method
        check "$version, $method: a message of the device" \
            "$(pub $version -t /pk/lamp/user/update -q 1 -m "$version $method")" ''
    done
    sign lamp
    sub "$folder/$version" $version -t /pk/lamp/user/get -q 1
    subscriber=$last
    check "$version: a message to the device" \
        "$(printf hello | "$command" ctl --control "$socket" publish pk/lamp --topic /pk/lamp/user/get --qos 1)" \
        acknowledged
    wait_until 10 has_line "$folder/$version" '^MSG /pk/lamp/user/get hello'
    check "$version: and it is there" "$(grep -c '^MSG /pk/lamp/user/get hello' "$folder/$version")" 1
    end "$subscriber"
    password=${password/[0-9]/x}
    check_has "$version: a wrong password" \
        "$(pub $version -t /pk/lamp/user/update -m x | tr '[:upper:]' '[:lower:]')" \
        'bad user name or password'
done

sign lamp
check 'a question with a response topic (5.0)' "$(
    pub mqttv5 -t /pk/lamp/user/update -q 1 -m question -D publish response-topic /pk/lamp/user/get \
        -D publish correlation-data 17 -D publish user-property color red
)" ''
check_true 'its response topic comes through' wait_until 10 has_line "$folder/events" \
    'question.*"responseTopic":"/pk/lamp/user/get"'
check_has 'another device is out of reach (5.0)' \
    "$(pub mqttv5 -t /pk/other/user/update -q 1 -m x -d)" 'RC:135'
stop_gateway # it writes its last events
check 'every message of the device is an event' \
    "$(grep -c '"type":"message"' "$folder/events")" 10
finish
