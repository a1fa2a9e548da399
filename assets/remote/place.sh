# place.sh STAGING DIR MOUNT: renames a restored directory into its place.
#include lib.sh
staging=$1 dir=$2 mount=$3
sane "$staging"
sane "$dir"
# Only a restore that came to its end has left its mark.
[ -f "$staging.ok" ] || refuse "$staging.ok is not there: nothing complete was restored"
if ! exists "$staging"; then
	if [ -d "$dir" ] && ! is_empty "$dir"; then
		echo 'result=already'
		exit 0
	fi
	refuse "$staging is not there"
fi
[ -d "$staging" ] && [ ! -L "$staging" ] || refuse "$staging is not a directory"
not_held "$staging" "$dir"
if [ "$mount" = 1 ]; then
	[ -d "$dir" ] && [ ! -L "$dir" ] || refuse "$dir is not a directory"
	[ "${staging%/*}" = "$dir" ] || refuse "$staging is not inside $dir"
	for f in "$staging"/*; do
		exists "$f" && exists "$dir/${f##*/}" && refuse "${f##*/} is in $dir already"
	done
	for f in "$staging"/*; do
		exists "$f" || continue
		mv -- "$f" "$dir/${f##*/}" || fail "mv $f"
	done
	rmdir -- "$staging" || fail "rmdir $staging"
	settle "$dir"
	echo 'result=placed'
	exit 0
fi
[ "${staging%/*}" = "${dir%/*}" ] || refuse "$staging is not beside $dir"
if exists "$dir"; then
	[ -d "$dir" ] && [ ! -L "$dir" ] && is_empty "$dir" || refuse "$dir is there and not empty"
	rmdir -- "$dir" || fail "rmdir $dir"
fi
mv -- "$staging" "$dir" || fail "mv $staging $dir"
settle "${dir%/*}"
echo 'result=placed'
