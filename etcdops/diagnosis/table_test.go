package diagnosis

import (
	"testing"

	"github.com/novatui/novatui/etcdops"
)

const (
	none     = etcdops.ProcedureNone
	restart  = etcdops.ProcedureRestart
	rejoin   = etcdops.ProcedureRejoin
	restore  = etcdops.ProcedureRestore
	salvage  = etcdops.ProcedureSalvage
	fixCause = etcdops.ProcedureFixCause
	healthy  = etcdops.ClusterHealthy
	degraded = etcdops.ClusterDegraded
	lost     = etcdops.ClusterQuorumLost
	split    = etcdops.ClusterSplit
)

// TestRemedyTable goes through procedures §2 row by row.
func TestRemedyTable(t *testing.T) {
	for _, c := range []verdictCase{
		// all healthy, hashes equal
		{"healthy", brokenBy(3, func(*etcdops.Facts) {}), healthy, "", none, "", false},
		{"healthy of five", brokenBy(5, func(*etcdops.Facts) {}), healthy, "", none, "", false},
		{"healthy alone", brokenBy(1, func(*etcdops.Facts) {}), healthy, "", none, "", false},

		// a minority down, no data cause
		{"one stopped", brokenBy(3, func(f *etcdops.Facts) { stopped(f, 2) }), degraded, "stopped-by-supervisor master-2", restart, "master-2", false},
		{"one killed again and again", brokenBy(3, func(f *etcdops.Facts) { killLooped(f, 2) }), degraded, "unknown master-2", restart, "master-2", false},
		{"one hung", brokenBy(3, func(f *etcdops.Facts) { hung(f, 2) }), degraded, "stopped-by-supervisor master-2", restart, "master-2", false},
		{"one silent", brokenBy(3, func(f *etcdops.Facts) { silent(f, 2) }), degraded, "unknown master-2", restart, "master-2", false},
		{"two of five stopped", brokenBy(5, func(f *etcdops.Facts) { stopped(f, 2); stopped(f, 4) }), degraded, "stopped-by-supervisor master-2", restart, "master-2", false},
		{"one stopped, whose disk had been slow", brokenBy(3, func(f *etcdops.Facts) {
			journal(stopped(f, 2), 1002, saysRunning, saysSlowDisk, saysSlowDisk, saysSlowDisk)
		}), degraded, "stopped-by-supervisor master-2", restart, "master-2", false},
		{"a majority stopped, whose disks had been slow", brokenBy(3, func(f *etcdops.Facts) {
			journal(stopped(f, 1), 1001, saysRunning, saysSlowDisk)
			journal(stopped(f, 2), 1002, saysRunning, saysSlowDisk)
			noLeader(f)
		}), lost, "stopped-by-supervisor master-1", restart, "master-1 master-2", false},

		// a minority down, a data cause
		{"broken db", brokenBy(3, func(f *etcdops.Facts) { badDB(f, 2) }), degraded, "db-corrupt master-2", rejoin, "master-2", false},
		{"broken WAL", brokenBy(3, func(f *etcdops.Facts) { badWAL(f, 3) }), degraded, "wal-corrupt master-3", rejoin, "master-3", false},
		{"wiped", brokenBy(3, func(f *etcdops.Facts) { wiped(f, 2) }), degraded, "already-bootstrapped master-2", rejoin, "master-2", false},
		{"stale data", brokenBy(3, func(f *etcdops.Facts) { staleData(f, 2) }), degraded, "raft-lost-log master-2", rejoin, "master-2", false},
		{"removed", brokenBy(3, func(f *etcdops.Facts) {
			n := crashing(f, 2)
			journal(n, 77, saysRunning, saysRemoved)
			f.Members = append(f.Members[:1:1], f.Members[2])
		}), degraded, "removed-member master-2", rejoin, "master-2", false},
		{"empty and only stopped", brokenBy(3, func(f *etcdops.Facts) { empty(stopped(f, 2)) }), degraded, "raft-lost-log master-2", rejoin, "master-2", false},
		{"two of five broken: one at a time", brokenBy(5, func(f *etcdops.Facts) { badWAL(f, 4); badDB(f, 2) }), degraded, "db-corrupt master-2", rejoin, "master-2", false},
		{"stopped before broken", brokenBy(5, func(f *etcdops.Facts) { stopped(f, 4); badDB(f, 2) }), degraded, "db-corrupt master-2", restart, "master-4", false},

		// the cause is outside the data
		{"disk full with a broken db", brokenBy(3, func(f *etcdops.Facts) {
			n := badDB(f, 2)
			n.Data.FreeBytes = 0
		}), degraded, "disk-full master-2", fixCause, "master-2", false},
		{"disk full, and room again", brokenBy(3, func(f *etcdops.Facts) {
			n := crashing(f, 2)
			journal(n, 77, saysRunning, saysNoSpace)
		}), degraded, "disk-full master-2", restart, "master-2", false},
		{"disk full, and not looked at", brokenBy(3, func(f *etcdops.Facts) {
			n := crashing(f, 2)
			n.Data.TotalBytes, n.Data.FreeBytes = 0, 0
			journal(n, 77, saysRunning, saysNoSpace)
		}), degraded, "disk-full master-2", fixCause, "master-2", false},
		{"port taken", brokenBy(3, func(f *etcdops.Facts) {
			n := crashing(f, 2)
			n.Ports[0] = etcdops.PortFact{Port: 2379, Use: "client", Listening: true, PID: 4242, Process: "nginx"}
		}), degraded, "port-in-use master-2", fixCause, "master-2", false},

		// data differ
		{"one differs", brokenBy(3, func(f *etcdops.Facts) { f.Nodes[2].Endpoint.Hash = "bad" }), degraded, "data-inconsistent master-3", rejoin, "master-3", false},
		{"two differ from each other, one down", brokenBy(3, func(f *etcdops.Facts) {
			f.Nodes[2].Endpoint.Hash = "bad"
			stopped(f, 1)
		}), degraded, "data-inconsistent", none, "", true},

		// quorum lost, enough can come back
		{"two stopped", brokenBy(3, func(f *etcdops.Facts) { stopped(f, 1); stopped(f, 3); noLeader(f) }), lost, "stopped-by-supervisor master-1", restart, "master-1 master-3", false},
		{"all stopped", brokenBy(3, func(f *etcdops.Facts) {
			stopped(f, 1)
			stopped(f, 2)
			stopped(f, 3)
			f.MembersFrom = "env"
		}), lost, "stopped-by-supervisor master-1", restart, "master-1 master-2 master-3", false},
		{"hung and killed", brokenBy(3, func(f *etcdops.Facts) { hung(f, 1); killLooped(f, 3); noLeader(f) }), lost, "stopped-by-supervisor master-1", restart, "master-1 master-3", false},
		{"stopped and broken", brokenBy(3, func(f *etcdops.Facts) { stopped(f, 1); badDB(f, 3); noLeader(f) }), lost, "db-corrupt master-3", restart, "master-1", false},

		// quorum lost, some sound data
		{"two wiped, one survivor", brokenBy(3, func(f *etcdops.Facts) { wiped(f, 1); wiped(f, 2); noLeader(f) }), lost, "already-bootstrapped master-1", salvage, "master-3", false},
		{"two broken, one stopped", brokenBy(3, func(f *etcdops.Facts) { badDB(f, 1); badWAL(f, 2); stopped(f, 3); noLeader(f) }), lost, "db-corrupt master-1", salvage, "master-3", false},

		// quorum lost, no sound data left
		{"all broken", brokenBy(3, func(f *etcdops.Facts) { badDB(f, 1); badDB(f, 2); badWAL(f, 3); noLeader(f) }), lost, "db-corrupt master-1", restore, "master-1 master-2 master-3", false},
		{"all wiped", brokenBy(3, func(f *etcdops.Facts) { empty(stopped(f, 1)); empty(stopped(f, 2)); empty(stopped(f, 3)); noLeader(f) }), lost, "raft-lost-log master-1", restore, "master-1 master-2 master-3", false},
		{"the only one broken", brokenBy(1, func(f *etcdops.Facts) { badDB(f, 1); noLeader(f) }), lost, "db-corrupt master-1", restore, "master-1", false},

		{"a stale one left that runs", brokenBy(3, func(f *etcdops.Facts) {
			badDB(f, 1)
			wiped(f, 2)
			noLeader(f)
			journal(&f.Nodes[2], 80, saysRunning, saysElection, saysLostLog)
			journal(&f.Nodes[2], 1003, saysRunning, saysElection)
		}), lost, "db-corrupt master-1", none, "", true},

		// a host does not answer
		{"one host away", brokenBy(3, func(f *etcdops.Facts) { unreachable(f, 2) }), degraded, "", fixCause, "master-2", false},
		{"host away, another broken", brokenBy(3, func(f *etcdops.Facts) { unreachable(f, 1); badDB(f, 2); noLeader(f) }), lost, "db-corrupt master-2", fixCause, "master-1", false},
		{"two hosts away, reads work", brokenBy(3, func(f *etcdops.Facts) { unreachable(f, 1); unreachable(f, 2) }), degraded, "", fixCause, "master-1 master-2", false},
		{"all hosts away", brokenBy(3, func(f *etcdops.Facts) {
			unreachable(f, 1)
			unreachable(f, 2)
			unreachable(f, 3)
			f.Members, f.MembersFrom = nil, ""
		}), lost, "quorum-lost", fixCause, "master-1 master-2 master-3", false},

		// the evidence does not decide
		{"unknown failure", brokenBy(3, func(f *etcdops.Facts) { weird(f, 2) }), degraded, "unknown master-2", none, "", true},
		{"unknown failure and a broken one", brokenBy(3, func(f *etcdops.Facts) { weird(f, 1); badDB(f, 2); noLeader(f) }), lost, "db-corrupt master-2", none, "", true},
		{"unknown failure everywhere", brokenBy(3, func(f *etcdops.Facts) { weird(f, 1); weird(f, 2); weird(f, 3); noLeader(f) }), lost, "unknown master-1", none, "", true},
		{"nothing given", func() etcdops.Facts { return etcdops.Facts{} }, etcdops.ClusterNotFormed, "", none, "", true},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, c) })
	}
}
