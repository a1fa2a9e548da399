# probe.sh MARK ROOT UNIT ENVFILE BINDIR READYZ KNOWN SNAPDIR…: tells everything
# that can be seen of etcd on this node, and changes nothing. KNOWN names the
# tools whose version was asked before, as "tool=stamp" with spaces between; one
# with the same stamp is not started again. A part begins with the
# line "MARK name"; what comes before the first one is noise of the login. A
# tool that is missing makes a part shorter, never the probe fail. What may
# hang (a dead network file system) comes last.
#include lib.sh
#include env.sh
mark=$1 root=$2 unit=$3 envfile=$4 bindir=$5 readyz=$6 known=$7
shift 7

part() { printf '\n%s %s\n' "$mark" "$1"; }
say() { [ -z "$2" ] || printf '%s=%s\n' "$1" "$2"; }

# lim SECONDS COMMAND…: ends it when it takes longer.
lim() {
	if have timeout; then timeout "$@"
	elif have perl; then perl -e 'alarm shift; exec @ARGV or exit 127' "$@"
	else shift; "$@"; fi
}

# stamp FILE: what changes when another file takes its place, links followed.
stamp() {
	stat -L -c '%d:%i:%s:%Y:%Z' -- "$1" 2>/dev/null || stat -L -f '%d:%i:%z:%m:%c' "$1" 2>/dev/null
}

# coded FILE: its first 256 KiB in base64 or hexadecimal, said on the first line.
coded() {
	if have base64; then echo b64; head -c 262144 <"$1" | base64
	elif have openssl; then echo b64; head -c 262144 <"$1" | openssl base64
	else echo hex; head -c 262144 <"$1" | od -An -v -tx1; fi
}

part clock
date +%s.%N

part host
say uid "$(id -u)"
say kernel "$(uname -sr)"
if [ -n "$root" ] && [ -r "$root/etc/hostname" ]; then say hostname "$(head -n 1 "$root/etc/hostname")"
else say hostname "$(uname -n)"; fi
say machine_id "$(head -n 1 "$root/etc/machine-id" 2>/dev/null)"
if [ -r "$root/proc/sys/kernel/random/boot_id" ]; then say boot_id "$(cat "$root/proc/sys/kernel/random/boot_id")"
else say boot_id "$(sysctl -n kern.bootsessionuuid 2>/dev/null)"; fi
if [ -r /proc/uptime ]; then say uptime "$(cut -d ' ' -f 1 /proc/uptime)"
else
	boot=$(sysctl -n kern.boottime 2>/dev/null | sed -n 's/.*[^u]sec = \([0-9]*\).*/\1/p')
	[ -z "$boot" ] || say uptime "$(($(date +%s) - boot))"
fi
monotonic=$(cut -d ' ' -f 1 /proc/uptime 2>/dev/null)
say monotonic "$monotonic"

# slow is what takes long and needs nothing else: it runs beside the rest.
slow() {
	for t in etcd etcdctl etcdutl; do
		p="$bindir/$t"
		[ -x "$p" ] || p=$(command -v "$t") || continue
		case $t in etcd) arg=--version ;; *) arg=version ;; esac
		part "version.$t"
		say path "$p"
		s=$(stamp "$p")
		say stamp "$s"
		case " $known " in *" $t=$s "*) [ -z "$s" ] || continue ;; esac
		lim 5 "$p" "$arg" 2>/dev/null </dev/null | head -n 3
	done
	part readyz
	if [ -n "$readyz" ]; then
		if have curl; then
			say tool curl
			curl -k -s --max-time 2 -w '\nstatus=%{http_code}\n' -- "$readyz" 2>&1 | tail -n 5
		elif have wget; then
			say tool wget
			if wget -q -O - -T 2 -t 1 --no-check-certificate "$readyz" 2>&1 | tail -n 5; then :; fi
		fi
	fi
}

# cert USE FILE KEY: a certificate, and whether the key belongs to it.
cert() {
	[ -n "$2" ] || return 0
	part cert
	say use "$1"
	say path "$2"
	if [ ! -e "$2" ]; then say missing 1; return 0; fi
	if [ ! -r "$2" ]; then say unreadable 1; return 0; fi
	if [ -n "$3" ]; then
		say key "$3"
		if [ ! -e "$3" ]; then say key_missing 1
		elif [ ! -r "$3" ]; then say key_unreadable 1
		elif have openssl; then
			# One identity often serves several purposes.
			if [ "$compared" != "$2:$3" ]; then
				compared="$2:$3" match=''
				a=$(openssl x509 -in "$2" -noout -pubkey 2>/dev/null)
				b=$(openssl pkey -in "$3" -pubout 2>/dev/null </dev/null)
				if [ -n "$a" ] && [ -n "$b" ]; then
					if [ "$a" = "$b" ]; then match=1; else match=0; fi
				fi
			fi
			say key_matches "$match"
		fi
	fi
	part cert.text
	coded "$2"
}

