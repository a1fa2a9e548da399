# lease.sh take|renew|release|look DIR TOKEN [RECORD [OVER]]: the lease of a run
# on this node. DIR/lease is a link to DIR/lease.TOKEN, the holder's own file
# with its record: making a link that is there already fails, so that only one
# can take it; and whoever renews or releases touches no file but its own, so
# that one who lost the lease meanwhile does no harm. It removes nothing but
# links DIR/lease* and files DIR/lease.TOKEN that a lease made.
#include lib.sh
what=$1 dir=$2 token=$3
sane "$dir"
lease=$dir/lease mine=$dir/lease.$token
holder() {
	at=$(readlink "$lease" 2>/dev/null)
	at=${at#lease.}
	case $at in
		*[!0-9a-f]* | '') if exists "$lease"; then printf '%s' '-'; fi ;;
		*) printf '%s' "$at" ;;
	esac
}
# describe: who has it, and how many seconds ago it was renewed, by this node's
# own clock.
describe() {
	h=$(holder)
	printf 'held=%s\n' "$h"
	[ -n "$h" ] || return 0
	m=$(meta "$dir/lease.$h") || m=$(meta "$lease")
	printf 'age=%s\n' "$(($(date +%s) - ${m##* }))"
	[ -f "$dir/lease.$h" ] && printf 'record=%s\n' "$(head -c 8192 "$dir/lease.$h" | head -n 1)"
	return 0
}
# take_away TOKEN: the link, if it is still TOKEN's. What was taken is looked at
# once more, and put back when somebody else was quicker.
take_away() {
	[ "$(holder)" = "$1" ] || return 1
	mv -- "$lease" "$lease-of-$token" || fail "mv $lease"
	at=$(readlink "$lease-of-$token")
	if [ "$at" != "lease.$1" ]; then
		ln -s "$at" "$lease" 2>/dev/null
		rm -f -- "$lease-of-$token"
		return 1
	fi
	rm -f -- "$lease-of-$token" "$dir/lease.$1"
}
# record RECORD: into the own file, in one step.
record() { printf '%s\n' "$1" >"$mine.new" && mv -- "$mine.new" "$mine"; }

case $token in *[!0-9a-f]* | '') [ "$what" = look ] || refuse "$token is no token" ;; esac
case $what in
	look) describe ;;
	take)
		if [ -L "$dir" ]; then refuse "$dir is a link"; fi
		mkdir -p -- "$dir" || fail "mkdir $dir"
		record "$4" || fail "writing $mine"
		settle "$mine"
		if [ -n "$5" ]; then take_away "$5"; fi
		if ! exists "$lease"; then ln -s "lease.$token" "$lease" 2>/dev/null; fi
		if [ "$(holder)" = "$token" ]; then settle "$dir"; else rm -f -- "$mine"; fi
		describe
		;;
	renew)
		if [ "$(holder)" = "$token" ]; then
			# A full disk takes no new record; the time of the old one will do.
			record "$4" 2>/dev/null || touch -c -- "$mine"
		fi
		describe
		;;
	release)
		take_away "$token"
		rm -f -- "$mine" "$mine.new"
		rmdir -- "$dir" 2>/dev/null
		describe
		;;
	*) fail "argument $what" ;;
esac
