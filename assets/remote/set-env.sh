# set-env.sh set|check FILE TAG KEY=VALUE…: makes the assignments in an env
# file, or says whether they are made already (status 0 or 4).
#include lib.sh
#include env.sh
what=$1 file=$2 tag=$3
shift 3
if [ -L "$file" ]; then file=$(readlink -f -- "$file") || fail "readlink $file"; fi
[ -f "$file" ] || refuse "$file is not there"
[ "$(size "$file")" -le 262144 ] || refuse "$file is larger than an env file can be"

want=$(env_list want "$file" "$@") || fail "reading $file"
if [ "$(env_list get "$file")" = "$want" ]; then
	echo 'result=already'
	exit 0
fi
[ "$what" = set ] || { echo 'result=differs'; exit 4; }

new="$file.novatui-new" kept="$file.novatui-$tag"
for f in "$new" "$kept" "$kept.part"; do
	if [ -L "$f" ]; then refuse "$f is a link"; fi
done
# The copy first has owner, mode and label of the original, then the new text.
cp -p -- "$file" "$new" || fail "cp $file"
l=$(label "$file")
if [ -n "$l" ] && have chcon; then chcon -- "$l" "$new" || fail "chcon $new"; fi
text=$(env_file edit "$file" "$@"; s=$?; printf x; exit "$s")
case $? in
	0) ;;
	3) refuse "$file ends inside a quotation, or a comment line in it ends in a backslash" ;;
	*) fail "reading $file" ;;
esac
printf '%s' "${text%x}" >"$new" || fail "writing $new"
# Proved with the same reader before it counts.
[ "$(env_list get "$new")" = "$want" ] || fail "$new does not say what it should"
settle "$new"
if ! exists "$kept"; then
	cp -p -- "$file" "$kept.part" || fail "cp $file"
	settle "$kept.part"
	mv -- "$kept.part" "$kept" || fail "mv $kept.part"
fi
mv -- "$new" "$file" || fail "mv $new"
settle "${file%/*}"
echo 'result=set'
