package main

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
)

// scene is a line and the mail that waits on both its ends.
type scene struct {
	preset, profile string
	// seconds the slowest client takes, roughly. What takes longest begins first.
	seconds int
}

// scenes are the table's rows.
var scenes = []scene{
	{"landline33", "day", 220}, {"landline33", "tiny", 30}, {"landline33", "boxes", 185}, {"landline33", "empty", 15},
	{"v90", "day", 180},
	{"gsm", "quarter", 220}, {"gsm", "tiny", 105}, {"gsm", "boxes", 650},
	{"iridium", "tiny", 365},
	{"certus", "day", 180}, {"certus", "tiny", 60}, {"certus", "boxes", 420}, {"certus", "empty", 35},
}

// contender is who is compared.
type contender struct {
	name   string // in results
	title  string // in the table
	script string // in clients/
	env    []string
	calls  int
	share  float64 // of the scene's seconds, roughly
}

// contenders are the table's columns. The peers remember nothing between calls
// that a first call would give them, but for Postfix's TLS sessions.
var contenders = []contender{
	{"fetchmail-postfix", "fetchmail, Postfix", "fetchmail-postfix.sh", nil, 1, 1},
	{"tuned", "tuned, 4 fetchmail", "fetchmail-postfix-tuned.sh", []string{"FETCHERS=4"}, 1, 0.6},
	{"mpop-msmtp", "4 mpop, 4 msmtp", "mpop-msmtp.sh", []string{"JOBS=4"}, 1, 0.6},
	{"outpost-first", "Outpost, first call", product, nil, 1, 0.4},
	{"outpost", "Outpost, later", product, nil, 2, 0.6},
}

// product is the script of what is measured; the others are its peers.
const product = "outpost.sh"

// modes are the two figures of a cell.
var modes = []string{"plain", "tls"}

// trial is one measurement.
type trial struct {
	scene
	contender
	mode string
}

// String is what --select is matched against.
func (t trial) String() string {
	return t.preset + "/" + t.profile + "/" + t.mode + "/" + t.name
}

// environment is what bench.sh is told.
func (t trial) environment() []string {
	return append([]string{"BENCH_BUILT=1", "NAME=" + t.name, "MODE=" + t.mode, "CALLS=" + strconv.Itoa(t.calls)}, t.env...)
}

// trials lists what matches, longest first.
func trials(match *regexp.Regexp) []trial {
	var list []trial
	for _, s := range scenes {
		for _, c := range contenders {
			for _, mode := range modes {
				if t := (trial{s, c, mode}); match.MatchString(t.String()) {
					list = append(list, t)
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b trial) int {
		return cmp.Compare(b.share*float64(b.seconds), a.share*float64(a.seconds))
	})
	return list
}
