#!/usr/bin/env bash
# screen.sh SCREEN_SHOW: the fleet's screen in tmux, with runs that never were: what frames hold at
# three sizes, resizing, keys, colours, log lines, and the terminal that is given back.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"
need tmux /usr/bin/python3

export TMUX_TMPDIR=$folder
unset TMUX NO_COLOR
names=(start conn pub sub full invalid server network failed find paused draining million cut
    unbalanced)
sizes=('80 24' '120 40' '200 60')

term() { tmux -f /dev/null "$@"; }
end_terminal() { term kill-server 2>/dev/null; }
trap 'end_terminal; end_children' EXIT

# One window with a shell in it, whose output is also written to $folder/raw.
open_terminal() { # columns, lines
    term new-session -d -s s -x "$1" -y "$2" "env PS1='prompt> ' bash --norc --noprofile"
    term set -g status off \; set -g history-limit 2000 \; resize-window -t s -x "$1" -y "$2"
    term pipe-pane -t s "cat >>'$folder/raw'"
    wait_until 10 frame_has 'prompt>'
}

resize() { term resize-window -t s -x "$1" -y "$2"; } # columns, lines
frame() { term capture-pane -p -t s; }
scrolled() { term capture-pane -p -J -S - -t s; } # with what has scrolled away, lines joined
frame_has() { frame | grep -F -- "$1" >/dev/null; } # to the end: no pipe breaks
frame_has_not() { ! frame_has "$1"; }
history_has() { scrolled | grep -F -- "$1" >/dev/null; }
press() { term send-keys -t s "$@"; }
run() { press "$*" Enter; }
state() { term display-message -p -t s "$1"; }
is_on() { [ "$(state '#{alternate_on}')" = 1 ]; }
is_off() { [ "$(state '#{alternate_on}')" = 0 ]; }

