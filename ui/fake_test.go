package ui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/workflows/engine"
)

// The fake stands for the program, not for a cluster: the wizard's behaviour
// over a real lab is tested by whoever wires it up (cmd). What it shows is
// deterministic, in both languages.

const mib = 1 << 20

// epoch is when every test begins.
var epoch = time.Date(2026, 11, 3, 14, 3, 0, 0, time.UTC)

type fake struct {
	lang     string
	scenario string // healthy, one-down, quorum-lost, unreachable, outside
	ending   string // of a run: done, failed, unknown
	now      func() time.Time
	paced    func(time.Duration) // waits in the demo; nil in tests
	prod     bool
	drill    bool
	nodes    int
	hold     string // the type of a message that the driver loses, so that its sender seems to hang

	mu         sync.Mutex
	cured      bool
	questions  []backend.Question
	unfinished []engine.RunInfo
	connectErr map[string]error
	collectErr error
	planErr    error
	startErr   error
	approvals  []engine.Approval
	planned    []backend.PlanRequest
	saved      []string
	runs       int
	looks      int // how often Collect was asked; tests only, the demo does not read it
	started    *fakeRun
}

func newFake(lang, scenario string, now func() time.Time) *fake {
	f := &fake{lang: lang, scenario: scenario, ending: "done", now: now, prod: true, nodes: 3, connectErr: map[string]error{}}
	if scenario == "unreachable" {
		f.connectErr["master-3"] = &backend.ConnectError{Kind: "unreachable", Err: errors.New("dial tcp 172.31.100.106:22: i/o timeout")}
	}
	return f
}

// say is a message in the fake's language.
func (f *fake) say(en, ru string) msg.Msg {
	if f.lang == "ru" {
		return msg.Raw(ru)
	}
	return msg.Raw(en)
}

func (f *fake) wait(d time.Duration) {
	if f.paced != nil {
		f.paced(d)
	}
}

var addresses = []string{"172.31.100.97", "172.31.100.105", "172.31.100.106", "172.31.100.107", "172.31.100.108"}

func (f *fake) Cluster() backend.ClusterInfo {
	info := backend.ClusterInfo{Name: "nova-prod", Environment: "production", Platform: "systemd", StateDir: "/home/ops/.local/state/novatui"}
	if !f.prod {
		info.Name, info.Environment = "drill", "lab"
	}
	if f.drill {
		info.Drill = "corrupt-db"
		info.DrillGoal = f.say("The database of one member is broken. Bring the cluster back to health and prove it.",
			"У одного участника сломана база. Верните кластер в строй и докажите это.")
	}
	for i := range f.nodes {
		info.Nodes = append(info.Nodes, backend.NodeInfo{Name: fmt.Sprintf("master-%d", i+1), Address: addresses[i]})
	}
	return info
}

func (f *fake) Connect(ctx context.Context, node string, progress func(string)) error {
	for _, p := range []string{"resolve", "tcp", "host-key", "auth", "privilege", "ready"} {
		progress(p)
		if f.hold == "screens.connected" && p == "host-key" {
			break
		}
		f.wait(150 * time.Millisecond)
		if p == "tcp" && f.connectErr[node] != nil {
			f.wait(time.Second)
			return f.connectErr[node]
		}
	}
	return nil
}

// errNoMore is what the real one returns when all transports are closed.
var errNoMore = errors.New("no more questions")

func (f *fake) NextQuestion(ctx context.Context) (backend.Question, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.questions) == 0 {
		return backend.Question{}, errNoMore
	}
	q := f.questions[0]
	f.questions = f.questions[1:]
	return q, nil
}

func (f *fake) state() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cured {
		return "healthy"
	}
	return f.scenario
}

