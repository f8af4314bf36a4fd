package config

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with a configuration.
type Fault struct {
	// Where is the key as a person would look for it, such as `box "ann".port`.
	Where string
	// Value is what stands there, "" when nothing does. A secret is never put
	// here.
	Value string
	// Rule says what is wanted.
	Rule string
}

func (f Fault) String() string {
	if f.Value == "" {
		return f.Where + ": " + f.Rule
	}
	return fmt.Sprintf("%s = %s: %s", f.Where, f.Value, f.Rule)
}

// Faults is everything wrong with one file. It is an error when not empty.
type Faults struct { //nolint:errname // a list of them, before it is an error
	File string
	List []Fault
}

func (f *Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d fault", f.File, len(f.List))
	if len(f.List) != 1 {
		b.WriteByte('s')
	}
	for _, fault := range f.List {
		b.WriteString("\n  ")
		b.WriteString(fault.String())
	}
	return b.String()
}

func (f *Faults) add(where, value, rule string, args ...any) {
	f.List = append(f.List, Fault{Where: where, Value: value, Rule: fmt.Sprintf(rule, args...)})
}

// orNil gives the faults as an error, nil when there is none.
func (f *Faults) orNil() error {
	if len(f.List) == 0 {
		return nil
	}
	return f
}
