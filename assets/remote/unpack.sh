# unpack.sh ARCHIVE DEST MAXBYTES: extracts the one *.db file of a .tar.gz.
# The content goes through a pipe into DEST, so that no name in the archive
# decides where anything is written.
#include lib.sh
archive=$1 dest=$2 max=$3
sane "$dest"
[ -f "$archive" ] || refuse "$archive is not there"
tar -tzvf "$archive" >/dev/null 2>&1 || refuse "$archive cannot be read as a .tar.gz"
tar -tzvf "$archive" 2>/dev/null | awk '
	/^d/ { next }
	/^-/ { if ($0 ~ / link to /) bad = 1; files++; next }
	{ bad = 1 }
	END { exit !(files == 1 && !bad && NR <= 100) }' ||
	refuse "$archive does not hold exactly one plain file"
tar -tzf "$archive" 2>/dev/null | awk '
	/^\// || /(^|\/)\.\.(\/|$)/ || /\\/ { bad = 1 }
	/\/$/ { next }
	{ if ($0 !~ /\.db$/) bad = 1; files++ }
	END { exit !(files == 1 && !bad) }' ||
	refuse "$archive holds names that are not safe, or no .db file"

if exists "$dest"; then
	[ -f "$dest" ] && [ ! -L "$dest" ] || refuse "$dest is not a plain file"
	want=$(tar -xzOf "$archive" 2>/dev/null | head -c "$((max + 1))" | wc -c | tr -d ' ')
	[ "$(size "$dest")" = "$want" ] || refuse "$dest is there with another size"
	echo 'result=already'
	exit 0
fi
[ -d "${dest%/*}" ] || refuse "${dest%/*} is not a directory"
if [ -L "$dest.part" ]; then refuse "$dest.part is a link"; fi
# tar's own status is lost in the pipe, so it is written beside the data.
status=$({ { tar -xzOf "$archive" 2>/dev/null; echo $? >&3; } | head -c "$((max + 1))" >"$dest.part"; } 3>&1)
got=$(size "$dest.part")
[ "$got" -le "$max" ] || refuse "the content of $archive is larger than $max bytes"
[ "$status" = 0 ] || fail "tar ended with status $status"
settle "$dest.part"
mv -- "$dest.part" "$dest" || fail "mv $dest.part"
settle "${dest%/*}"
echo 'result=unpacked'
