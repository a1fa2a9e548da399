# unpack.sh ARCHIVE DEST MAXBYTES: extracts the one *.db file of a .tar.gz.
# The content goes through a pipe into DEST, so that no name in the archive
# decides where anything is written.
#include lib.sh
archive=$1 dest=$2 max=$3
unset TAR_OPTIONS
sane "$dest"
[ -f "$archive" ] || refuse "$archive is not there"

# one_db: reads a listing; true when it names exactly one plain file, *.db, with
# a name that leads nowhere else.
one_db() {
	awk '
		/^d/ { next }
		!/^-/ || / link to / || /\\/ { bad = 1; next }
		{
			files++
			# mode, owner, size, date, time, name
			sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ /, "")
			if (/^\// || /(^|\/)\.\.(\/|$)/ || !/\.db$/) bad = 1
		}
		END { exit !(files == 1 && !bad && NR <= 100) }'
}

if exists "$dest"; then
	[ -f "$dest" ] && [ ! -L "$dest" ] || refuse "$dest is not a plain file"
	want=$(tar -xzOf "$archive" 2>/dev/null | head -c "$((max + 1))" | wc -c | tr -d ' ')
	[ "$(size "$dest")" = "$want" ] || refuse "$dest is there with another size"
	echo 'result=already'
	exit 0
fi
[ -d "${dest%/*}" ] || refuse "${dest%/*} is not a directory"
if [ -L "$dest.part" ]; then refuse "$dest.part is a link"; fi

# A database is gigabytes, and decompressing is what takes the time. GNU tar
# lists on standard error what it extracts, so once is enough; others are asked
# for the list first.
told='' flags=-xzOf
case $(tar --version 2>/dev/null) in
	*'GNU tar'*) flags=-xvvzOf ;;
	*)
		told=$(tar -tzvf "$archive" 2>/dev/null | head -n 200)
		# Their listings have columns of their own; the plain one has the names.
		printf '%s\n' "$told" | awk '/^d/ { next } !/^-/ || / link to / { bad = 1 } END { exit bad }' ||
			refuse "$archive does not hold exactly one plain file"
		told=$(tar -tzf "$archive" 2>/dev/null | head -n 200 | sed -e '/\/$/d' -e 's/^/- - - - - /')
		;;
esac
# The statuses are lost in the pipe, so they are written beside the data.
said=$({
	{ tar "$flags" "$archive" 2>&4; echo "status $?" >&4; } |
		{ head -c "$((max + 1))" >"$dest.part" || echo 'status write' >&4; }
} 4>&1 | head -n 200)
got=$(size "$dest.part")
[ "$got" -le "$max" ] || refuse "the content of $archive is larger than $max bytes"
case $said in *'status write'*) fail "writing $dest.part" ;; esac
status=$(printf '%s\n' "$said" | sed -n 's/^status \([0-9]*\)$/\1/p' | tail -n 1)
[ "${status:-200}" -lt 128 ] || fail "unpacking $archive was cut off"
[ "$status" = 0 ] || refuse "$archive cannot be read as a .tar.gz"
[ "$flags" = -xzOf ] || told=$(printf '%s\n' "$said" | grep -v '^status 0$')
printf '%s\n' "$told" | one_db || refuse "$archive does not hold exactly one plain .db file with a safe name"
settle "$dest.part"
mv -- "$dest.part" "$dest" || fail "mv $dest.part"
settle "${dest%/*}"
echo 'result=unpacked'
