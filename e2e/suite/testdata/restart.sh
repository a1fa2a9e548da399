# The runbook's restart of etcd on master-2, typed as one script.
. "${0%/*}/lib.sh"
on master-2 "systemctl status etcd; journalctl -u etcd -n 20 --no-pager" >/dev/null || true
on master-2 "systemctl reset-failed etcd; systemctl restart --no-block etcd"
healthy master-2
prove
