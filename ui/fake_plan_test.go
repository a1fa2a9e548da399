package ui

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/workflows/engine"
)

func (f *fake) Snapshots(context.Context) ([]etcdops.SnapshotFile, error) {
	var out []etcdops.SnapshotFile
	for i, age := range []time.Duration{50 * time.Hour, 26 * time.Hour, 3 * time.Hour} {
		at := f.now().Add(-age)
		out = append(out, etcdops.SnapshotFile{Node: fmt.Sprintf("master-%d", i+1), SizeBytes: int64(38-i) * mib, Modified: at, TakenAt: at, Archive: true,
			NovaVersion: "6.0.1", KubernetesVersion: "1.27.11",
			Path: "/tmp/etcd_snapshot_nova-v6.0.1_k8s-v1.27.11_" + at.Format("2006-01-02T15-04-05") + ".db.tar.gz"})
	}
	return out, nil
}

func (f *fake) Plan(_ context.Context, r backend.PlanRequest) (engine.Plan, error) {
	f.wait(400 * time.Millisecond)
	f.mu.Lock()
	f.planned = append(f.planned, r)
	f.mu.Unlock()
	if f.planErr != nil {
		return engine.Plan{}, f.planErr
	}
	return f.plan(r), nil
}

func (f *fake) plan(r backend.PlanRequest) engine.Plan {
	p := engine.Plan{Schema: engine.PlanSchema, Procedure: string(r.Procedure), Cluster: f.Cluster().Name, Environment: f.Cluster().Environment,
		Tag: "20261103-140314", CreatedAt: f.now(), Estimate: 20, Nodes: []string{"master-1", "master-2", "master-3"}, Guards: f.planGuards()}
	node := "master-2"
	if len(r.Nodes) > 0 {
		node = r.Nodes[0]
	}
	if r.Procedure == etcdops.ProcedureRestart {
		p.Title = f.say("Restart etcd2 on "+node, "Перезапустить etcd2 на "+node)
		p.Kept = f.say("No data are touched.", "Данные не затрагиваются.")
		p.Stages = []engine.Stage{
			f.stage("restart", "Restart etcd2", "Перезапустить etcd2", node, remote.Change, "systemctl reset-failed etcd.service", "systemctl restart --no-block etcd.service"),
			f.stage("prove", "Prove it", "Доказать", node, remote.Read, "etcdctl endpoint health --cluster"),
		}
		return p
	}
	if r.Procedure == etcdops.ProcedureRollback {
		return f.rollbackPlan(p, r)
	}
	p.Title = f.say("Rejoin etcd2 on "+node, "Пересобрать etcd2 на "+node)
	p.Kept = f.say("Nothing is deleted: the broken data stay in /var/lib/etcd.novatui-1103.", "Ничего не удаляется: испорченные данные останутся в /var/lib/etcd.novatui-1103.")
	p.NoReturn = f.say("the membership of etcd2 is removed; its old data can never join again", "etcd2 исключён из состава; его старые данные больше не войдут в кластер")
	p.NoReturnStage = "remove"
	p.WayBack = msg.M("rejoin.way-back")
	if r.Procedure == etcdops.ProcedureRestore {
		p.NoReturn, p.NoReturnStage, p.NoReturnCosts, p.WayBack = msg.M("restore.no-return"), "start", true, msg.M("restore.way-back")
		p.Title = f.say("Restore the whole cluster (3 nodes) from a snapshot", "Восстановить весь кластер (3 узла) из снимка")
		p.Lost = []msg.Msg{f.say("Everything written after the snapshot of 2026-11-03 11:03 (revision 300 912): 205 revisions are known.", "Всё, что записано после снимка 2026-11-03 11:03 (ревизия 300 912): известно 205 ревизий.")}
		if f.state() == "one-down" {
			p.Guards = append(p.Guards, f.restoreBlock())
		}
	}
	p.Stages = []engine.Stage{
		f.stage("way-back", "Keep a way back", "Оставить путь назад", "master-3", remote.Read, "etcdctl snapshot save /var/lib/novatui/way-back.db", "etcdutl snapshot status /var/lib/novatui/way-back.db"),
		f.stage("stop", "Stop the broken member", "Остановить сломанного", node, remote.Change, "systemctl stop etcd.service", "systemctl mask --runtime etcd.service"),
		f.stage("remove", "Replace its membership", "Заменить членство", "master-1", remote.Destroy, "etcdctl member remove e42bdaa6ace5c691", "etcdctl member add etcd2 --learner --peer-urls=https://172.31.100.105:2380"),
		f.stage("aside", "Set its data aside", "Отставить данные", node, remote.Change, "mv -T /var/lib/etcd /var/lib/etcd.novatui-1103"),
		f.stage("env", "Point it at the cluster", "Направить в кластер", node, remote.Change, "novatui put-file /etc/etcd.env"),
		f.stage("start", "Start it", "Запустить", node, remote.Change, "systemctl unmask etcd.service", "systemctl start --no-block etcd.service"),
		f.stage("prove", "Prove it", "Доказать", "master-1", remote.Read, "etcdctl endpoint status --cluster -w json"),
	}
	return p
}

