# discard.sh RUNS TAG NAME: takes the copy that was unpacked to look into an
# archive, RUNS/TAG/NAME, away again with what the look itself wrote beside it,
# and the folders if nothing else is in them. It is the only script that
# removes a file, and only in a folder that a look made for itself.
#include lib.sh
runs=$1 tag=$2 name=$3
sane "$runs"
case $tag in *-look) ;; *) refuse "$tag is not the tag of a look" ;; esac
case $tag$name in */*) refuse "$tag and $name are no plain names" ;; esac
dir=$runs/$tag
if [ -L "$dir" ]; then refuse "$dir is a link"; fi
for f in "$dir/$name" "$dir/$name.part"; do
	rm -f -- "$f" || fail "rm $f"
done
if [ -d "$dir" ]; then rmdir -- "$dir" || fail "rmdir $dir"; fi
rmdir -- "$runs" 2>/dev/null
echo 'result=gone'