# A frame of the present size is whole: its last line has the keys, its rule the width, and the next
# one is the same.
is_drawn() { # columns, lines
    local rule
    frame >"$folder/frame"
    [ "$(frame)" = "$(cat "$folder/frame")" ] || return 1
    rule=$(grep -m1 '^[─-] [0-9,]* clients ' "$folder/frame")
    [ ${#rule} -eq "$1" ] && sed -n "$2p" "$folder/frame" | grep -q 'q quit'
}

begin() { # columns, lines, arguments of screen_show...
    local columns=$1 lines=$2
    shift 2
    resize "$columns" "$lines"
    run clear
    wait_until 10 frame_has_not 'show'
    run "$command $*"
    check_true "$columns x $lines: '$*': the screen comes up" wait_until 20 is_drawn "$columns" "$lines"
}

shown() { term list-panes -t s -F '#{pane_pid}' | xargs -I{} ps -o pid= --ppid {} | tr -d ' '; }
has_ended() { [ -z "$(shown)" ]; }

end() { # key, what
    press "$1"
    check_true "$2: the screen goes" wait_until 20 is_off
    wait_until 10 has_ended # the old contents have a prompt too
}

# --- frames --------------------------------------------------------------------------------------

# What every frame must keep to; a text that is cut must be in `whole`, with a space behind it.
cat >"$folder/look.py" <<'END'
import re, sys
columns, lines, name, frame, whole = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6]
frame = open(frame, encoding="utf-8").read().split("\n")[:-1]
whole = open(whole, encoding="utf-8").read()
faults = []
def fault(what, line=""):
    faults.append("%s: %s" % (what, line.strip()))
if len(frame) != lines:
    fault("%d lines instead of %d" % (len(frame), lines))
for line in frame:
    if len(line) >= columns and not line.startswith("─"):
        fault("the last column is not free", line)
    for cut in re.findall(r"(\S[^…]*)…", line):
        words = re.split(r"  +", cut)[-1]
        if not re.search(re.escape(words) + r"[ \n]", whole):
            fault("cut within a word", line)
text = "\n".join(frame)
for part in ("fleetmux ", " clients ─", "─ a second ─", "planned", "achieved", "last ", "─ generator ─",
             "lag p99", "drift p99", "cpu ", "memory ", "q quit"):
    if part not in text:
        fault("'%s' is missing" % part)
wanted = {
    "pub": ["PUBACK", "  raw", "acked", "last five seconds", "whole run"],
    "sub": ["delivery", "received", "subscribed 2,000"],
    "full": ["PUBACK", "delivery", "request", "lost 12", "failed 37", "stage 4 of 5", "→ the server"],
    "invalid": ["INVALID: generator-limited"],
    "server": ["SERVER-LIMITED"],
    "network": ["NETWORK"],
    "failed": ["Connection refused", "→ nothing listens there"],
    "paused": ["PAUSED"],
    "draining": ["DRAINING"],
    "find": ["step 7"],
}
for part in wanted.get(name, []):
    if part not in text:
        fault("'%s' is missing" % part)
figure = r"(?:\d[\d.]* ?(?:us|ms|s)|·)"
row = re.compile(r"^ (connect|TLS full|resumed|CONNACK|SUBACK|PUBACK|delivery|request|  raw) +(.*)")
heads = 0
for line in frame:
    heads += bool(re.search("p50 .* p99.9 ", line))
    found = row.match(line)
    if found and "│" in line and len(re.findall(figure, found.group(2))) != 10:
        fault("not ten figures", line)
if heads != (name not in ("start", "failed")):
    fault("%d tables of latencies" % heads)
if columns >= 120 and name == "full" and ("Fahrräder" not in text or "PUBACK p99" not in text):
    fault("no table of groups")
print("; ".join(faults))
END

frames() { # name
    local size second=70
    begin 80 24 "$1" -s $second -S
    for size in "${sizes[@]}"; do
        # shellcheck disable=SC2086
        resize $size
        # shellcheck disable=SC2086
        check_true "$1: resized to $size, it fills the window" wait_until 20 is_drawn $size
        cp "$folder/frame" "$folder/$1.${size/ /x}"
    done
    for size in "${sizes[@]}"; do
        # shellcheck disable=SC2086
        check "$1: the frame of $size" "$(/usr/bin/python3 "$folder/look.py" $size "$1" \
            "$folder/$1.${size/ /x}" "$folder/$1.200x60" 2>&1 | tail -1)" ''
    done
    end q "$1"
}

small() {
    begin 80 24 invalid -s 70 -S
    resize 50 14
    check_true 'small: it says how large it wants to be' wait_until 20 frame_has '80 x 24 shows all'
    check_true 'small: an invalid run is one' wait_until 10 frame_has 'INVALID: generator-limited'
    resize 12 2
    sleep 0.5
    resize 80 24
    check_true 'small: large again, all is there again' wait_until 20 is_drawn 80 24
    end q 'small'
}

# --- keys ----------------------------------------------------------------------------------------

wishes() { tr '\n' ';' <"$folder/wishes" 2>/dev/null; }
wished() { [ "$(wishes)" = "$1" ]; }

keys() {
    begin 80 24 full -s 60 -w "$folder/wishes"
    press +
    check_true 'keys: + asks for 10 % more' wait_until 10 wished 'rate 1.1;'
    check_true 'keys: the rate stands in the head' wait_until 10 frame_has 'rate ×1.1 '
    press -
    check_true 'keys: - asks for what it was' wait_until 10 wished 'rate 1.1;rate 1;'
    press ']'
    check_true 'keys: ] doubles' wait_until 10 wished 'rate 1.1;rate 1;rate 2;'
    press '['
    check_true 'keys: [ halves' wait_until 10 wished 'rate 1.1;rate 1;rate 2;rate 1;'
    press Space
    check_true 'keys: space pauses' wait_until 10 frame_has ' PAUSED '
    press Space
    check_true 'keys: space goes on' wait_until 10 frame_has_not ' PAUSED '
    check_true 'keys: both are asked for' \
        wait_until 10 wished 'rate 1.1;rate 1;rate 2;rate 1;pause 1;pause 0;'
    : >"$folder/wishes"
    press s
    check_true 'keys: s asks how many' wait_until 10 frame_has 'storm: how many leave at once?'
    press Escape
    check_true 'keys: escape makes none' wait_until 10 frame_has 'no storm'
    check 'keys: nothing is asked for' "$(wishes)" ''
    press s
    wait_until 10 frame_has 'how many leave'
    press 1
    check_true 'keys: 1 is 10 %' wait_until 10 wished 'storm 0.1;'
    press s
    wait_until 10 frame_has 'how many leave'
    press 5
    wait_until 10 wished 'storm 0.1;storm 0.5;'
    press s
    wait_until 10 frame_has 'how many leave'
    press a
    check_true 'keys: 5 is half, a is all' wait_until 10 wished 'storm 0.1;storm 0.5;storm 1;'
    press '?'
    check_true 'keys: ? lists the keys' wait_until 10 frame_has 'draw the screen anew'
    press '?'
    check_true 'keys: ? again shows the run' wait_until 10 is_drawn 80 24
    : >"$folder/wishes"
    end q keys
    check_true 'keys: q ends' wait_until 10 wished 'quit 0;'
    check_true 'keys: the summary follows' \
        wait_until 10 history_has 'FAILED: 2 of 5 thresholds were missed'
}

causes() {
    begin 80 24 failed -s 60
    press c
    check_true 'causes: c lists them' wait_until 10 frame_has 'by cause'
    check_true 'causes: with hints, whole' \
        wait_until 10 frame_has 'widen net.ipv4.ip_local_port_range'
    check_true 'causes: the last one is below' frame_has_not 'no room for another session'
    press NPage NPage
    check_true 'causes: down it is there' wait_until 10 frame_has 'no room for another session'
    press PPage PPage c
    check_true 'causes: c shows the run again' wait_until 10 is_drawn 80 24
    end q causes
}

# --- colours, terminals --------------------------------------------------------------------------

# $folder/raw begins anew; what went before it has come, since this mark has.
marks=0
forget() {
    marks=$((marks + 1))
    run "echo mark\"\"$marks"
    wait_until 10 grep -qa "mark$marks" "$folder/raw"
    : >"$folder/raw"
}

has_colours() {
    LC_ALL=C grep -qaE $'\x1b\\[([0-9]+;)*([349][0-9]|10[0-7])(;[0-9]+)*m' "$folder/raw"
}

colours() {
    forget
    begin 80 24 invalid -s 60
    end q 'colours'
    check_true 'colours: there are some' wait_until 10 has_colours
    run 'export NO_COLOR=1'
    forget
    begin 80 24 invalid -s 60
    check_true 'NO_COLOR: in words all the same' \
        wait_until 10 frame_has 'INVALID: generator-limited'
    end q 'NO_COLOR'
    check 'NO_COLOR: there are none' "$(has_colours && echo some)" ''
    run 'unset NO_COLOR'
}

lines() { # what, shell words before and behind
    run clear
    forget
    run "$2 $command invalid -s 5 -t 2 $3"
    check_true "$1: a line instead" wait_until 20 history_has 'INVALID: generator-limited'
    check_true "$1: the summary follows" wait_until 20 history_has 'INVALID  seed'
    check "$1: no screen" "$(LC_ALL=C grep -ca '\[?1049h' "$folder/raw")" 0
}

ascii() {
    run 'export LC_ALL=C'
    begin 80 24 full -s 70 -S
    check 'LC_ALL=C: nothing but ASCII' "$(frame | LC_ALL=C grep -c '[^ -~]')" 0
    check_true 'LC_ALL=C: bars are there' wait_until 10 frame_has '####'
    end q 'LC_ALL=C'
    run 'export LC_ALL=C.UTF-8'
}

logging() {
    begin 80 24 pub -s 60 -l
    check_true 'log: the last line stands below' wait_until 10 frame_has ' warn: the server at 127.0.0.1'
    check_true 'log: the frame is whole' wait_until 10 is_drawn 80 24
    check_true 'log: what others write does not tear it' frame_has_not 'complaint'
    end q log
    check_true 'log: all of it is told after the end' \
        wait_until 10 history_has "somebody's complaint"
    check_true 'log: all of each line' \
        wait_until 10 history_has 'longer than any terminal ought to be wide'
}

# --- the terminal is given back ------------------------------------------------------------------

# What the terminal is set to; the file is there when all of it is.
note_terminal() { # file
    rm -f "$folder/$1"
    run "stty -a >new; mv new $1"
    wait_until 10 test -e "$folder/$1"
}

given_back() { # what, arguments of screen_show, keys or "" or a signal's name...
    local what=$1 arguments=$2
    shift 2
    note_terminal before
    begin 80 24 "$arguments"
    case ${1:-} in
    TERM | HUP | QUIT | ABRT) kill -s "$1" "$(shown)" ;;
    ?*) press "$@" ;;
    esac
    check_true "$what: the old contents are back" wait_until 20 is_off
    wait_until 10 has_ended
    note_terminal after
    check "$what: the cursor is back" "$(state '#{cursor_flag}')" 1
    check "$what: keys are as before" "$(state '#{keypad_flag}')" 0
    check "$what: the terminal is as before" "$(diff "$folder/before" "$folder/after")" ''
}