func (f *fake) node(i int) etcdops.NodeFacts {
	name := fmt.Sprintf("master-%d", i+1)
	id := []string{"8e9e05c52164694d", "e42bdaa6ace5c691", "91bc3c398fb3c146", "fd422379fda50e48", "a1b2c3d4e5f60718"}[i]
	n := etcdops.NodeFacts{
		Node: name, Address: addresses[i], Reachable: true,
		Host: etcdops.HostFacts{Hostname: name, SkewMillis: int64(3 * i)},
		Unit: etcdops.UnitFacts{Name: "etcd.service", Load: "loaded", Active: "active", Sub: "running", Result: "success", UnitFile: "enabled", SinceSeconds: 86400 * 12},
		Env: etcdops.EnvFacts{Path: "/etc/etcd.env", Exists: true, Values: map[string]string{
			"ETCD_NAME": fmt.Sprintf("etcd%d", i+1), "ETCD_DATA_DIR": "/var/lib/etcd", "ETCD_INITIAL_CLUSTER_STATE": "existing"}},
		Versions: etcdops.ToolVersions{Etcd: "3.7.3", Etcdctl: "3.7.3", Etcdutl: "3.7.3"},
		Data: etcdops.DirFacts{Path: "/var/lib/etcd", Exists: true, Owner: "etcd", Group: "etcd", Mode: "0700", HasMember: true,
			SizeBytes: 212 * mib, FreeBytes: 62 * mib * 1024 / 100, TotalBytes: mib * 1024},
		Certs:  []etcdops.CertFacts{{Path: "/etc/ssl/etcd/ssl/node.pem", Use: "server", Subject: "CN=etcd-node", NotAfter: epoch.Add(211*24*time.Hour + time.Hour)}},
		Readyz: etcdops.ReadyzFacts{Asked: true, OK: true},
		Ports:  []etcdops.PortFact{{Port: 2379, Use: "client", Listening: true, PID: 811, Process: "etcd"}, {Port: 2380, Use: "peer", Listening: true, PID: 811, Process: "etcd"}},
		Endpoint: etcdops.EndpointFacts{ClientURL: "https://" + addresses[i] + ":2379", Asked: true, Answers: true, Healthy: true,
			TookMillis: int64(2 + i), ClusterID: "dae05cd826ec589", MemberID: id, LeaderID: "8e9e05c52164694d", Version: "3.7.3",
			RaftTerm: 5, RaftIndex: 376222, Applied: 376222, Revision: 301117, DBSize: 151 * 1000 * 1000, DBSizeInUse: 98 * 1000 * 1000, Hash: "2c7f9a10"},
	}
	for j, t := range []string{
		`{"level":"info","msg":"established TCP streaming connection with remote peer","remote-peer-id":"8e9e05c52164694d"}`,
		`{"level":"info","msg":"saved snapshot","snapshot-index":370037}`,
	} {
		n.Journal = append(n.Journal, etcdops.LogLine{N: j + 1, Time: epoch.Add(time.Duration(j) * time.Second), Text: t})
	}
	return n
}

func breakNode(n *etcdops.NodeFacts) {
	n.Unit = etcdops.UnitFacts{Name: "etcd.service", Load: "loaded", Active: "activating", Sub: "auto-restart", Result: "exit-code", UnitFile: "enabled", ExitStatus: 2, Restarts: 14, SinceSeconds: 8}
	n.Endpoint = etcdops.EndpointFacts{ClientURL: n.Endpoint.ClientURL, Asked: true, Error: "dial tcp: connection refused"}
	n.Readyz.OK = false
	for i := range n.Ports {
		n.Ports[i].Listening = false
	}
	n.Journal = append(n.Journal,
		etcdops.LogLine{N: 3, Time: epoch.Add(14 * time.Second), Text: "panic: failed to open database: invalid database"},
		etcdops.LogLine{N: 4, Time: epoch.Add(14 * time.Second), Text: "goroutine 1 [running]: go.etcd.io/etcd/server/v3/storage/backend.newBackend"},
		etcdops.LogLine{N: 5, Time: epoch.Add(15 * time.Second), Text: "etcd.service: Main process exited, code=exited, status=2/INVALIDARGUMENT"},
	)
}

func (f *fake) facts() etcdops.Facts {
	facts := etcdops.Facts{CollectedAt: f.now(), MembersFrom: "linearizable", Config: etcdops.Config{Cluster: "nova-prod", Environment: "production"}}
	state := f.state()
	for i := range f.nodes {
		n := f.node(i)
		switch {
		case state == "one-down" && i == 1, state == "outside" && i == 1, state == "quorum-lost" && i > 0:
			breakNode(&n)
		case state == "quorum-lost":
			n.Endpoint.Healthy, n.Endpoint.LeaderID = false, ""
			n.Readyz.OK = false
		case state == "unreachable" && i == 2:
			n = etcdops.NodeFacts{Node: n.Node, Address: n.Address, ErrorKind: "unreachable", Error: "dial tcp 172.31.100.106:22: i/o timeout", Env: n.Env}
		}
		facts.Nodes = append(facts.Nodes, n)
		facts.Members = append(facts.Members, etcdops.Member{ID: n.Endpoint.MemberID, Name: fmt.Sprintf("etcd%d", i+1), Node: n.Node})
	}
	return facts
}

