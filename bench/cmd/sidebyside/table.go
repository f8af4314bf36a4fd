package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxLate is how late the simulator may be on average before a run measures the
// machine, in milliseconds. The shortest packet takes some 12 ms at 33,600 bit/s.
const maxLate = 2

func (r result) late() bool { return r.LateMS > maxLate }

// table prints the table of kept results.
func table(paths []string) error {
	var list []result
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var r result
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			list = append(list, r)
		}
	}
	newBoard(list).print(os.Stdout)
	return nil
}

// board finds results by scene, mode and client. Of several of the same the last counts.
type board map[string]result

func newBoard(list []result) board {
	b := make(board)
	for _, r := range list {
		b[r.Preset+"/"+r.Profile+"/"+r.Mode+"/"+r.Client] = r
	}
	return b
}

// at is the result of a trial, if there is one.
func (b board) at(s scene, c contender, mode string) (result, bool) {
	r, ok := b[trial{s, c, mode}.String()]
	return r, ok
}

// print writes the table in Markdown, and below it what went wrong.
func (b board) print(w io.Writer) {
	head := []string{"line, mail", "bound s"}
	for _, c := range contenders {
		head = append(head, c.title)
	}
	head = append(head, "best peer / Outpost")
	fmt.Fprintf(w, "| %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("--:|", len(head)-1))
	var notes []string
	for _, s := range scenes {
		cells, faults := b.row(s)
		if cells == nil {
			continue
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		notes = append(notes, faults...)
	}
	if len(notes) > 0 {
		fmt.Fprintf(w, "\n- %s\n", strings.Join(notes, "\n- "))
	}
}

// row is a scene's cells, or nil if nothing of it was run, and what went wrong.
func (b board) row(s scene) (cells, faults []string) {
	bound := 0.0
	var figures []string
	for _, c := range contenders {
		var pair [2]string
		for i, mode := range modes {
			r, ok := b.at(s, c, mode)
			pair[i] = none
			if !ok {
				continue
			}
			bound = r.BoundS
			pair[i] = r.cell()
			if note := r.fault(); note != "" {
				faults = append(faults, fmt.Sprintf("%s %s %s, %s: %s", s.preset, s.profile, mode, c.title, note))
			}
		}
		figures = append(figures, join(pair[0], pair[1]))
	}
	if bound == 0 {
		return nil, nil
	}
	cells = append([]string{s.preset + " " + s.profile, fmt.Sprintf("%.1f", bound)}, figures...)
	return append(cells, join(b.gain(s, "plain"), b.gain(s, "tls"))), faults
}

// join makes a cell of the figures of both modes.
func join(plain, tls string) string {
	if plain == none && tls == none {
		return none
	}
	return plain + " / " + tls
}

// none stands for what wasn't run.
const none = "–"

// cell is a figure for the table.
func (r result) cell() string {
	switch {
	case !r.OK:
		return "FAIL"
	case r.late():
		return fmt.Sprintf("%.1f?", r.LinkS)
	default:
		return fmt.Sprintf("%.1f", r.LinkS)
	}
}

// fault says why a figure can't be trusted, or "".
func (r result) fault() string {
	if !r.OK {
		missing := func(t tally) string {
			return fmt.Sprintf("of %d %d missing, %d twice, %d altered", t.Expected, t.Missing, t.Twice, t.Foreign)
		}
		return fmt.Sprintf("FAIL after %.1f s: out, %s; in, %s; %d left in the boxes", r.LinkS, missing(r.Out), missing(r.In), r.Left)
	}
	if r.late() {
		return fmt.Sprintf("the simulator was %.1f ms late on average", r.LateMS)
	}
	return ""
}

// gain is how many times as long as Outpost's later calls the best peer takes.
func (b board) gain(s scene, mode string) string {
	peer, own := 0.0, 0.0
	for _, c := range contenders {
		r, ok := b.at(s, c, mode)
		switch {
		case !ok || !r.OK || r.LinkS == 0:
		case c.script == product:
			own = r.LinkS // the last of them is the later call
		case peer == 0 || r.LinkS < peer:
			peer = r.LinkS
		}
	}
	if peer == 0 || own == 0 {
		return none
	}
	return fmt.Sprintf("%.1f", peer/own)
}
