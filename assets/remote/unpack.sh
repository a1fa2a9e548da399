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

# A database is gigabytes, and decompressing is what takes the time: gzip's own
# decoder needs twice as long as zlib's, and handing all of it on to tar as long
# again as writing it (measured for 1 GiB: 8.0 s of a core beside 2.7 s). Most
# masters have Python, which knows zlib and compares the checksums as gzip does.
# tarfile reads the headers only, the content goes past it; 32 KiB stay in the
# processor's cache, and written sixteen at a time they cost the system less.
# glibc would give every buffer back to the system, and get it again as zeros.
in_python='
import os, sys, tarfile, zlib
limit = int(sys.argv[1])

class Inflated:
    # What is in the archive, read once from its beginning to its end: a seek
    # only ever goes forward here.
    archive, gz, ahead, left, n = open(0, "rb", 0), zlib.decompressobj(31), b"", b"", 0
    def inflate(self):
        out = b""
        while not out:
            if self.gz.eof: # another member may follow, and zeros
                while not self.ahead.strip(b"\0"):
                    self.ahead = self.archive.read(32768)
                    if not self.ahead: return b""
                self.gz = zlib.decompressobj(31)
            self.ahead = self.ahead or self.archive.read(32768)
            if not self.ahead: sys.exit(3)
            out = self.gz.decompress(self.ahead, 32768)
            self.ahead = self.gz.unused_data if self.gz.eof else self.gz.unconsumed_tail
        return out
    def some(self, most):
        out = self.left or self.inflate()
        out, self.left = out[:most], out[most:]
        self.n += len(out)
        if self.n > limit + 1048576: sys.exit(5)
        return out
    def read(self, size): # of headers, for tarfile
        if size > 1048576: sys.exit(4)
        out = part = self.some(size)
        while part and len(out) < size:
            part = self.some(size - len(out))
            out += part
        return out
    def tell(self): return self.n
    def seek(self, to):
        while self.n < to and self.some(to - self.n): pass

def write(parts):
    rest = sum(map(len, parts)) - os.writev(1, parts)
    while rest: rest -= os.write(1, b"".join(parts)[-rest:])

inflated, found, seen = Inflated(), 0, 0
try:
    archive = tarfile.open(fileobj=inflated, mode="r:")
    for m in archive:
        seen += 1
        if m.isdir() and seen <= 100: continue
        found += 1
        bad = m.name[:1] == "/" or ".." in m.name.split("/") or not m.name.isprintable() or chr(92) in m.name
        if bad or not m.isreg() or m.name[-3:] != ".db" or found > 1 or seen > 100: sys.exit(4)
        if m.size > limit: sys.exit(5)
        content, left, parts = inflated.some, m.size, []
        if m.issparse(): content = archive.extractfile(m).read
        else: inflated.seek(m.offset_data)
        while left:
            parts.append(content(min(left, 32768)))
            left -= len(parts[-1])
            if not parts[-1]: sys.exit(3)
            if len(parts) == 16 or not left:
                write(parts)
                parts = []
    while inflated.some(32768): pass
except OSError: sys.exit(6)
except (tarfile.TarError, zlib.error, ValueError): sys.exit(3)
if found != 1: sys.exit(4)
'
: >"$dest.part" || fail "writing $dest.part"
one='exactly one plain .db file with a safe name'
if python3 -IS -c 'import tarfile, zlib' 2>/dev/null; then
	(
		ulimit -f "$((max / 512 + 2))" 2>/dev/null || :
		if [ "$archive" != - ]; then exec <"$archive"; fi
		export MALLOC_TRIM_THRESHOLD_=16777216 MALLOC_MMAP_THRESHOLD_=16777216
		exec python3 -IS -c "$in_python" "$max" >"$dest.part" 2>/dev/null
	)
	status=$?
	[ "$(size "$dest.part")" -le "$max" ] || status=5
	case $status in
		0) ;;
		3) refuse "$archive cannot be read as a .tar.gz" ;;
		4) refuse "$archive does not hold $one" ;;
		5) refuse "the content of $archive is larger than $max bytes" ;;
		6) fail "writing $dest.part" ;;
		*) fail "unpacking $archive was cut off" ;;
	esac
	mv -- "$dest.part" "$dest" || fail "mv $dest.part"
	echo 'result=unpacked'
	exit 0
fi

# GNU tar lists on standard error what it extracts, so once is enough; others are
# asked for the list first, for which they need a file.
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

# extract: the archive's content on standard output, what is in it on standard
# error.
extract() {
	if [ -n "$gnu" ]; then exec tar -b 512 -xvvzOf "$archive"; fi
	exec tar -xzOf "$archive"
}
# tar writes straight into the file, which the system bounds (in blocks of 512
# bytes): a pipe to head would cost as much again as tar itself, and small
# records most of tar's own time (measured). Its status is written beside the
# listing.
said=$({
	(
		ulimit -f "$((max / 512 + 2))" 2>/dev/null || :
		extract
	) 2>&4 >"$dest.part"
	echo "status $?" >&4
} 4>&1 | head -n 200)
got=$(size "$dest.part")
[ "$got" -le "$max" ] || refuse "the content of $archive is larger than $max bytes"
status=$(printf '%s\n' "$said" | sed -n 's/^status \([0-9]*\)$/\1/p' | tail -n 1)
[ "${status:-200}" -lt 128 ] || fail "unpacking $archive was cut off"
case $said in *': Cannot write: '*) fail "writing $dest.part" ;; esac
[ "$status" = 0 ] || refuse "$archive cannot be read as a .tar.gz"
[ -z "$gnu" ] || told=$(printf '%s\n' "$said" | grep -v '^status 0$')
printf '%s\n' "$told" | one_db || refuse "$archive does not hold $one"
mv -- "$dest.part" "$dest" || fail "mv $dest.part"
echo 'result=unpacked'
