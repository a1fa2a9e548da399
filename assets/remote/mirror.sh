# mirror.sh look|append|aside FILE [OFFSET] <content: a copy of one of a run's
# own files. append puts what arrives behind the first OFFSET bytes, and writes
# nothing when the file has another size; aside renames a copy that is another.
#include lib.sh
what=$1 file=$2
sane "$file"
if [ -L "$file" ]; then refuse "$file is a link"; fi
case $what in
	look)
		[ -f "$file" ] || { echo 'size=-1'; exit 0; }
		printf 'size=%s\nsum=%s\n' "$(size "$file")" "$(sum "$file")"
		;;
	append)
		mkdir -p -- "${file%/*}" || fail "mkdir ${file%/*}"
		have=0
		if [ -f "$file" ]; then have=$(size "$file"); fi
		if [ "$have" != "$3" ]; then
			printf 'size=%s\n' "$have"
			exit 4
		fi
		cat >>"$file" || fail "writing $file"
		settle "$file"
		printf 'size=%s\n' "$(size "$file")"
		;;
	aside)
		n=1
		while exists "$file.other-$n"; do n=$((n + 1)); done
		if [ -f "$file" ]; then mv -- "$file" "$file.other-$n" || fail "mv $file"; fi
		echo 'size=-1'
		;;
	*) fail "argument $what" ;;
esac
