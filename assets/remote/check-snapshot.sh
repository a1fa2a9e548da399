# check-snapshot.sh FILE: size and sha256 of the file, and whether the sha256
# that etcd appends to a snapshot is there and right. A snapshot is a database
# of whole 512-byte blocks plus 32 bytes of hash, which is told when it is right.
# Then the peer URLs of the members in it, one list a line: etcd keeps a member as
# JSON in plain sight. (A free page is one long line to grep, without the tr.)
#include lib.sh
f=$1
[ -f "$f" ] || refuse "$f is not there"
n=$(size "$f")
whole='' want='' got=''
if [ "$n" -ge 544 ] && [ "$((n % 512))" = 32 ]; then
	want=$(tail -c 32 <"$f" | od -An -v -tx1 | tr -d ' \n')
	# Both at once: a database is gigabytes, and most nodes have two processors.
	sums=$(
		{ s=$(sum "$f") && printf 'whole=%s\n' "$s"; } &
		s=$(head -c "$((n - 32))" <"$f" | digest) && printf 'inner=%s\n' "$s"
		wait
	)
	whole=$(printf '%s\n' "$sums" | sed -n 's/^whole=//p')
	got=$(printf '%s\n' "$sums" | sed -n 's/^inner=//p')
else
	whole=$(sum "$f")
fi
[ -n "$whole" ] || fail "cannot read $f"
[ -z "$want" ] || [ -n "$got" ] || fail "cannot read $f"
printf 'size=%s\nsha256=%s\n' "$n" "$whole"
if [ -z "$want" ]; then echo 'hash=missing'
elif [ "$got" = "$want" ]; then printf 'hash=ok\netcd=%s\n' "$got"
else echo 'hash=bad'; fi
tr '\000' '\n' <"$f" | LC_ALL=C grep -a -o '"peerURLs":\[[^]]*\]' 2>/dev/null | cut -c 1-1000 | sort -u | head -n 30 | sed 's/^"peerURLs":/peers=/'
exit 0
