# move-back.sh DIR ASIDE MOUNT: undoes move-aside.sh.
#include lib.sh
dir=$1 aside=$2 mount=$3
sane "$dir"
sane "$aside"
# A move that was cut short in the middle of a mount point's contents.
if [ "$mount" = 1 ] && ! exists "$aside" && exists "$aside.part"; then aside="$aside.part"; fi
if ! exists "$aside"; then
	[ -d "$dir" ] || refuse "neither $aside nor $dir is there"
	echo 'result=already'
	exit 0
fi
[ -d "$aside" ] && [ ! -L "$aside" ] || refuse "$aside is not a directory"
not_held "$dir" "$aside"

if [ "$mount" = 1 ]; then
	[ "${aside%/*}" = "$dir" ] || refuse "$aside is not inside $dir"
	for f in "$aside"/* "$aside"/.[!.]* "$aside"/..?*; do
		exists "$f" && exists "$dir/${f##*/}" && refuse "${f##*/} is in $dir and in $aside"
	done
	for f in "$aside"/* "$aside"/.[!.]* "$aside"/..?*; do
		exists "$f" || continue
		mv -- "$f" "$dir/${f##*/}" || fail "mv $f"
	done
	rmdir -- "$aside" || fail "rmdir $aside"
else
	if exists "$dir"; then
		[ -d "$dir" ] && [ ! -L "$dir" ] && is_empty "$dir" || refuse "$dir is there and not empty"
		rmdir -- "$dir" || fail "rmdir $dir"
	fi
	mv -- "$aside" "$dir" || fail "mv $aside $dir"
fi
settle "${dir%/*}"
echo 'result=moved'
