# The runbook's replacement of the member on master-2, typed as one script, with
# the precautions that novatui takes.
. "${0%/*}/lib.sh"
keep=$LAB/master-3/var/lib/runbook
on master-3 "mkdir -p $keep"
ctl master-3 snapshot save $keep/snapshot.db >/dev/null 2>&1
whole master-3 $keep/snapshot.db
on master-1 "mkdir -p $LAB/master-1/var/lib/runbook"
on master-3 "cat $keep/snapshot.db" | on master-1 "cat > $LAB/master-1/var/lib/runbook/snapshot.db"
whole master-1 $LAB/master-1/var/lib/runbook/snapshot.db
on master-2 "systemctl mask etcd; systemctl stop etcd; systemctl show etcd -p ActiveState" >/dev/null 2>&1
id=$(ctl master-3 member list | sed -n 's/^\([0-9a-f]*\), [a-z]*, etcd2,.*/\1/p')
ctl master-3 member remove "$id" >/dev/null
data=$(env_of master-2 ETCD_DATA_DIR)
on master-2 "mv $data $data.runbook-$(date +%s)"
peer=$(env_of master-2 ETCD_INITIAL_ADVERTISE_PEER_URLS)
until added=$(ctl master-3 member add etcd2 --learner --peer-urls="$peer" 2>/dev/null); do sleep 1; done
new=$(printf '%s\n' "$added" | sed -n 's/^Member *\([0-9a-f]*\) added.*/\1/p')
initial=$(printf '%s\n' "$added" | sed -n 's/^ETCD_INITIAL_CLUSTER="\(.*\)"/\1/p')
on master-2 "cp -p $LAB/master-2/etc/etcd.env $LAB/master-2/etc/etcd.env.runbook
sed -i 's|^ETCD_INITIAL_CLUSTER_STATE=.*|ETCD_INITIAL_CLUSTER_STATE=existing|; s|^ETCD_INITIAL_CLUSTER=.*|ETCD_INITIAL_CLUSTER=$initial|' $LAB/master-2/etc/etcd.env
mkdir -m 700 $data; systemctl unmask etcd; systemctl reset-failed etcd; systemctl start --no-block etcd" >/dev/null 2>&1
until ctl master-3 member promote "$new" >/dev/null 2>&1; do sleep 0.5; done
prove
