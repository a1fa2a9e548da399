# move-aside.sh DIR ASIDE MOUNT: renames DIR to ASIDE; of a mount point the
# contents move into ASIDE, a folder inside it. Never deletes anything.
#include lib.sh
dir=$1 aside=$2 mount=$3
sane "$dir"
sane "$aside"

if [ "$mount" = 1 ]; then
	[ "${aside%/*}" = "$dir" ] || refuse "$aside is not inside $dir"
	[ -d "$dir" ] && [ ! -L "$dir" ] || refuse "$dir is not a directory"
	# What moves gathers under another name first: an ASIDE that is there is
	# complete, also after a power cut in the middle.
	part="$aside.part"
	if exists "$aside"; then
		[ -z "$(left_in "$dir")" ] || refuse "$aside exists already, and $dir is not free"
		echo 'result=already'
		exit 0
	fi
	if [ -z "$(left_in "$dir")" ] && ! exists "$part"; then
		echo 'result=nothing'
		exit 0
	fi
	not_held "$dir"
	mkdir -p -- "$part" || fail "mkdir $part"
	for f in "$dir"/* "$dir"/.[!.]* "$dir"/..?*; do
		n=${f##*/}
		case $n in 'lost+found' | novatui-*) continue ;; esac
		exists "$f" || continue
		if exists "$part/$n"; then refuse "$n is in $dir and in $part"; fi
		mv -- "$f" "$part/$n" || fail "mv $f"
	done
	[ -z "$(left_in "$dir")" ] || fail "$dir is not free"
	mv -- "$part" "$aside" || fail "mv $part"
	settle "$dir"
	echo 'result=moved'
	exit 0
fi

if ! exists "$dir"; then
	exists "$aside" && echo 'result=already' || echo 'result=nothing'
	exit 0
fi
[ -d "$dir" ] && [ ! -L "$dir" ] || refuse "$dir is not a directory"
if exists "$aside"; then
	refuse "$aside exists already"
fi
[ "${aside%/*}" = "${dir%/*}" ] || refuse "$aside is not beside $dir"
if is_mount "$dir"; then refuse "$dir is a mount point"; fi
not_held "$dir"
mv -- "$dir" "$aside" || fail "mv $dir $aside"
settle "${dir%/*}"
if exists "$dir"; then fail "$dir is still there"; fi
echo 'result=moved'