func (f *fake) Status(context.Context) (etcdops.Facts, error) { return f.facts(), nil }

func (f *fake) Collect(context.Context) (etcdops.Facts, etcdops.Verdict, []backend.Assessed, error) {
	f.wait(700 * time.Millisecond)
	f.mu.Lock()
	f.looks++
	f.mu.Unlock()
	if f.collectErr != nil {
		return etcdops.Facts{}, etcdops.Verdict{}, nil, f.collectErr
	}
	facts := f.facts()
	v := f.verdict(facts)
	return facts, v, f.assess(v), nil
}

func (f *fake) verdict(facts etcdops.Facts) etcdops.Verdict {
	v := etcdops.Verdict{State: etcdops.ClusterHealthy, Quorum: etcdops.Quorum{Voters: f.nodes, Healthy: f.nodes, Needed: f.nodes/2 + 1, Holds: true}}
	for i, m := range facts.Members {
		v.Members = append(v.Members, etcdops.MemberVerdict{Member: m, Node: m.Node, State: etcdops.StateHealthy, Healthy: true, Leader: i == 0, Sound: true, SoundKnown: true,
			Why: f.say("a linearizable read through it succeeded", "линеаризуемое чтение через него удалось")})
	}
	state := f.state()
	switch state {
	case "healthy":
		v.Headline = f.say("All three members are healthy. Quorum holds: 3 healthy, 2 needed. Writes work.", "Все три участника исправны. Кворум есть: исправны 3, нужны 2. Запись работает.")
		v.Recommended = etcdops.Recommendation{Procedure: etcdops.ProcedureNone, Why: f.say("Nothing to do: all members are healthy.", "Делать нечего: все участники исправны.")}
	case "one-down", "outside":
		f.oneDown(&v, state)
	case "quorum-lost":
		v.State, v.Quorum.Healthy, v.Quorum.Holds = etcdops.ClusterQuorumLost, 0, false
		v.Headline = f.say("Quorum is lost: 1 of three members answers, 2 needed. Nothing can be written.", "Кворум потерян: отвечает 1 из трёх, нужны 2. Запись не работает.")
		v.Second = f.say("etcd2 and etcd3: their data are gone (certain).", "etcd2 и etcd3: данные пропали (точно).")
		for i := range v.Members {
			v.Members[i].Healthy, v.Members[i].Leader, v.Members[i].Lag = false, false, -1
			v.Members[i].State = etcdops.StateFailed
			v.Members[i].Sound = false
		}
		v.Members[0].State, v.Members[0].Sound = etcdops.StateNoQuorum, true
		v.Recommended = etcdops.Recommendation{Procedure: etcdops.ProcedureRestore, Nodes: []string{"master-1", "master-2", "master-3"},
			Why: f.say("Restore all members from the newest verified snapshot: no majority can come back.", "Восстановить всех из самого свежего проверенного снимка: большинства не вернуть.")}
	case "unreachable":
		v.State, v.Quorum.Healthy = etcdops.ClusterDegraded, 2
		v.Headline = f.say("One host does not answer. Quorum holds: 2 healthy, 2 needed. Writes work.", "Один узел не отвечает. Кворум есть: исправны 2, нужны 2. Запись работает.")
		v.Members[2].State, v.Members[2].Healthy, v.Members[2].SoundKnown, v.Members[2].Lag = etcdops.StateUnreachable, false, false, -1
		v.Recommended = etcdops.Recommendation{Procedure: etcdops.ProcedureFixCause, Nodes: []string{"master-3"}, Why: f.say("Bring the host back first.", "Сначала верните узел.")}
	}
	return v
}