// rollbackPlan takes a full restore back whose new cluster was started.
func (f *fake) rollbackPlan(p engine.Plan, r backend.PlanRequest) engine.Plan {
	p.Undoes = r.Run
	p.Title = f.say("Roll back run "+r.Run+" (Restore the whole cluster)", "Откатить запуск "+r.Run+" (Восстановить весь кластер)")
	p.Kept = f.say("Nothing is deleted: the old data go back into place, the restored data stay beside them.", "Ничего не удаляется: старые данные вернутся на место, восстановленные останутся рядом.")
	p.Lost = []msg.Msg{f.say("What clients wrote into the restored cluster is no longer served.", "Записанное клиентами в восстановленный кластер перестанет быть доступно.")}
	p.NoReturn = f.say("A rollback repairs nothing. It ends where the run began: quorum is lost.", "Откат ничего не чинит. Он закончится там, где запуск начался: кворума нет.")
	p.WayBack = msg.M("rollback.way-back")
	p.Stages = []engine.Stage{
		f.stage("stop", "Stop etcd everywhere", "Остановить etcd везде", "master-1", remote.Change, "systemctl stop etcd.service"),
		f.stage("restored-aside", "Set the restored data aside", "Отложить восстановленные данные", "master-1", remote.Destroy, "mv -T /var/lib/etcd /var/lib/etcd.novatui-1104"),
		f.stage("back", "Put the old data back", "Вернуть старые данные", "master-1", remote.Destroy, "mv -T /var/lib/etcd.novatui-1103 /var/lib/etcd"),
		f.stage("prove", "Prove that all is as it was", "Доказать, что всё как было", "master-1", remote.Read, "etcdctl endpoint status --cluster -w json"),
	}
	return p
}

func (f *fake) stage(id, en, ru, node string, effect remote.Effect, lines ...string) engine.Stage {
	step := engine.Step{ID: id + "/" + node, Title: f.say(en, ru), Node: node, Effect: effect,
		Why:       f.say("The runbook says why this is done here and not later.", "В регламенте сказано, зачем это делается здесь, а не позже."),
		IfItFails: f.say("Nothing else was changed. Look at the message, then resume.", "Больше ничего не изменено. Прочтите сообщение и продолжите.")}
	for _, l := range lines {
		step.Commands = append(step.Commands, engine.NodeCommand{Node: node, Command: remote.Command{Argv: strings.Fields(l), Effect: effect, Timeout: time.Minute}})
	}
	return engine.Stage{ID: id, Title: f.say(en, ru), Steps: []engine.Step{step}}
}

func (f *fake) Start(_ context.Context, p engine.Plan, a engine.Approval) (backend.Run, error) {
	f.wait(300 * time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.approvals = append(f.approvals, a)
	if f.startErr != nil {
		return nil, f.startErr
	}
	f.runs++
	f.started = newFakeRun(f, p, f.ending)
	return f.started, nil
}
