# Shared by the scripts of this folder; included by a line "#include lib.sh".
# POSIX sh. Exit statuses: 0 done (or done before), 1 failed, 3 refused and
# nothing changed, 4 a check whose answer is no.
set -u
export LC_ALL=C
unset CDPATH
umask 077

refuse() { printf '%s\n' "refused: $*" >&2; exit 3; }
fail() { printf '%s\n' "failed: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# exists PATH: also true for a dangling link.
exists() { [ -e "$1" ] || [ -L "$1" ]; }

# is_empty DIR: no entry at all; a directory that cannot be read is not empty.
is_empty() {
	entries=$(ls -A -- "$1" 2>/dev/null) || return 1
	[ -z "$entries" ]
}

# left_in DIR: what of a member's state is in it: everything except lost+found
# of a file system and what was set aside inside a mount point.
left_in() { ls -A -- "$1" | grep -v -x -e 'lost+found' | grep -v '^novatui-'; }

# sane PATH: the last line of defence behind the Go side's own check.
sane() {
	case $1 in
		/*/*) ;;
		*) refuse "$1 is not an absolute path of two levels or more" ;;
	esac
	case $1/ in
		*/../* | */./* | *//*) refuse "$1 is not in its simplest form" ;;
	esac
	case $1 in
		/var/lib | /var/log | /usr/* | /etc/* | /proc/* | /sys/* | /dev/* | /bin/* | /sbin/* | /boot/* | /lib/* | /run/*)
			refuse "$1 belongs to the system" ;;
	esac
}

# meta PATH: owner, group, octal mode, device, inode, size, modification time.
meta() {
	stat -c '%U %G %a %d %i %s %Y' -- "$1" 2>/dev/null || stat -f '%Su %Sg %Lp %d %i %z %m' "$1" 2>/dev/null
}

# label PATH: the SELinux label, or nothing.
label() {
	case $(uname -s) in Linux) ;; *) return 0 ;; esac
	l=$(stat -c '%C' -- "$1" 2>/dev/null) || return 0
	case $l in '' | '?') ;; *) printf '%s' "$l" ;; esac
}

# is_mount DIR: a mount point, bind mounts on the same device included.
is_mount() {
	if [ -r /proc/self/mountinfo ]; then
		printf '%s\n' "$1" | awk '
			NR == FNR { want = $0; next }
			{ p = $5; gsub(/\\040/, " ", p); gsub(/\\011/, "\t", p); gsub(/\\134/, "\\", p) }
			p == want { found = 1 }
			END { exit !found }' - /proc/self/mountinfo
		return
	fi
	[ "$(stat -f %d "$1" 2>/dev/null)" != "$(stat -f %d "$1/.." 2>/dev/null)" ]
}

# holders DIR: pids of the processes that have DIR or a file below it open. Where
# DIR is not ours alone, an etcd that we may not look into is listed as well.
# Status 1: there is no way to tell.
holders() {
	if [ -d /proc/self/fd ]; then
		# One ls for all processes: thousands of readlink calls would be slow.
		# The name is handed over on standard input, because awk -v would
		# read escapes in it.
		{
			printf '%s\n' "$1"
			ls -l /proc/[0-9]*/fd /proc/[0-9]*/cwd 2>/dev/null
		} | awk '
			NR == 1 { dir = $0; next }
			/^\/proc\/[0-9]+\/fd:$/ { split($0, part, "/"); pid = part[3]; next }
			{
				i = index($0, " -> ")
				if (!i) next
				target = substr($0, i + 4)
				owner = pid
				if (match($0, /\/proc\/[0-9]+\/cwd -> /)) {
					split(substr($0, RSTART, RLENGTH), part, "/")
					owner = part[3]
				}
				if (target == dir || index(target, dir "/") == 1) print owner
			}' | sort -nu | grep -v -x "$$"
		# Another user's etcd would have made files of its own in it.
		if [ "$(id -u)" != 0 ] && [ -n "$(find "$1" ! -user "$(id -u)" 2>/dev/null | head -n 1)" ]; then
			for p in /proc/[0-9]*; do
				ls "$p/fd" >/dev/null 2>&1 && continue
				[ "$(cat "$p/comm" 2>/dev/null)" = etcd ] && printf '%s\n' "${p#/proc/}"
			done
		fi
		return 0
	fi
	have lsof || return 1
	{
		printf '%s\n' "$1"
		lsof -nP -F pn 2>/dev/null
	} | awk '
		NR == 1 { dir = $0; next }
		/^p/ { pid = substr($0, 2) }
		/^n/ { n = substr($0, 2); if (n == dir || index(n, dir "/") == 1) print pid }' | sort -nu
	return 0
}

