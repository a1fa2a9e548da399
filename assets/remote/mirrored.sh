# mirrored.sh RUNS LIMIT: the runs of which this node has a copy, at most LIMIT,
# newest first: a line "run=TAG ID PLANBYTES JOURNALBYTES BEGINNING-OF-LAST-LINE"
# each. Only names of plain characters are listed.
#include lib.sh
runs=$1 limit=$2
sane "$runs"
[ -d "$runs" ] || exit 0
# The names begin with the time of planning.
ls -r -- "$runs" 2>/dev/null | while read -r tag; do
	case $tag in *[!0-9A-Za-z_-]* | '') continue ;; esac
	[ -d "$runs/$tag/run" ] || continue
	for d in "$runs/$tag/run"/*; do
		id=${d##*/}
		case $id in *[!0-9A-Za-z_-]* | '') continue ;; esac
		if [ -f "$d/plan.json" ] && [ -f "$d/journal.jsonl" ]; then
			printf 'run=%s %s %s %s %s\n' "$tag" "$id" "$(size "$d/plan.json")" "$(size "$d/journal.jsonl")" \
				"$(tail -c 65536 "$d/journal.jsonl" | tail -n 1 | head -c 300 | tr -cd '[:print:]')"
		fi
	done
done | head -n "$limit"
