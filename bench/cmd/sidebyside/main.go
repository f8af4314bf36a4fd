// Sidebyside runs Outpost and its peers on the same lines with the same mail, and
// makes one table of it.
//
//	sidebyside run [--select REGEXP] [--parallel N] [--results FILE]
//	    every case, or those whose "preset/profile/mode/client" matches, by bench.sh
//	    (beside the folder of this binary), several at a time; prints the table
//	sidebyside table FILE...
//	    the table of what was kept in these files
//	sidebyside row --name CLIENT --mode MODE --calls N --begin T --end T --status N RUN_DIR
//	    one run as a line of JSON: what bench.sh prints
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func([]string) error{"run": run, "table": table, "row": row}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: sidebyside run|table|row ...")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		os.Exit(1)
	}
}
