//go:build linux

package main

import (
	"os"
	"strings"
)

// counters returns TCP's counters since the kernel was booted, by the names they have
// in /proc/net (proc_net(5)).
func counters() (string, error) {
	var all []string
	for _, table := range []string{"/proc/net/snmp", "/proc/net/netstat"} {
		text, err := os.ReadFile(table)
		if err != nil {
			return "", err
		}
		all = append(all, tcpCounters(string(text))...)
	}
	return strings.Join(all, " "), nil
}

// tcpCounters reads a table in which a line of names is followed by one of values,
// both beginning with the group's name.
func tcpCounters(table string) []string {
	var found []string
	lines := strings.Split(table, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) == 0 || names[0] != "Tcp:" && names[0] != "TcpExt:" {
			continue
		}
		for n := 1; n < min(len(names), len(values)); n++ {
			found = append(found, names[n]+"="+values[n])
		}
	}
	return found
}
