package lab

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

// pair is one key with its value.
type pair struct{ key, value string }

// dataset is what a lab's cluster is filled with, in order.
type dataset struct {
	before  []pair   // written first
	updates []pair   // then one by one: a revision each
	deletes []string // then these are deleted, one by one
	after   []pair   // written after the snapshot was taken
}

// Sizes of a dataset besides the number of keys.
const (
	defaultKeys    = 3000
	datasetUpdates = 300
	datasetDeletes = 60
	datasetAfter   = 40
)

// kind is one kind of object in a dataset.
type kind struct {
	prefix  string // below /registry
	api     string
	name    string
	share   int  // of a hundred keys
	global  bool // not in a namespace
	payload func(r *rand.Rand) map[string]any
}

var namespaces = []string{
	"default", "kube-system", "kube-public", "kube-node-lease", "nova-system", "nova-monitoring", "nova-ingress",
	"nova-backup", "billing", "orders", "payments", "warehouse",
}

var kinds = []kind{
	{"pods", "v1", "Pod", 16, false, podPayload},
	{"configmaps", "v1", "ConfigMap", 12, false, textPayload},
	{"secrets", "v1", "Secret", 10, false, secretPayload},
	{"events", "v1", "Event", 24, false, eventPayload},
	{"leases", "coordination.k8s.io/v1", "Lease", 6, false, leasePayload},
	{"replicasets", "apps/v1", "ReplicaSet", 8, false, workloadPayload},
	{"deployments", "apps/v1", "Deployment", 5, false, workloadPayload},
	{"serviceaccounts", "v1", "ServiceAccount", 6, false, emptyPayload},
	{"services/specs", "v1", "Service", 4, false, servicePayload},
	{"endpointslices", "discovery.k8s.io/v1", "EndpointSlice", 4, false, servicePayload},
	{"clusterroles", "rbac.authorization.k8s.io/v1", "ClusterRole", 3, true, textPayload},
	{"customresourcedefinitions", "apiextensions.k8s.io/v1", "CustomResourceDefinition", 2, true, bigPayload},
}

// makeDataset makes keys pairs that look like a Kubernetes cluster's. The same
// seed gives the same data, apart from time stamps.
func makeDataset(keys int, seed uint64) dataset {
	r := rand.New(rand.NewPCG(seed, 0x6e6f7661)) //nolint:gosec // content of a training lab
	var d dataset
	for i := range keys {
		p := makePair(r, pickKind(r), i)
		d.before = append(d.before, p)
	}
	for range min(datasetUpdates, keys) {
		i := r.IntN(keys)
		d.updates = append(d.updates, pair{d.before[i].key, makePair(r, kinds[0], i).value})
	}
	for _, i := range r.Perm(keys)[:min(datasetDeletes, keys/10)] {
		d.deletes = append(d.deletes, d.before[i].key)
	}
	for i := range datasetAfter {
		d.after = append(d.after, makePair(r, kinds[i%2*3], keys+i))
	}
	return d
}

func pickKind(r *rand.Rand) kind {
	n := r.IntN(100)
	for _, k := range kinds {
		if n -= k.share; n < 0 {
			return k
		}
	}
	return kinds[0]
}

func makePair(r *rand.Rand, k kind, i int) pair {
	ns := namespaces[r.IntN(len(namespaces))]
	name := fmt.Sprintf("%s-%s-%05d", words[r.IntN(len(words))], suffix(r, 5), i)
	meta := map[string]any{
		"name": name, "uid": fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.Uint32N(1<<16), r.Uint32N(1<<12), r.Uint32N(1<<12), r.Uint64N(1<<48)),
		"creationTimestamp": time.Now().Add(-time.Duration(r.IntN(1e7)) * time.Second).UTC().Format(time.RFC3339),
		"labels":            map[string]string{"app.kubernetes.io/name": words[r.IntN(len(words))], "pod-template-hash": suffix(r, 10)},
	}
	key := "/registry/" + k.prefix + "/" + ns + "/" + name
	if k.global {
		key = "/registry/" + k.prefix + "/" + name
	} else {
		meta["namespace"] = ns
	}
	body := map[string]any{"apiVersion": k.api, "kind": k.name, "metadata": meta}
	for field, value := range k.payload(r) {
		body[field] = value
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic("dataset: " + err.Error()) // maps of plain values always marshal
	}
	return pair{key, string(b)}
}

