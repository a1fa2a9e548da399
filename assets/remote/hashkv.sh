# hashkv.sh FILE SCRATCH TOOL…: runs TOOL on a copy of FILE, because etcdutl
# hashkv opens the file for writing, after which its hash is wrong (measured,
# 3.7.3). The copy's content is dropped at the end, so that it takes no room.
#include lib.sh
file=$1 scratch=$2
shift 2
sane "$scratch"
[ -f "$file" ] || refuse "$file is not there"
if [ -L "$scratch" ]; then refuse "$scratch is a link"; fi
free=$(space "${scratch%/*}")
free=${free#* }
if [ -n "$free" ] && [ "$(($(size "$file") / 1024))" -ge "$free" ]; then refuse "no room in ${scratch%/*}"; fi
cp -- "$file" "$scratch" || fail "cp $file"
"$@" "$scratch" --write-out=json
status=$?
: >"$scratch"
exit "$status"
