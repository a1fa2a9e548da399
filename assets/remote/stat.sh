# stat.sh PATH…: what each path is, one block of lines KEY=VALUE a path.
#include lib.sh
for p in "$@"; do
	printf 'path=%s\n' "$p"
	if [ -L "$p" ]; then kind='link'
	elif [ -d "$p" ]; then kind='dir'
	elif [ -f "$p" ]; then kind='file'
	elif [ -e "$p" ]; then kind='other'
	else kind='absent'; fi
	printf 'kind=%s\n' "$kind"
	if [ "$kind" != absent ]; then
		printf 'meta=%s\nselinux=%s\n' "$(meta "$p")" "$(label "$p")"
	fi
	if [ "$kind" = dir ]; then
		if [ -r "$p" ] && [ -z "$(left_in "$p")" ]; then echo 'empty=1'; fi
		if [ -d "$p/member" ]; then echo 'member=1'; fi
		if is_mount "$p"; then echo 'mount=1'; fi
	fi
	at=$(present "$p")
	printf 'df=%s\nparent=%s\n' "$(space "$at")" "$(meta "$at")"
done
