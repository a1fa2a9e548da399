# make-dir.sh DIR USER GROUP MODE LABEL: makes a directory, or gives owner,
# mode and label to one that is there and empty.
#include lib.sh
dir=$1
sane "$dir"
if exists "$dir"; then
	[ -d "$dir" ] && [ ! -L "$dir" ] || refuse "$dir is not a directory"
	[ -z "$(left_in "$dir")" ] || refuse "$dir is not empty"
else
	mkdir -p -- "$dir" || fail "mkdir $dir"
fi
give "$dir" "$2" "$3" "$4" "$5"
settle "${dir%/*}"
echo 'result=made'
