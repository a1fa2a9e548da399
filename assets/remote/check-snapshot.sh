# check-snapshot.sh FILE: size and sha256 of the file, and whether the sha256
# that etcd appends to a snapshot is there and right. A snapshot is a database
# of whole 512-byte blocks plus 32 bytes of hash.
#include lib.sh
f=$1
[ -f "$f" ] || refuse "$f is not there"
n=$(size "$f")
s=$(sum "$f") || fail "cannot read $f"
printf 'size=%s\nsha256=%s\n' "$n" "$s"
if [ "$n" -lt 544 ] || [ "$((n % 512))" != 32 ]; then
	echo 'hash=missing'
	exit 0
fi
want=$(tail -c 32 <"$f" | od -An -v -tx1 | tr -d ' \n')
got=$(head -c "$((n - 32))" <"$f" | digest)
if [ "$got" = "$want" ]; then echo 'hash=ok'; else echo 'hash=bad'; fi
