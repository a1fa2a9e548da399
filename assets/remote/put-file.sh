# put-file.sh FILE SIZE SHA256 <content: stores standard input as a new file.
#include lib.sh
file=$1 want_size=$2 want_sum=$3
sane "$file"
if exists "$file"; then
	[ -f "$file" ] && [ ! -L "$file" ] || refuse "$file is not a plain file"
	[ "$(sum "$file")" = "$want_sum" ] || refuse "$file is there with other content"
	# Whoever sends is not cut off in the middle of a write.
	cat >/dev/null
	echo 'result=already'
	exit 0
fi
[ -d "${file%/*}" ] || refuse "${file%/*} is not a directory"
if [ -L "$file.part" ]; then refuse "$file.part is a link"; fi
free=$(space "${file%/*}")
free=${free#* }
# What an earlier try left is overwritten.
if [ -n "$free" ] && [ -f "$file.part" ]; then free=$((free + $(size "$file.part") / 1024)); fi
if [ -n "$free" ] && [ "$((want_size / 1024))" -ge "$free" ]; then
	refuse "no room in ${file%/*}: $((want_size / 1024)) KiB needed, $free KiB free"
fi
cat >"$file.part" || fail "writing $file.part"
settle "$file.part"
got=$(size "$file.part")
[ "$got" = "$want_size" ] || fail "$file.part has $got bytes instead of $want_size"
got=$(sum "$file.part")
[ "$got" = "$want_sum" ] || fail "$file.part has sha256 $got instead of $want_sum"
mv -- "$file.part" "$file" || fail "mv $file.part"
settle "${file%/*}"
echo 'result=stored'
