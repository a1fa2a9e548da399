# sums.sh FILE…: sha256, size and name of each file that is there.
#include lib.sh
for f in "$@"; do
	[ -f "$f" ] || continue
	s=$(sum "$f") || fail "cannot read $f"
	printf '%s %s %s\n' "$s" "$(size "$f")" "$f"
done
