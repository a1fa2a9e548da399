# restore.sh STAGING WALSTAGING USER GROUP MODE LABEL SNAPSHOT SUM TOOL…: runs the
# restore tool, which must write into STAGING (and WALSTAGING), and gives the
# result its owner. SUM says what SNAPSHOT must be, or nothing: "sha256:HEX" of
# the whole file, computed while the tool works, or "etcd:HEX", the sha256 that
# etcd appended to it and that the tool compares with everything before it. The
# mark of a complete restore is the file STAGING.ok beside it (and WALSTAGING.ok):
# place.sh uses no directory without it.
#include lib.sh
staging=$1 wal=$2 user=$3 group=$4 mode=$5 selinux=$6 snapshot=$7 want=$8
shift 8
sane "$staging"
[ -z "$wal" ] || sane "$wal"
is_whole() {
	[ -f "$staging/member/snap/db" ] || return 1
	for w in "${wal:-$staging/member/wal}"/*.wal; do [ -f "$w" ] && return 0; done
	return 1
}
if exists "$staging.ok"; then
	# Without the directory it is in its place already.
	! exists "$staging" || is_whole || refuse "$staging.ok is there, but $staging is not complete"
	echo 'result=already'
	exit 0
fi
for d in "$staging" ${wal:+"$wal"}; do
	exists "$d" || continue
	i=1
	while exists "$d.failed-$i"; do i=$((i + 1)); done
	mv -- "$d" "$d.failed-$i" || fail "mv $d"
done
case $want in
	etcd:*)
		got=$(tail -c 32 <"$snapshot" | od -An -v -tx1 | tr -d ' \n')
		[ "etcd:$got" = "$want" ] || fail "the sha256 at the end of $snapshot is $got instead of ${want#*:}"
		want=''
		;;
esac
want=${want#sha256:}
mkdir -p -- "${staging%/*}" ${wal:+"${wal%/*}"} || fail "mkdir"
{
	got=$(
		if [ -n "$want" ]; then sum "$snapshot" & fi
		"$@" >&3 || printf ' status %s ' "$?"
		wait
	)
} 3>&1
case $got in
	*' status '*)
		s=${got#*' status '}
		fail "$1 ended with status ${s%% *}"
		;;
esac
[ "$got" = "$want" ] || fail "$snapshot has sha256 $got instead of $want"
# etcdctl 3.6 and later print help for a command that is gone, with status 0.
is_whole || fail "$1 made no complete data directory"
give "$staging" "$user" "$group" "$mode" "$selinux" R
[ -z "$wal" ] || give "$wal" "$user" "$group" "$mode" "$selinux" R
settle_all "$staging" ${wal:+"$wal"}
if [ -n "$wal" ]; then
	: >"$wal.ok" || fail "writing $wal.ok"
	settle "$wal.ok"
fi
: >"$staging.ok" || fail "writing $staging.ok"
settle "$staging.ok"
echo 'result=restored'
