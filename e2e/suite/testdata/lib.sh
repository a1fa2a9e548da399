# What the three runbooks share. LAB is the lab's folder; a node's SSH port is
# read from the lab's cluster file, as an operator would look it up once.
set -eu
on() { # on NODE COMMAND-LINE
	node=$1
	shift
	port=$(sed -n "s/.*name: $node,.*port: \([0-9]*\).*/\1/p" "$LAB/novatui.yaml")
	ssh -q -F none -i "$LAB/id_ed25519" -o UserKnownHostsFile="$LAB/known_hosts" -o IdentitiesOnly=yes -p "$port" ops@127.0.0.1 "$@"
}
# ctl NODE ARGS: etcdctl on the node with the variables of its env file.
ctl() {
	node=$1
	shift
	on "$node" "set -a; . $LAB/$node/etc/etcd.env; set +a; $LAB/$node/opt/etcd/etcdctl $*"
}
all="master-1 master-2 master-3"
env_of() { sed -n "s/^$2=//p" "$LAB/$1/etc/etcd.env" | tr -d '"'; }
healthy() { # healthy NODE...: waits until etcdctl says so
	for n in "$@"; do
		until ctl "$n" endpoint health >/dev/null 2>&1; do sleep 0.5; done
	done
}
# prove: every endpoint healthy, hashes looked at.
prove() {
	healthy $all
	for n in $all; do
		ctl "$n" endpoint status -w json
		ctl "$n" endpoint hashkv -w json
		ctl "$n" alarm list
	done >/dev/null
	ctl master-1 member list >/dev/null
}
# whole FILE-ON-NODE: the checksum that etcd appends is right.
whole() {
	on "$1" "f=$2; [ \$((\$(wc -c <\$f) % 512)) = 32 ] && [ \"\$(head -c -32 \$f | sha256sum | cut -d' ' -f1)\" = \"\$(tail -c 32 \$f | od -An -v -tx1 | tr -d ' \n')\" ]"
}
