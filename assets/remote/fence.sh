# fence.sh LEASE TARGET COMMAND…: runs a command if the lease is still its
# sender's. Nothing of it runs otherwise.
if [ "$(readlink "$1" 2>/dev/null)" != "$2" ]; then
	printf '%s\n' "novatui-fence: $2 does not hold this node" >&2
	exit 97
fi
shift 2
exec "$@"
