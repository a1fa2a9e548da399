# detach.sh DIR LIMIT OUT ERR COMMAND…: starts COMMAND in a session of its own,
# which outlives this script and its connection, unless DIR says that it was
# started before. Then it prints what COMMAND writes, stdout from byte OUT and
# stderr from byte ERR on, until it has ended, and ends with its status. LIMIT
# (seconds) bounds COMMAND on the node. DIR is made by whoever comes first:
#
#   argv      COMMAND, one argument a line
#   boot      the boot that it was started in
#   pid       its process, and when that was started: numbers come again
#   begun     a folder, made by the job right before COMMAND, or by a follower
#             that gave up waiting for that: who makes it decides
#   out, err  what it wrote, in full
#   exit      its status, or "late": the last thing that is written
#   late      where there is no timeout(1): its time was up
#
# The first line on both outputs says "novatui-job: started" or "joined"; what
# comes before it is not COMMAND's (sudo may complain). Status 97 with a last line
# "novatui-job: lost|late|unstarted: REASON" on stderr is no status of COMMAND:
# it ended without one and nothing of it runs any more; its time was up, and it
# was ended; it surely was not started.
set -u
mask=$(umask)
umask 077
dir=$1 limit=$2 out=$3 err=$4
shift 4

say() { printf 'novatui-job: %s\n' "$*"; }
# no_status WORD: REASON: the last line, on a line of its own.
no_status() {
	[ -z "$(tail -c 1 "$dir/err" 2>/dev/null)" ] || echo >&2
	say "$*" >&2
	exit 97
}

# What the job needs as well. life PID: when the process was started; status 1
# when there is none (one that only waits for its parent is none).
shared='
life() {
	if [ -r /proc/self/stat ]; then
		{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
		set -- ${stat##*) }
		case $1 in Z | X) return 1 ;; esac
		life=${20}
	else
		set -- $(ps -o stat= -o lstart= -p "$1" 2>/dev/null)
		case ${1:-Z} in Z*) return 1 ;; esac
		shift
		life=$*
	fi
}
'
# The job: its own process, then COMMAND, then its status. Without timeout(1) a
# second process watches the clock.
job='
mask=$1 dir=$2 limit=$3
shift 3
trap "" HUP
umask 077
life "$$" && echo "$$ $life" >"$dir/pid" && mkdir "$dir/begun" 2>/dev/null || exit 1
umask "$mask"
if command -v timeout >/dev/null 2>&1; then
	timeout -k 10 "$limit" "$@"
	status=$?
	[ "$status" != 124 ] || status=late
else
	trap : TERM
	"$@" &
	pid=$!
	(
		sleep "$limit" &
		s=$!
		trap "kill $s; exit" TERM
		wait "$s"
		trap "" TERM
		: >"$dir/late"
		kill -s TERM -- "-$$" || kill "$pid"
		sleep 10
		kill -s KILL "$pid"
	) >/dev/null 2>&1 &
	dog=$!
	wait "$pid"
	status=$?
	while kill -0 "$pid" 2>/dev/null; do
		wait "$pid"
		status=$?
	done
	kill "$dog" 2>/dev/null
	[ ! -f "$dir/late" ] || status=late
fi
umask 077
echo "$status" >"$dir/exit.new" && mv "$dir/exit.new" "$dir/exit"
'
eval "$shared"

{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null ||
	boot=$(sysctl -n kern.bootsessionuuid 2>/dev/null) || boot=unknown

# away COMMAND…: becomes COMMAND, out of reach of what ends this session.
away() {
	if command -v setsid >/dev/null 2>&1; then exec setsid "$@"; fi
	if command -v perl >/dev/null 2>&1; then
		exec perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' -- "$@"
	fi
	trap '' HUP
	exec "$@"
}

# other_run: the command of another run that still runs on this node. Whoever
# took the cluster over knows nothing of it, and two at once would be a disaster.
other_run() {
	mine=${dir##*/}
	for d in "${dir%/*/*/*}"/*/jobs/*; do
		if [ ! -d "$d/begun" ] || [ -f "$d/exit" ]; then continue; fi
		case ${d##*/} in "${mine%%.*}".*) continue ;; esac
		then=''
		{ read -r then <"$d/boot"; } 2>/dev/null
		if [ "$then" = "$boot" ] && alive "$d"; then
			why="$d is of another run and still runs"
			return 0
		fi
	done
	return 1
}