var words = []string{
	"api", "auth", "billing", "cache", "catalog", "controller", "coredns", "exporter", "frontend", "gateway",
	"ingress", "ledger", "mailer", "metrics", "notifier", "operator", "orders", "payments", "proxy", "queue",
	"registry", "scheduler", "search", "session", "storage", "vault", "warehouse", "worker",
}

const alphabet = "bcdfghjklmnpqrstvwxz2456789" // as Kubernetes' random suffixes

func suffix(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func prose(r *rand.Rand, count int) string {
	b := make([]byte, 0, count*8)
	for range count {
		b = append(append(b, words[r.IntN(len(words))]...), ' ')
	}
	return string(b)
}

func emptyPayload(*rand.Rand) map[string]any { return nil }

func textPayload(r *rand.Rand) map[string]any {
	return map[string]any{"data": map[string]string{"config.yaml": prose(r, 20+r.IntN(120)), "level": "info"}}
}

func bigPayload(r *rand.Rand) map[string]any {
	return map[string]any{"spec": map[string]any{"group": "nova.example", "schema": prose(r, 800+r.IntN(1200))}}
}

// secretPayload is random bytes, which do not compress: a snapshot of a real
// cluster does not either.
func secretPayload(r *rand.Rand) map[string]any {
	b := make([]byte, 200+r.IntN(1500))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return map[string]any{"type": "Opaque", "data": map[string]string{"token": base64.StdEncoding.EncodeToString(b)}}
}

func eventPayload(r *rand.Rand) map[string]any {
	return map[string]any{
		"reason": "Scheduled", "type": "Normal", "count": r.IntN(50), "message": prose(r, 12),
		"source": map[string]string{"component": "default-scheduler"},
	}
}

func leasePayload(r *rand.Rand) map[string]any {
	return map[string]any{"spec": map[string]any{
		"holderIdentity": fmt.Sprintf("master-%d", 1+r.IntN(3)), "leaseDurationSeconds": 40,
		"renewTime": time.Now().UTC().Format(time.RFC3339Nano),
	}}
}

func podPayload(r *rand.Rand) map[string]any {
	return map[string]any{
		"spec": map[string]any{
			"nodeName": fmt.Sprintf("worker-%d", 1+r.IntN(9)), "serviceAccountName": "default",
			"containers": []map[string]any{{
				"name": "main", "image": "registry.nova.internal/apps/" + words[r.IntN(len(words))] + ":v1." + fmt.Sprint(r.IntN(40)),
				"args": []string{"--config=/etc/app/config.yaml"}, "env": prose(r, 40+r.IntN(60)),
				"resources": map[string]any{"requests": map[string]string{"cpu": "100m", "memory": "128Mi"}},
			}},
		},
		"status": map[string]any{"phase": "Running", "podIP": fmt.Sprintf("10.233.%d.%d", r.IntN(64), 1+r.IntN(250)), "conditions": prose(r, 30)},
	}
}

func workloadPayload(r *rand.Rand) map[string]any {
	return map[string]any{"spec": map[string]any{
		"replicas": 1 + r.IntN(5), "template": podPayload(r),
	}, "status": map[string]any{"observedGeneration": r.IntN(100)}}
}

func servicePayload(r *rand.Rand) map[string]any {
	return map[string]any{"spec": map[string]any{
		"clusterIP": fmt.Sprintf("10.233.%d.%d", r.IntN(64), 1+r.IntN(250)), "type": "ClusterIP",
		"ports": []map[string]any{{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}},
	}}
}
