# The runbook's full restore, typed as one script, with the precautions that
# novatui takes. SNAPSHOT is the archive on master-1.
. "${0%/*}/lib.sh"
stamp=$(date +%s)
initial="" token=runbook-$stamp
for n in $all; do
	initial="$initial${initial:+,}$(env_of $n ETCD_NAME)=$(env_of $n ETCD_INITIAL_ADVERTISE_PEER_URLS)"
done
for n in $all; do
	keep=$LAB/$n/var/lib/runbook-$stamp
	on $n "mkdir -p $keep"
	on master-1 "cat $SNAPSHOT" | on $n "cat > $keep/snapshot.tar.gz"
	on $n "tar -xzOf $keep/snapshot.tar.gz > $keep/snapshot.db; sha256sum $keep/snapshot.db" >/dev/null
	whole $n $keep/snapshot.db
done
for n in $all; do
	on $n "systemctl mask etcd; systemctl stop etcd; systemctl show etcd -p ActiveState" >/dev/null 2>&1
done
for n in $all; do
	data=$(env_of $n ETCD_DATA_DIR)
	on $n "mv $data $data.runbook-$stamp
$LAB/$n/opt/etcd/etcdutl snapshot restore $LAB/$n/var/lib/runbook-$stamp/snapshot.db --name=$(env_of $n ETCD_NAME) --initial-cluster=$initial --initial-cluster-token=$token --initial-advertise-peer-urls=$(env_of $n ETCD_INITIAL_ADVERTISE_PEER_URLS) --data-dir=$data --bump-revision=1000000000 --mark-compacted
chmod 700 $data
cp -p $LAB/$n/etc/etcd.env $LAB/$n/etc/etcd.env.runbook-$stamp
sed -i 's|^ETCD_INITIAL_CLUSTER_STATE=.*|ETCD_INITIAL_CLUSTER_STATE=new|; s|^ETCD_INITIAL_CLUSTER=.*|ETCD_INITIAL_CLUSTER=$initial|; s|^ETCD_INITIAL_CLUSTER_TOKEN=.*|ETCD_INITIAL_CLUSTER_TOKEN=$token|' $LAB/$n/etc/etcd.env" >/dev/null 2>&1
done
for n in $all; do
	on $n "systemctl unmask etcd; systemctl reset-failed etcd; systemctl start --no-block etcd" >/dev/null 2>&1
done
prove
ctl master-1 get / --prefix --count-only --write-out=fields >/dev/null
