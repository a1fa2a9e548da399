# unpack.sh ARCHIVE|- DEST MAXBYTES [SHA256]: extracts the one *.db file of a
# .tar.gz; "-" is standard input. The content goes through a pipe into DEST, so
# that no name in the archive decides where anything is written. A DEST that has
# the SHA256 is left alone, and one that has not is renamed first. What is new is
# not compared here (restore.sh does it, at a time when it costs nothing), and
# not forced onto the disk: it can be had again from the archive.
#include lib.sh
archive=$1 dest=$2 max=$3 want=${4:-}
unset TAR_OPTIONS
sane "$dest"
[ "$archive" = - ] || [ -f "$archive" ] || refuse "$archive is not there"

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
	if [ -n "$want" ]; then
		same=''
		[ "$(sum "$dest")" != "$want" ] || same=1
	else
		got=$(tar -xzOf "$archive" 2>/dev/null | head -c "$((max + 1))" | wc -c | tr -d ' ')
		[ "$(size "$dest")" = "$got" ] || refuse "$dest is there with another size"
		same=1
	fi
	if [ -n "$same" ]; then
		# Whoever sends is not cut off in the middle of a write.
		[ "$archive" != - ] || cat >/dev/null
		echo 'result=already'
		exit 0
	fi
	# The power failed before it was on the disk, or somebody touched it.
	i=1
	while exists "$dest.failed-$i"; do i=$((i + 1)); done
	mv -- "$dest" "$dest.failed-$i" || fail "mv $dest"
fi
[ -d "${dest%/*}" ] || refuse "${dest%/*} is not a directory"
if [ -L "$dest.part" ]; then refuse "$dest.part is a link"; fi

# A database is gigabytes, and decompressing is what takes the time. GNU tar
# lists on standard error what it extracts, so once is enough; others are asked
# for the list first, for which they need a file.
told='' gnu=''
case $(tar --version 2>/dev/null) in
	*'GNU tar'*) gnu=1 ;;
	*)
		if [ "$archive" = - ]; then
			archive=$dest.tar.gz
			if [ -L "$archive" ]; then refuse "$archive is a link"; fi
			head -c "$((max + 1048576))" >"$archive" || fail "writing $archive"
		fi
		told=$(tar -tzvf "$archive" 2>/dev/null | head -n 200)
		# Their listings have columns of their own; the plain one has the names.
		printf '%s\n' "$told" | awk '/^d/ { next } !/^-/ || / link to / { bad = 1 } END { exit bad }' ||
			refuse "$archive does not hold exactly one plain file"
		told=$(tar -tzf "$archive" 2>/dev/null | head -n 200 | sed -e '/\/$/d' -e 's/^/- - - - - /')
		;;
esac
# gzip's own decoder takes twice as long as zlib's (measured: 4.6 s of a core
# beside 2.4 s for 1 GiB), and most masters have Python, which knows zlib and
# compares the checksum as gzip does.
inflate='
import sys, zlib
i, o = sys.stdin.buffer, sys.stdout.buffer
b = i.read(32768)
while True:
    d = zlib.decompressobj(31)
    while not d.eof:
        if not b: sys.exit(1)
        o.write(d.decompress(b))
        b = d.unused_data if d.eof else i.read(32768)
    while not b.strip(b"\0"):
        b = i.read(32768)
        if not b: o.flush(); sys.exit(0)
'
zlib=''
if [ -n "$gnu" ] && python3 -IS -c 'import zlib' 2>/dev/null; then zlib=1; fi

# extract: the archive's content on standard output, what is in it on standard
# error, with the status of who decompressed where it was not tar's own child.
extract() {
	if [ -n "$zlib" ]; then
		{ python3 -IS -c "$inflate" 2>/dev/null || echo 'inflate failed' >&4; } | tar -b 512 -xvvOf -
		return
	fi
	if [ -n "$gnu" ]; then exec tar -b 512 -xvvzOf "$archive"; fi
	exec tar -xzOf "$archive"
}
# tar writes straight into the file, which the system bounds (in blocks of 512
# bytes): a pipe to head would cost as much again as tar itself, and small
# records most of tar's own time (measured). Its status is written beside the
# listing.
: >"$dest.part" || fail "writing $dest.part"
said=$({
	(
		ulimit -f "$((max / 512 + 2))" 2>/dev/null || :
		if [ -n "$zlib" ] && [ "$archive" != - ]; then exec <"$archive"; fi
		extract
	) 2>&4 >"$dest.part"
	echo "status $?" >&4
} 4>&1 | head -n 200)
got=$(size "$dest.part")
[ "$got" -le "$max" ] || refuse "the content of $archive is larger than $max bytes"
status=$(printf '%s\n' "$said" | sed -n 's/^status \([0-9]*\)$/\1/p' | tail -n 1)
[ "${status:-200}" -lt 128 ] || fail "unpacking $archive was cut off"
case $said in *': Cannot write: '*) fail "writing $dest.part" ;; esac
case $said in *'inflate failed'*) status=2 ;; esac
[ "$status" = 0 ] || refuse "$archive cannot be read as a .tar.gz"
[ -z "$gnu" ] || told=$(printf '%s\n' "$said" | grep -v '^status 0$')
printf '%s\n' "$told" | one_db || refuse "$archive does not hold exactly one plain .db file with a safe name"
mv -- "$dest.part" "$dest" || fail "mv $dest.part"
echo 'result=unpacked'