func (f *fake) oneDown(v *etcdops.Verdict, state string) {
	v.State, v.Quorum.Healthy = etcdops.ClusterDegraded, 2
	v.Members[1].State, v.Members[1].Healthy, v.Members[1].Sound, v.Members[1].Lag = etcdops.StateFailed, false, false, -1
	v.Members[1].Why = f.say("systemd restarts it again and again: 14 restarts so far", "systemd перезапускает его снова и снова: уже 14 раз")
	v.Headline = f.say("One of three members is down. Quorum holds: 2 healthy, 2 needed. Writes work.", "Не работает один участник из трёх. Кворум есть: исправны 2, нужны 2. Запись работает.")
	v.Second = f.say("etcd2 on master-2: its database file is broken (certain).", "etcd2 на master-2: файл базы испорчен (точно).")
	v.Causes = []etcdops.Cause{{
		ID: "db-corrupt", Node: "master-2", Confidence: etcdops.Certain, Data: true,
		Title:    f.say("broken database file", "испорчен файл базы"),
		Why:      f.say("etcd reads its database when it starts, and this one cannot be read.", "При запуске etcd читает базу, а эту прочитать нельзя."),
		Evidence: []etcdops.Evidence{{Source: "log", Node: "master-2", Line: 3, Text: "panic: failed to open database: invalid database"}, {Source: "unit", Node: "master-2", Text: "activating (auto-restart), NRestarts=14"}},
		Do:       []msg.Msg{f.say("rejoin the member", "пересоберите участника")},
		DoNot:    []msg.Msg{f.say("delete the data directory", "не удаляйте каталог данных")},
	}}
	v.Recommended = etcdops.Recommendation{Procedure: etcdops.ProcedureRejoin, Nodes: []string{"master-2"}, Why: f.say("Rejoin master-2: its data are of no use (broken database file), and the others hold quorum.", "Пересобрать master-2: его данные непригодны (испорчен файл базы), кворум держат остальные.")}
	if state == "outside" {
		v.Causes[0].ID, v.Causes[0].Data, v.Causes[0].Outside = "cert-expired", false, true
		v.Causes[0].Title = f.say("expired certificate", "истёк сертификат")
		v.Recommended = etcdops.Recommendation{Procedure: etcdops.ProcedureFixCause, Nodes: []string{"master-2"}, Why: f.say("Renew the certificate, then restart.", "Обновите сертификат, потом перезапустите.")}
	}
}

func (f *fake) finding(id, result, en, ru string) engine.Finding {
	return engine.Finding{ID: id, Title: f.say(strings.ReplaceAll(id, "-", " "), strings.ReplaceAll(id, "-", " ")), Result: engine.GuardResult(result), Reason: f.say(en, ru)}
}

func (f *fake) assess(v etcdops.Verdict) []backend.Assessed {
	blocked := func(p etcdops.Procedure, nodes []string, id, en, ru string) backend.Assessed {
		return backend.Assessed{Procedure: p, Nodes: nodes, Verdict: backend.Blocked, Why: f.say(en, ru), Guards: []engine.Finding{f.finding(id, "block", en, ru)}}
	}
	all := []string{"master-1", "master-2", "master-3"}
	switch f.state() {
	case "one-down":
		return []backend.Assessed{
			{Procedure: etcdops.ProcedureRestart, Nodes: []string{"master-2"}, Verdict: backend.Allowed,
				Why: f.say("not useful: tried 14 times, the same panic each time", "бесполезно: 14 попыток, каждый раз та же паника")},
			{Procedure: etcdops.ProcedureRejoin, Nodes: []string{"master-2"}, Verdict: backend.Allowed, Guards: f.planGuards()},
			blocked(etcdops.ProcedureSalvage, all, "quorum-holds", "quorum holds", "кворум есть"),
			{Procedure: etcdops.ProcedureRestore, Nodes: all, Verdict: backend.Confirm,
				Why:    f.say("quorum holds, and the data is newer than any snapshot", "кворум есть, и данные новее любого снимка"),
				Guards: []engine.Finding{f.restoreBlock()}},
		}
	case "quorum-lost":
		return []backend.Assessed{
			{Procedure: etcdops.ProcedureRestart, Nodes: all[1:], Verdict: backend.Allowed, Why: f.say("will not bring the data back", "данных не вернёт")},
			blocked(etcdops.ProcedureRejoin, all[1:2], "quorum-holds-remove", "quorum is lost: the membership cannot be changed", "кворум потерян: состав менять нельзя"),
			{Procedure: etcdops.ProcedureSalvage, Nodes: all, Verdict: backend.Allowed, Why: f.say("etcd1 still has newer data than the snapshot", "у etcd1 данные новее снимка")},
			{Procedure: etcdops.ProcedureRestore, Nodes: all, Verdict: backend.Allowed, Guards: f.planGuards()},
		}
	}
	return []backend.Assessed{
		blocked(etcdops.ProcedureRestart, all, "member-down", "every member is up", "все участники работают"),
		blocked(etcdops.ProcedureRejoin, all[:1], "remove-healthy", "a healthy member is never removed", "исправный участник не исключается"),
		blocked(etcdops.ProcedureSalvage, all, "quorum-holds", "quorum holds", "кворум есть"),
		blocked(etcdops.ProcedureRestore, all, "restore-while-quorum", "quorum holds", "кворум есть"),
	}
}