# begin COMMAND…: starts the job, if nobody did.
begin() {
	if [ ! -d "$dir" ] && other_run; then return; fi
	if [ ! -d "${dir%/*}" ]; then
		if [ -L "${dir%/*/*}" ] || ! mkdir -p -- "${dir%/*}" 2>/dev/null; then
			why="cannot make ${dir%/*}"
			return
		fi
	fi
	if ! mkdir -- "$dir" 2>/dev/null; then
		[ -d "$dir" ] || why="cannot make $dir"
		how=joined
		return
	fi
	printf '%s\n' "$@" >"$dir/argv"
	echo "$boot" >"$dir/boot"
	(away /bin/sh -c "$shared$job" novatui "$mask" "$dir" "$limit" "$@" </dev/null >"$dir/out" 2>"$dir/err" &)
}

# left PID: whether a process of the job's session or group is left. The number
# of a session is not given to a new process while one of it lives.
left() {
	if [ -r /proc/self/stat ]; then
		life "$1" && return 1
		cat /proc/[0-9]*/stat 2>/dev/null | awk -v s="$1" '
			{ sub(/^.*\) /, "") }
			$1 != "Z" && $1 != "X" && ($3 == s || $4 == s) { found = 1 }
			END { exit !found }'
	else
		ps -A -o pgid= -o stat= 2>/dev/null | awk -v s="$1" '$1 == s && $2 !~ /^Z/ { found = 1 } END { exit !found }'
	fi
}

# alive DIR: whether anything of a job that began at this boot runs.
alive() {
	pid='' since=''
	{ read -r pid since <"$1/pid"; } 2>/dev/null
	[ -n "$pid" ] || return 1
	if life "$pid" && [ "$life" = "$since" ]; then return 0; fi
	left "$pid"
}

# running: whether the job may still write its status. A job that does not come
# to its beginning is kept from it, so that it cannot begin later.
running() {
	if [ ! -d "$dir/begun" ]; then
		[ "$turns" -ge 100 ] || return 0
		if mkdir "$dir/begun" 2>/dev/null; then return 1; fi
		return 0
	fi
	alive "$dir"
}

# pass FILE: prints it from byte $at on, at most up to where it ends now.
pass() {
	[ -s "$dir/$1" ] || return 0
	n=$(wc -c <"$dir/$1")
	while [ "$at" -lt "$((n))" ]; do
		part=$((n - at))
		[ "$part" -le 1048576 ] || part=1048576
		tail -c "+$((at + 1))" "$dir/$1" | head -c "$part" || exit 1
		at=$((at + part))
	done
}

nap() { sleep "$1" 2>/dev/null || sleep 1; }

how=started why=''
begin "$@"
say "$how"
say "$how" >&2
[ -z "$why" ] || no_status "unstarted: $why"
then=$boot
if [ "$how" = joined ]; then
	{ read -r then <"$dir/boot"; } 2>/dev/null
	# Where it is not written yet, somebody is about to.
	if [ ! -d "$dir/begun" ] && [ -z "$then" ]; then then=$boot; fi
fi
# Who only waits for output does not notice that nobody reads it any more.
parent=$PPID
kill -0 "$parent" 2>/dev/null || parent=''
turns=0 over=''
while :; do
	ended=''
	# Asked before the outputs are: what it wrote is there when its status is.
	[ ! -f "$dir/exit" ] || ended=1
	at=$out
	pass out
	out=$at at=$err
	pass err >&2
	err=$at
	# What it had done need not have reached the disk then.
	[ "$then" = "$boot" ] || no_status 'lost: the node was started anew since'
	if [ -n "$ended" ]; then break; fi
	[ -z "$over" ] || no_status 'lost: it ended without a status'
	if ! running; then
		over=1 # what it did last is still to be looked at
		continue
	fi
	[ -z "$parent" ] || kill -0 "$parent" 2>/dev/null || exit 1
	turns=$((turns + 1))
	if [ "$turns" -le 20 ]; then nap 0.01
	elif [ "$turns" -le 150 ]; then nap 0.1
	else nap 0.2; fi
done
status=''
read -r status <"$dir/exit"
case $status in
	late) no_status "late: ended after $limit seconds, its time was up" ;;
	'' | *[!0-9]*) no_status 'lost: its status cannot be read' ;;
esac
exit "$status"
