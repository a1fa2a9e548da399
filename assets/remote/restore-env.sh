# restore-env.sh FILE KEPT: puts the kept file back in place of FILE.
#include lib.sh
file=$1 kept=$2
if [ -L "$file" ]; then file=$(readlink -f -- "$file") || fail "readlink $1"; fi
if ! exists "$kept"; then
	echo 'result=nothing'
	exit 0
fi
if cmp -s "$file" "$kept"; then
	echo 'result=already'
	exit 0
fi
cp -p -- "$kept" "$file.novatui-new" || fail "cp $kept"
settle "$file.novatui-new"
mv -- "$file.novatui-new" "$file" || fail "mv $file.novatui-new"
settle "${file%/*}"
echo 'result=restored'
