# hold.sh hold|release UNIT DROPINS: keeps a unit from starting, also after a
# reboot, or lets it start again.
#include lib.sh
what=$1 unit=$2 dropins=$3
conf="$dropins/$unit.d/90-novatui-hold.conf"
held() {
	[ "$(unit_prop "$unit" LoadState)" = masked ] && return 0
	case $(unit_prop "$unit" DropInPaths) in *90-novatui-hold.conf*) return 0 ;; esac
	return 1
}
case $what in
	hold)
		if held; then
			echo 'result=already'
			exit 0
		fi
		# mask refuses when a plain unit file lies where its link would go.
		if systemctl mask "$unit" >/dev/null 2>&1 && held; then
			echo 'result=masked'
			exit 0
		fi
		mkdir -p -- "${conf%/*}" || fail "mkdir ${conf%/*}"
		chmod 755 -- "${conf%/*}"
		printf '%s\n' '# Made by novatui while it works on etcd; removed at the end of the run.' \
			'[Unit]' 'ConditionPathExists=/nonexistent/held-down-by-novatui' >"$conf" || fail "writing $conf"
		chmod 644 -- "$conf"
		settle "$conf"
		systemctl daemon-reload || fail 'systemctl daemon-reload'
		held || fail "systemd would still start $unit"
		echo 'result=held'
		;;
	release)
		if exists "$conf"; then
			# A name that does not end in .conf is no drop-in.
			mv -- "$conf" "$conf.released" || fail "mv $conf"
			systemctl daemon-reload || fail 'systemctl daemon-reload'
		fi
		case $(unit_prop "$unit" LoadState) in
			masked) systemctl unmask "$unit" >/dev/null || fail "systemctl unmask $unit" ;;
		esac
		if held; then fail "systemd still refuses to start $unit"; fi
		echo 'result=released'
		;;
	*) fail "argument $what" ;;
esac
