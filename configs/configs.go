// Package configs holds the configuration that comes with Outpost: the sample,
// which is the manual of every key, and the modem profiles, so that the binary
// needs no files beside it.
package configs

import (
	"embed"
	"slices"
	"strings"
)

// Sample is the sample configuration, outpost.toml.
//
//go:embed outpost.toml
var Sample []byte

// Modems holds modems/NAME.toml for each profile that comes with Outpost.
//
//go:embed modems/*.toml
var Modems embed.FS

// ModemNames gives the names of the profiles that come with Outpost, sorted.
func ModemNames() []string {
	files, err := Modems.ReadDir("modems")
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".toml"))
	}
	slices.Sort(names)
	return names
}