# not_held DIR…: refuses while any process holds one of them.
not_held() {
	for d in "$@"; do
		[ -d "$d" ] || continue
		pids=$(holders "$d") || refuse "cannot tell whether a process holds $d (no /proc and no lsof)"
		[ -z "$pids" ] || refuse "$d is held by process $(printf '%s' "$pids" | tr '\n' ' ')"
	done
}

# give PATH USER GROUP MODE LABEL: owner, group, mode and label; -R when the
# sixth argument says so. Only what differs is changed, so that no right to
# change it is needed when it is right already.
give() {
	set -- "$1" "$2" "$3" "$4" "$5" "${6:-}"
	m=$(meta "$1") || fail "cannot read the owner of $1"
	m=${m% * * * *}
	if [ "${m% *}" != "$2 $3" ] || { [ -n "$6" ] && [ "$(id -u)" = 0 ]; }; then
		chown ${6:+-R} -- "$2:$3" "$1" || fail "chown $2:$3 $1"
	fi
	chmod -- "$4" "$1" || fail "chmod $4 $1"
	if [ -n "$5" ] && have chcon; then
		chcon ${6:+-R} -- "$5" "$1" || fail "chcon $5 $1"
	fi
}

# digest <DATA: its sha256 in hexadecimal. openssl comes first: it is the one
# that uses the processor's own instructions (measured: 5 times as fast).
digest() {
	if have openssl && s=$(printf x | openssl dgst -sha256 -r 2>/dev/null) && [ -n "$s" ]; then
		s=$(openssl dgst -sha256 -r)
	elif have sha256sum; then s=$(sha256sum)
	else s=$(shasum -a 256); fi || return 1
	s=${s%% *}
	[ "${#s}" = 64 ] && printf '%s' "$s"
}

# sum FILE: its sha256 in hexadecimal.
sum() { digest <"$1"; }

# size FILE in bytes.
size() { wc -c <"$1" | tr -d ' '; }

# settle PATH: onto the disk, as far as this system can.
settle() { sync "$1" 2>/dev/null || sync; }

# settle_all DIR…: every file and folder in them. A sync of the whole system
# would wait for everything else that is on its way to the disk.
settle_all() { find "$@" -exec sync {} + 2>/dev/null || sync; }

# unit_prop UNIT PROPERTY: what systemd says, or nothing.
unit_prop() { systemctl show "$1" --no-pager --property="$2" 2>/dev/null | sed -n "s/^$2=//p" | head -n 1; }

# space DIR: total and free KiB, free inodes (or -1) of its file system. Device
# names may hold spaces, so columns are found by their shape.
space() {
	df -Pk -- "$1" 2>/dev/null | awk 'NR > 1 {
		for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i + 3) ~ /%$/) { print $i, $(i + 2); exit }
	}'
}
inodes() {
	df -Pi -- "$1" 2>/dev/null | awk '
		NR == 1 { for (i = 1; i <= NF; i++) if (tolower($i) == "ifree") col = i }
		NR == 2 { if (col && $col ~ /^[0-9]+$/) print $col }'
}

# present PATH: PATH, or the nearest folder above it that exists.
present() {
	up=$1
	while ! exists "$up"; do
		up=${up%/*}
		up=${up:-/}
	done
	printf '%s' "$up"
}

# listening: every local address that a TCP port listens on, one a line, ending
# in :PORT; after a space whatever is known of the process.
listening() {
	if have ss; then ss -Hltnp 2>/dev/null | awk '{ print $4, $6 }'
	elif [ -r /proc/net/tcp ]; then
		# awk has no portable way from hexadecimal; printf of the shell has.
		cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { n = split($2, a, ":"); print a[n] }' |
			sort -u | while read -r hex; do printf ':%d\n' "0x$hex"; done
	elif have lsof; then
		lsof -nP -iTCP -sTCP:LISTEN 2>/dev/null | awk 'NR > 1 { print $(NF - 1), $1 ",pid=" $2 "," }'
	else
		netstat -an 2>/dev/null | awk '/LISTEN/ { if (match($4, /[.:][0-9]+$/)) print ":" substr($4, RSTART + 1) }'
	fi
}
