# prove-stopped.sh UNIT port:N… dir:PATH…: status 0 when etcd is surely down,
# 4 with the reasons on stdout when it is not, 1 when it cannot be told.
#include lib.sh
unit=$1
shift
no=''
say() { printf '%s\n' "$*"; no=1; }

state=$(unit_prop "$unit" ActiveState)
case $state in
	inactive | failed) ;;
	'') fail "systemctl says nothing about $unit" ;;
	*) say "$unit is $state" ;;
esac
pid=$(unit_prop "$unit" MainPID)
case $pid in '' | 0) ;; *) say "$unit has the main process $pid" ;; esac

ports=$(listening)
for a in "$@"; do
	case $a in
		port:*)
			if printf '%s\n' "$ports" | grep -q -E -- ":${a#port:}( |\$)"; then say "something listens on port ${a#port:}"; fi ;;
		dir:*)
			d=${a#dir:}
			[ -d "$d" ] || continue
			pids=$(holders "$d") || fail "cannot tell whether a process holds $d"
			[ -z "$pids" ] || say "$d is held by process $(printf '%s' "$pids" | tr '\n' ' ')" ;;
		*) fail "argument $a" ;;
	esac
done
[ -z "$no" ] || exit 4
echo 'result=stopped'
