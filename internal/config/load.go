package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Load reads, completes and checks the file at path. On faults the error is
// *Faults with all of them. Relative paths inside the file are taken from the
// file's own directory.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// Parse is Load for a text that has been read already; path is used for
// messages and relative names.
func Parse(path string, text []byte) (*Config, error) {
	faults := &Faults{File: path}
	c := preset()
	decode(text, &c, "", faults)
	dir := filepath.Dir(path)
	c.resolvePaths(dir)
	c.withDefaults()
	c.readUsers(faults)
	c.readSecrets(faults)
	c.readProfiles(dir, faults)
	c.check(faults)
	if err := faults.orNil(); err != nil {
		return nil, err
	}
	return &c, nil
}

// decode fills v from text. The library stops at the first value of a wrong
// type, so the line it names is blanked and the rest is decoded again, until
// nothing more is wrong; unknown keys it reports all at once.
func decode(text []byte, v any, prefix string, faults *Faults) {
	lines := bytes.Split(text, []byte("\n"))
	blanked := make(map[int]bool)
	for {
		dec := toml.NewDecoder(bytes.NewReader(bytes.Join(lines, []byte("\n"))))
		dec.DisallowUnknownFields()
		err := dec.Decode(v)
		var unknown *toml.StrictMissingError
		if errors.As(err, &unknown) {
			for _, e := range unknown.Errors {
				row, _ := e.Position()
				faults.add(prefix+at(row, e.Key()), "", "no such key; see the sample configuration for the keys there are")
			}
			return
		}
		var bad *toml.DecodeError
		switch {
		case err == nil:
			return
		case !errors.As(err, &bad):
			faults.add(prefix+"file", "", "%v", err)
			return
		}
		row, _ := bad.Position()
		faults.add(prefix+at(row, bad.Key()), "", "%s", plain(bad.Error()))
		if row < 1 || row > len(lines) || blanked[row] {
			return
		}
		blanked[row] = true
		lines[row-1] = nil
	}
}

// mistaken is how the library says that a value has the wrong type, in words of Go.
var mistaken = regexp.MustCompile(`^toml: cannot decode TOML (.+) into .* of type (\S+)$`)

// plain says in plain words what the library found.
func plain(said string) string {
	m := mistaken.FindStringSubmatch(said)
	if m == nil {
		return strings.TrimPrefix(said, "toml: ")
	}
	wanted := map[string]string{
		"int": "a whole number without quotes", "int64": "a whole number without quotes", "bool": "true or false, without quotes",
		"string": "a text in quotes", "[]string": `texts in quotes and brackets, such as ["one", "two"]`,
	}[strings.TrimPrefix(m[2], "*")]
	if wanted == "" {
		return "has the wrong type: it can't be of the kind " + m[1]
	}
	return "must be " + wanted
}

func at(row int, key []string) string {
	if len(key) == 0 {
		return fmt.Sprintf("line %d", row)
	}
	return fmt.Sprintf("line %d, %s", row, strings.Join(key, "."))
}

// resolvePaths makes every file name absolute or relative to the working
// directory, so that the file means the same wherever the daemon is started.
func (c *Config) resolvePaths(dir string) {
	names := []*string{&c.Storage.Dir, &c.Storage.Socket, &c.Storage.UsersFile, &c.SMTP.CertFile, &c.SMTP.KeyFile}
	for i := range c.Boxes {
		names = append(names, &c.Boxes[i].PasswordFile, &c.Boxes[i].CAFile)
	}
	for i := range c.Lines {
		names = append(names, &c.Lines[i].PasswordFile, &c.Lines[i].PINFile)
	}
	for i := range c.Servers {
		names = append(names, &c.Servers[i].PasswordFile, &c.Servers[i].CAFile)
	}
	if c.Smarthost != nil {
		names = append(names, &c.Smarthost.PasswordFile, &c.Smarthost.CAFile)
	}
	for _, name := range names {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
}

// readSecrets replaces each password_file by what it holds, without the line's
// end that editors add.
func (c *Config) readSecrets(faults *Faults) {
	readKey := func(where, key, file string, secret *string) {
		if file == "" {
			return
		}
		if *secret != "" {
			faults.add(where+"."+key+"_file", file, "give either %s or %s_file, not both", key, key)
			return
		}
		text, err := os.ReadFile(file)
		if err != nil {
			faults.add(where+"."+key+"_file", file, "%v", err)
			return
		}
		*secret = strings.TrimRight(string(text), "\r\n")
	}
	read := func(where, file string, password *string) { readKey(where, "password", file, password) }
	if s := c.Smarthost; s != nil {
		read("smarthost", s.PasswordFile, &s.Password)
	}
	for i := range c.Boxes {
		read(c.Boxes[i].where(i), c.Boxes[i].PasswordFile, &c.Boxes[i].Password)
	}
	for i := range c.Servers {
		read(c.Servers[i].where(i), c.Servers[i].PasswordFile, &c.Servers[i].Password)
	}
	for i := range c.Lines {
		read(c.Lines[i].where(i), c.Lines[i].PasswordFile, &c.Lines[i].Password)
		readKey(c.Lines[i].where(i), "pin", c.Lines[i].PINFile, &c.Lines[i].PIN)
	}
}
