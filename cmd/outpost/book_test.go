package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"outpost/internal/config"
	"outpost/internal/route"
)

// Every key of people, boxes and rules reaches the routes: none of their fields stays
// empty where every key says something.
func TestRouteOptionsAreWhole(t *testing.T) {
	cfg := &config.Config{}
	for _, v := range []any{&cfg.Office, &cfg.Users, &cfg.Folders, &cfg.Lists, &cfg.Servers, &cfg.Boxes, &cfg.Rules} {
		fill(reflect.ValueOf(v).Elem())
	}
	*cfg.Users[0].External = false // which makes him internal
	var empty func(name string, v reflect.Value)
	empty = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				v = v.Elem()
			}
		case reflect.Slice:
			if v.Len() > 0 {
				v = v.Index(0)
			}
		default:
		}
		if v.IsZero() {
			t.Errorf("%s stays empty", name)
		}
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				empty(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	empty("route.Options", reflect.ValueOf(routeOptions(cfg, cfg.Users)))
}

// fill gives every field a value that isn't zero, and every list one entry.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic("no value for " + v.Type().String())
	}
}

// A configuration without fault is one that the daemon starts with: what is odd is a fault of the file, not of the start.
func TestWhatHasNoFaultStarts(t *testing.T) {
	texts := []string{
		"", " ", "x", "ann", "staff", "news", "exchange", "unrouted", "nobody", "ann/Folder", "ann/", "ann/a.b", "staff/x", "news/X/Y", "exchange:ann@corp.example",
		"exchange:", "exchange:ann", "ann@clinic.example", "Ann@Clinic.Example", "ann+x@clinic.example", "zoe@clinic.example", "zoe@far.example", `"a@far.example`,
		`"a b"@far.example`, `"a"b@far.example`, `a\b@far.example`, "a*@far.example", "a[b]@far.example", "a@far*", "a@far/x", "a@.", "a@", "@far.example", "@", "@a b",
		"a\x01@far.example", "a@f\x7fr", "jörg@bücher.example", "*", "*@far.example", "clinic.example", "far/example", "far.example.", ".", "X-Field", "X Field", "X-Field: y",
		"X-Field:", ": y", "postmaster", "postmaster@clinic.example", "con", "_x", "-x", "x.", strings.Repeat("x", 65), "ann/" + strings.Repeat("x", 81),
	}
	keys := []string{
		"[[user]]\nname = %s\n", "[[user]]\nname = \"eve\"\naddresses = [%s]\n", "[[user]]\nname = \"eve\"\nidentity = %s\n",
		"[[user]]\nname = \"eve\"\nserver = %s\n", "[[user]]\nname = \"eve\"\nserver = \"exchange\"\nserver_address = %s\n",
		"[[folder]]\nname = %s\n", "[[folder]]\nname = \"f\"\naddresses = [%s]\n", "[[folder]]\nname = \"f\"\nread = [%s]\n", "[[folder]]\nname = \"f\"\nwrite = [%s]\n",
		"[[list]]\nname = %s\nmembers = [\"ann\"]\n", "[[list]]\nname = \"l\"\naddresses = [%s]\nmembers = [\"ann\"]\n", "[[list]]\nname = \"l\"\nmembers = [%s]\n",
		"[[server]]\nname = %s\nhost = \"h\"\n", "[delivery]\nserver = %s\n", oddBox + "deliver_to = [%s]\n", oddBox + "[box.catch_all]\ndomains = [%s]\n",
		oddBox + "[box.catch_all]\nheaders = [%s]\n", oddBox + "[box.catch_all]\nprefix = %s\n", oddBox + "[box.catch_all]\nignore = [%s]\n", oddBox + "[box.catch_all]\nserver = %s\n",
		oddBox + "[box.catch_all]\nunknown = [%s]\n", "[hold]\nmanager = %s\n",
	}
	for _, key := range []string{"origin = %s\nhold = true", "box = [%s]\nhold = true", "from = [%s]\nhold = true", "to = [%s]\nhold = true", "subject = [%s]\nhold = true",
		"list_id = [%s]\nhold = true", "header = [%s]\nhold = true", "name = %s\nhold = true", "deliver_to = [%s]", "copy_to = [%s]", "folder = %s", "forward = [%s]"} {
		keys = append(keys, "[[rule]]\n"+key+"\n")
	}
	started := 0
	try := func(text string) {
		cfg, err := config.Parse("outpost.toml", []byte(text))
		if err != nil {
			return
		}
		if _, err := route.New(routeOptions(cfg, cfg.Users)); err != nil {
			t.Errorf("no fault, but %v:\n%s", err, text)
		}
		started++
	}
	for _, text := range texts {
		value := strconv.Quote(text)
		value = strings.ReplaceAll(strings.ReplaceAll(value, `\x01`, `\u0001`), `\x7f`, `\u007f`)
		for _, key := range keys {
			try(fmt.Sprintf(oddOffice, `"clinic.example"`, `"ann"`) + fmt.Sprintf(key, value))
		}
		try(fmt.Sprintf(oddOffice, value, `"ann"`))
		try(fmt.Sprintf(oddOffice, `"clinic.example"`, value))
	}
	if started < 200 {
		t.Errorf("only %d of the configurations have no fault", started)
	}
}

const oddBox = "[[box]]\nname = \"all\"\nhost = \"pop.far.example\"\nuser = \"u\"\npassword = \"p\"\n"

const oddOffice = `
[office]
name = "gw.clinic.example"
domains = [%s]
postmaster = %s
[storage]
users_file = "/nonexistent/users"
[[user]]
name = "ann"
[[user]]
name = "staff-member"
[[folder]]
name = "news"
[[list]]
name = "staff"
members = ["ann"]
[[server]]
name = "exchange"
host = "exchange.corp.example"
tls = "none"
`
