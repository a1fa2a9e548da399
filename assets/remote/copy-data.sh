# copy-data.sh DATADIR WALDIR DEST: copies a stopped member's data to DEST/data
# and a separate WAL to DEST/wal. DEST/ok marks a complete copy.
#include lib.sh
data=$1 wal=$2 dest=$3
sane "$dest"
if [ -f "$dest/ok" ]; then
	echo 'result=already'
	exit 0
fi
[ -d "$data/member" ] || refuse "$data holds no member folder"
not_held "$data" ${wal:+"$wal"}
if exists "$dest"; then
	i=1
	while exists "$dest.failed-$i"; do i=$((i + 1)); done
	mv -- "$dest" "$dest.failed-$i" || fail "mv $dest"
fi
need=$(du -sk -- "$data" ${wal:+"$wal"} 2>/dev/null | awk '{ n += $1 } END { print n }')
mkdir -p -- "$dest/data" || fail "mkdir $dest"
free=$(space "$dest")
free=${free#* }
[ -n "$need" ] && [ -n "$free" ] || fail "cannot tell how much room there is for $dest"
# etcd writes into the copy: twice its size must be free.
[ "$((need * 2))" -lt "$free" ] || refuse "no room: $((need * 2)) KiB needed, $free KiB free"
cp -Rp -- "$data/member" "$dest/data/member" || fail "copying $data"
[ -z "$wal" ] || cp -Rp -- "$wal" "$dest/wal" || fail "copying $wal"
not_held "$data" ${wal:+"$wal"}
sync
: >"$dest/ok" || fail "writing $dest/ok"
echo 'result=copied'
