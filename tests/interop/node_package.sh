# node_package.sh: what the scripts share that run the npm package alibabacloud-iot-device-sdk as it
# is published. Source it with the path of the command in $command and this folder in $here; it
# sources interop.sh.
#
# npm installs what tests/interop/node/package-lock.json names, without running scripts, into
# build/npm (or FMX_NPM_DIR), once. Without node, npm or the registry the test is skipped.
#
# A registry with the product pk and its device lamp is there. The gateway is the script's own: with
# --control "$socket" and --events "$folder/events".

# shellcheck source=tests/interop/interop.sh
. "$here/interop.sh"

sdk=alibabacloud-iot-device-sdk
modules=${FMX_NPM_DIR:-$here/../../build/npm}
export FLEETMUX_REGISTRY=$folder/registry
socket=$folder/control

is_installed() {
    cmp -s "$here/node/package-lock.json" "$modules/package-lock.json" &&
        [ -e "$modules/node_modules/$sdk/package.json" ]
}

# Beside its place and then there at once, for one that is broken off does no harm. A second test at
# the same time waits, and finds it there: it may not take away what the first one runs.
install() {
    local new lock
    mkdir -p "$(dirname "$modules")"
    exec {lock}>"$modules.lock"
    flock -w 60 "$lock"
    if is_installed; then
        exec {lock}>&-
        return
    fi
    new=$(mktemp -d "$modules.XXXXXX")
    cp "$here/node/package.json" "$here/node/package-lock.json" "$new/"
    if (cd "$new" && timeout 30 npm ci --ignore-scripts --no-audit --no-fund --cache "$new/cache" \
        --fetch-retries 1 --fetch-timeout 10000) >"$folder/npm.log" 2>&1; then
        rm -rf "$new/cache" "$modules"
        mv -T "$new" "$modules" 2>/dev/null
    fi
    rm -rf "$new"
    exec {lock}>&-
}

need node
if ! is_installed; then
    need npm
    install
fi
if ! is_installed; then
    if grep -q -e EINTEGRITY -e EUSAGE "$folder/npm.log"; then
        printf 'FAILED npm ci: %s\n' "$(cat "$folder/npm.log")"
        exit 1
    fi
    printf 'skipped: npm cannot get %s: %s\n' "$sdk" \
        "$(grep -iv 'warn' "$folder/npm.log" | grep . | head -1)"
    exit 77
fi

ctl() { "$command" ctl --control "$socket" "$@" 2>&1 | tr -d '\n'; }

# A device in the background, at $url: $last; its words lie in NAME.out.
device() { # name, secret, more of its configuration
    printf '{"productKey":"pk","deviceName":"lamp","deviceSecret":"%s","brokerUrl":"%s"%s}' \
        "$2" "$url" "${3:-}" >"$folder/$1.json"
    rm -f "$folder/$1".{out,err} # not an older one's
    node "$here/node_sdk.js" "$modules" "$(cat "$folder/$1.json")" \
        >"$folder/$1.out" 2>"$folder/$1.err" &
    last=$!
    children+=("$last")
}

says() { # what it tests, line
    if wait_until 10 has_line "$folder/lamp.out" "^$2\$"; then
        pass "$1"
    else
        fail "$1" "$(tail -n 5 "$folder/lamp.out" "$folder/lamp.err")" "$2"
    fi
}

uplink() { # what it tests, topic, payload
    local line="\"topic\":\"$2\".*\"payload\":\"$3\""
    if wait_until 10 has_line "$folder/events" "$line"; then
        pass "$1"
    else
        fail "$1" "$(tail -n 3 "$folder/events")" "$line"
    fi
}

publish() { # topic, payload
    printf %s "$2" | ctl publish pk/lamp --topic "$1" -q 1
}

is_offline() { case $(ctl query pk/lamp) in *OFFLINE*) ;; *) false ;; esac }

"$command" registry create "$FLEETMUX_REGISTRY"
"$command" registry product add pk --secret prodsecret >/dev/null
"$command" registry device add pk lamp --secret lampsecret >/dev/null