# directory NAME PATH: a data or WAL directory.
directory() {
	part "$1"
	say path "$2"
	case $2 in /*) ;; *) return 0 ;; esac
	at=$(present "$2")
	say space "$(lim 5 df -Pk -- "$at" >/dev/null 2>&1 && space "$at")"
	say inodes "$(inodes "$at")"
	say parent "$(meta "$at")"
	if [ ! -d "$2" ]; then
		if [ -e "$2" ]; then say notdir 1; fi
		# It may have been moved aside, also from where a link leads to.
		beside "$(readlink -f -- "$2" 2>/dev/null || printf '%s' "$2")"
		return 0
	fi
	say exists 1
	real=$(cd -P -- "$2" 2>/dev/null && pwd -P)
	[ -n "$real" ] || { say unreadable 1; real=$2; }
	[ "$real" = "$2" ] || say real "$real"
	say meta "$(meta "$real")"
	say selinux "$(label "$real")"
	if is_mount "$real"; then say mount 1; fi
	[ -r "$real" ] || { say unreadable 1; return 0; }
	[ -n "$(left_in "$real")" ] || say empty 1
	if [ -d "$real/member" ]; then say member 1; fi
	if [ -f "$real/member/snap/db" ]; then say db "$(meta "$real/member/snap/db")"; fi
	for f in "$real"/*.wal "$real"/member/wal/*.wal; do
		if [ -f "$f" ]; then say walfiles 1; break; fi
	done
	say du "$(lim 10 du -sk -- "$real" 2>/dev/null | awk '{ print $1 }')"
	say holders "$(holders "$real" | tr '\n' ' ')"
	beside "$real"
}

# beside DIR: what runs set aside or left beside a directory, or inside a mount
# point.
beside() {
	for f in "$1".novatui-* "$1"/novatui-*; do
		if [ -d "$f" ]; then say aside "$f"; elif [ -f "$f" ]; then say kept "$f"; fi
	done
}

# inner_wal PATH: a WAL inside the data directory, on the same file system.
inner_wal() {
	if [ -L "$1" ] || { [ -d "$1" ] && is_mount "$1"; }; then directory wal "$1"; return; fi
	part wal
	say path "$1"
	say inside 1
	[ -d "$1" ] || return 0
	say exists 1
	say meta "$(meta "$1")"
	if is_empty "$1"; then say empty 1; fi
	for f in "$1"/*.wal; do
		if [ -f "$f" ]; then say walfiles 1; break; fi
	done
}

# rest tells everything else, in the order in which it is wanted should the
# answer be cut off.
rest() {
	part unit
	show='Id,LoadState,ActiveState,SubState,Result,UnitFileState,ExecMainCode,ExecMainStatus,NRestarts,MainPID'
	show="$show,StateChangeTimestampMonotonic,StateChangeTimestamp,Restart,RestartUSec,User"
	lim 5 systemctl show "$unit" --no-pager --property="$show,DropInPaths,EnvironmentFiles,FragmentPath" 2>/dev/null

	part env
	if [ ! -e "$envfile" ]; then
		# Where the cluster file is wrong about it, the unit knows.
		other=$(lim 5 systemctl show "$unit" --no-pager --property=EnvironmentFiles 2>/dev/null |
			sed -n 's/^EnvironmentFiles=\(.*\) (ignore_errors=.*)$/\1/p' | head -n 1)
		if [ -n "$other" ] && [ -f "$other" ]; then envfile=$other; fi
	fi
	say path "$envfile"
	vars=''
	if [ -e "$envfile" ]; then
		say exists 1
		if [ -r "$envfile" ]; then
			vars=$(env_list get "$envfile" 2>/dev/null)
			say sha256 "$(sum "$envfile")"
			part env.text
			coded "$envfile"
		else say unreadable 1; fi
	fi
	# The variables that the probe itself goes by, without a process for each.
	data='' wal='' ca='' ctl_ca='' ctl_cert='' ctl_key='' server_cert='' server_key=''
	peer_ca='' peer_cert='' peer_key='' old_ca='' old_cert='' old_key=''
	# No here-document: some shells write a file for it, and the disk may be full.
	set -f
	IFS=$(printf '\nx')
	IFS=${IFS%x}
	for line in $vars; do
		value=${line#*=}
		case $line in
			ETCD_DATA_DIR=*) data=$value ;;
			ETCD_WAL_DIR=*) wal=$value ;;
			ETCD_TRUSTED_CA_FILE=*) ca=$value ;;
			ETCD_CERT_FILE=*) server_cert=$value ;;
			ETCD_KEY_FILE=*) server_key=$value ;;
			ETCD_PEER_TRUSTED_CA_FILE=*) peer_ca=$value ;;
			ETCD_PEER_CERT_FILE=*) peer_cert=$value ;;
			ETCD_PEER_KEY_FILE=*) peer_key=$value ;;
			ETCDCTL_CACERT=*) ctl_ca=$value ;;
			ETCDCTL_CERT=*) ctl_cert=$value ;;
			ETCDCTL_KEY=*) ctl_key=$value ;;
			ETCDCTL_CA_FILE=*) old_ca=$value ;;
			ETCDCTL_CERT_FILE=*) old_cert=$value ;;
			ETCDCTL_KEY_FILE=*) old_key=$value ;;
		esac
	done
	unset IFS
	set +f
	# As EnvFacts.ClientCert chooses: etcdctl's own identity, or else the server's.
	ctl_ca=${ctl_ca:-${old_ca:-$ca}}
	ctl_cert=${ctl_cert:-$old_cert}
	ctl_key=${ctl_key:-$old_key}
	if [ -z "$ctl_cert" ] || [ -z "$ctl_key" ]; then ctl_cert=$server_cert ctl_key=$server_key; fi

	compared='' match=''
	cert server "$server_cert" "$server_key"
	cert peer "$peer_cert" "$peer_key"
	cert client "$ctl_cert" "$ctl_key"
	cert ca "$ca" ''
	cert peer-ca "$peer_ca" ''
	cert client-ca "$ctl_ca" ''
	# The key with which our own client talks to etcd through the tunnel. It stays
	# in the memory of the operator's program.
	if [ -n "$ctl_key" ] && [ -r "$ctl_key" ]; then
		part clientkey
		coded "$ctl_key"
	fi

	part running
	ps -A -o pid= -o stat= -o args= 2>/dev/null | awk '{ n = split($3, p, "/"); if (p[n] == "etcd") print $1, $2 }' |
		while read -r pid stat; do
			printf 'process=%s %s\n' "$pid" "$stat"
			if [ -r "/proc/$pid/cmdline" ]; then tr '\n\0' ' \n' <"/proc/$pid/cmdline" | sed 's/^/arg=/'
			else ps -p "$pid" -o args= 2>/dev/null | sed 's/^/args=/'; fi
			echo
		done

	part ports
	listening | head -n 500

	if [ -n "$data" ]; then directory data "$data"; fi
	if [ -n "$wal" ]; then directory wal "$wal"
	elif [ -n "$data" ]; then inner_wal "$data/member/wal"; fi

	part kept
	for f in "$envfile".novatui-* "$root/etc/systemd/system/$unit.d/90-novatui-hold.conf.released"; do
		if [ -f "$f" ]; then say kept "$f"; fi
	done

	part runs
	for f in "$root"/var/lib/novatui/*; do
		if [ -d "$f" ]; then printf '%s\n' "$f"; fi
	done

	part journal
	fields=MESSAGE,PRIORITY,_PID,SYSLOG_IDENTIFIER,_COMM,_SYSTEMD_UNIT,UNIT
	journal() { lim 10 journalctl -u "$unit" -n 200 --no-pager "$@" 2>/dev/null; }
	journal -o json --all --output-fields="$fields" || journal -o json --all ||
		{ part journal.short; journal -o short-iso; }
	part oom
	{ lim 5 journalctl -k -b -n 3000 --no-pager -o short-iso 2>/dev/null || dmesg 2>/dev/null; } |
		awk '/etcd/ { l = tolower($0); if (l ~ /oom|out of memory|killed process/) print }' | tail -n 20
}

# cat waits for what is slow. Nothing in rest may read what it writes.
slow | {
	rest </dev/null
	cat
}

part snapshots
for d in "$@"; do
	for f in "$d" "$d/opt/backup"; do
		[ -d "$f" ] || continue
		if stat -c %s / >/dev/null 2>&1; then
			lim 5 stat -c '%s %Y %n' -- "$f"/*.db "$f"/*.db.tar.gz "$f"/*.db.tgz 2>/dev/null
		else
			lim 5 stat -f '%z %m %N' "$f"/*.db "$f"/*.db.tar.gz "$f"/*.db.tgz 2>/dev/null
		fi | head -n 500
	done
done
part end