restore() {
    run "cd '$folder'"
    given_back 'q' 'pub' q
    given_back 'Ctrl-C' 'pub' C-c
    given_back 'SIGTERM' 'pub' TERM
    given_back 'SIGHUP' 'pub' HUP
    given_back 'SIGQUIT' 'pub' QUIT
    given_back 'abort' 'pub -t 1 -d abort' ''
    check_true 'abort: the last words are told' wait_until 10 history_has 'last words'
    given_back 'a fault' 'pub -t 1 -d segv' ''
    given_back 'exit' 'pub -t 1 -d exit' ''
    note_terminal before
    begin 80 24 pub -d hang
    press C-c
    sleep 0.3
    check_true 'Ctrl-C: while it drains, the screen is there' is_on
    press C-c
    check_true 'Ctrl-C twice: the old contents are back' wait_until 20 is_off
    wait_until 10 has_ended
    note_terminal after
    check 'Ctrl-C twice: the terminal is as before' "$(diff "$folder/before" "$folder/after")" ''
}

if [ $# -gt 1 ]; then # one part of it
    open_terminal 80 24
    "${@:2}"
    finish
fi
open_terminal 80 24
for name in "${names[@]}"; do
    frames "$name"
done
small
keys
causes
colours
lines 'TERM=dumb' 'TERM=dumb' ''
lines 'input from no terminal' '' '</dev/null'
lines 'output to no terminal' '' '| cat'
ascii
logging
restore
finish
