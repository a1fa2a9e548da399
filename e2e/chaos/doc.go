// Package chaos is the fault campaign: random faults at random moments of
// random procedures, all of it decided from a seed before it begins, in the lab
// (make chaos, a slice of it in make test) and on real machines (make
// chaos-e2e). After each run one judge, who looks from outside and asks nothing
// of novatui, checks the promises:
//
//   - A: the old data are there, renamed and never deleted, byte for byte what
//     was broken;
//   - B: a verified copy was on another node before the first step that destroys;
//   - C: at no moment two clusters served, and none that was superseded serves
//     again;
//   - D: what the journal says is done is done, and what it says was never begun
//     was not;
//   - E: a refusal changed nothing, and "proved" was said only when it was so;
//
// and the membership, the hashes, and every write that was acknowledged.
//
// A failure prints its seed and the command that repeats it. The scenario is the
// same every time; at what microsecond a process dies is not.
package chaos
