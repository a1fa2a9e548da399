# make-run-dir.sh DIR: makes the folder of a run, for its owner alone.
#include lib.sh
sane "$1"
if [ -L "$1" ]; then refuse "$1 is a link"; fi
mkdir -p -- "$1" || fail "mkdir $1"
chmod 700 -- "$1" || fail "chmod $1"
echo 'result=made'