func (f *fake) restoreBlock() engine.Finding {
	b := f.finding("restore-while-quorum", "block", "quorum holds: a restore throws away what was written since the snapshot", "кворум есть: восстановление выбросит записанное после снимка")
	b.Override = "restore anyway"
	return b
}

func (f *fake) planGuards() []engine.Finding {
	out := []engine.Finding{f.finding("clock", "warn", "the clock of master-3 is 1.2 s ahead", "часы master-3 спешат на 1,2 с")}
	for _, id := range []string{"quorum-holds-remove", "remove-healthy", "one-at-a-time", "cause-outside-data", "data-dir-sane", "space", "identity", "versions", "certs-valid", "lease", "way-back"} {
		out = append(out, f.finding(id, "pass", "as it must be", "как должно быть"))
	}
	return out
}

func (f *fake) Unfinished(context.Context) ([]engine.RunInfo, error) { return f.unfinished, nil }

func (f *fake) ResumeRun(_ context.Context, id string) (backend.Run, engine.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.startErr != nil {
		return nil, engine.Plan{}, f.startErr
	}
	p := f.plan2()
	f.runs++
	f.started = newFakeRun(f, p, "done")
	return f.started, p, nil
}

// plan2 is the rejoin plan without taking the lock.
func (f *fake) plan2() engine.Plan {
	return f.plan(backend.PlanRequest{Procedure: etcdops.ProcedureRejoin, Nodes: []string{"master-2"}})
}

func (f *fake) Report(_ context.Context, run backend.Run) (backend.Report, error) {
	f.wait(500 * time.Millisecond)
	proof := func(en, ru, d string) backend.Proof {
		return backend.Proof{Title: f.say(en, ru), Result: backend.Proved, Detail: msg.Raw(d), Evidence: []string{"etcdctl endpoint status --cluster -w json", d}}
	}
	r := backend.Report{
		Path: "/home/ops/.local/state/novatui/runs/" + run.ID() + "/report.md", Markdown: "# Report\n\nProved healthy.\n", Proved: true,
		Headline: f.say("Proved healthy at 14:05:02, 1 min 51 s after the start.", "Доказано в 14:05:02, через 1 мин 51 с после начала: кластер исправен."),
		Proofs: []backend.Proof{
			proof("all three members started and healthy", "все три участника запущены и исправны", "3 / 3"),
			proof("one leader", "один лидер", "etcd1 (8e9e05c52164694d)"),
			proof("one cluster ID", "один ID кластера", "dae05cd826ec589"),
			proof("the same hash at one revision", "одинаковый хеш на одной ревизии", "2c7f9a10 @ 301 140"),
			proof("no alarms", "тревог нет", ""),
			proof("API ready on every node", "API готов на всех узлах", "3 / 3"),
		},
		Changes: []backend.Change{{Node: "master-1", Text: f.say("membership of etcd2 removed and added again", "членство etcd2 убрано и добавлено снова")},
			{Node: "master-2", Text: f.say("/var/lib/etcd set aside, /etc/etcd.env written, etcd restarted", "/var/lib/etcd отставлен, /etc/etcd.env записан, etcd перезапущен")}},
		Todo:    []backend.Todo{{Text: f.say("Save a snapshot of the healed cluster.", "Снимите снимок здорового кластера."), Procedure: "backup", Nodes: []string{"master-3"}}},
		Files:   []backend.File{{Title: f.say("set-aside data", "отставленные данные"), Node: "master-2", Path: "/var/lib/etcd.novatui-1103"}},
		Cleanup: []backend.Cleanup{{Node: "master-2", Line: "rm -r -- /var/lib/etcd.novatui-1103"}},
	}
	if f.state() != "healthy" {
		r.Proved = false
		r.Headline = f.say("Not proved: etcd2 is not in the cluster.", "Не доказано: etcd2 не в кластере.")
		r.Proofs[0].Result = backend.Disproved
		r.Proofs[3].Result = backend.Unproved
	}
	return r, nil
}

func (f *fake) Save(_ context.Context, name string, content []byte) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saved = append(f.saved, name+"\n"+string(content))
	return "/home/ops/.local/state/novatui/" + name, nil
}
