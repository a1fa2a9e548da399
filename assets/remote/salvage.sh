# salvage.sh COPY FILE ETCD ETCDCTL NAME CLIENTPORT PEERPORT SECONDS: starts
# etcd once on COPY/data, alone and on loopback, and saves a snapshot.
#include lib.sh
copy=$1 file=$2 etcd=$3 etcdctl=$4 name=$5 cport=$6 pport=$7 limit=$8
sane "$copy"
sane "$file"
if [ -f "$file" ]; then
	echo 'result=already'
	exit 0
fi
[ -f "$copy/ok" ] || refuse "$copy is not a complete copy"
wal=''
if [ -d "$copy/wal" ]; then wal="--wal-dir=$copy/wal"; fi
not_held "$copy"
# Nothing of the login's or the unit's environment may reach this etcd: a
# variable would override where it listens.
for v in $(env | sed -n 's/^\(ETCD[A-Z_]*\)=.*/\1/p'); do unset "$v"; done
"$etcd" --name="$name" --data-dir="$copy/data" ${wal:+"$wal"} --force-new-cluster \
	--listen-client-urls="http://127.0.0.1:$cport" --advertise-client-urls="http://127.0.0.1:$cport" \
	--listen-peer-urls="http://127.0.0.1:$pport" --initial-advertise-peer-urls="http://127.0.0.1:$pport" \
	--initial-cluster="$name=http://127.0.0.1:$pport" >"$copy/etcd.log" 2>&1 </dev/null &
pid=$!
stop() {
	kill "$pid" 2>/dev/null
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 "$pid" 2>/dev/null || break
		sleep 1
	done
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
}
trap stop EXIT
trap 'exit 1' HUP INT TERM
end=$(($(date +%s) + limit))
ok=''
while [ "$(date +%s)" -lt "$end" ]; do
	kill -0 "$pid" 2>/dev/null || break
	if ETCDCTL_ENDPOINTS="http://127.0.0.1:$cport" "$etcdctl" endpoint health --command-timeout=2s >/dev/null 2>&1; then
		ok=1
		break
	fi
	sleep 1
done
if [ -z "$ok" ]; then
	tail -n 5 "$copy/etcd.log" >&2
	fail "etcd did not come up on the copy; its log is $copy/etcd.log"
fi
ETCDCTL_ENDPOINTS="http://127.0.0.1:$cport" "$etcdctl" snapshot save "$file" >&2 || fail "snapshot save"
stop
trap - EXIT
not_held "$copy"
settle "$file"
echo 'result=saved'
