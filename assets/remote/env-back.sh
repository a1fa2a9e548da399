# env-back.sh FILE TAG KEEP: puts FILE.novatui-TAG, as set-env.sh kept it,
# back in place of FILE, which stays as FILE.novatui-KEEP (once: a second call
# does not overwrite it).
#include lib.sh
file=$1
if [ -L "$file" ]; then file=$(readlink -f -- "$file") || fail "readlink $1"; fi
kept="$file.novatui-$2" replaced="$file.novatui-$3"
if ! exists "$kept"; then
	echo 'result=nothing'
	exit 0
fi
if cmp -s "$file" "$kept"; then
	echo 'result=already'
	exit 0
fi
for f in "$file.novatui-new" "$kept" "$replaced" "$replaced.part"; do
	if [ -L "$f" ]; then refuse "$f is a link"; fi
done
if exists "$file" && ! exists "$replaced"; then
	cp -p -- "$file" "$replaced.part" || fail "cp $file"
	settle "$replaced.part"
	mv -- "$replaced.part" "$replaced" || fail "mv $replaced.part"
fi
cp -p -- "$kept" "$file.novatui-new" || fail "cp $kept"
l=$(label "$kept")
if [ -n "$l" ] && have chcon; then chcon -- "$l" "$file.novatui-new" || fail "chcon $file.novatui-new"; fi
settle "$file.novatui-new"
mv -- "$file.novatui-new" "$file" || fail "mv $file.novatui-new"
settle "${file%/*}"
echo 'result=restored'
