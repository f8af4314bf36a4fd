package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTrials(t *testing.T) {
	all := trials(regexp.MustCompile(""))
	if want := len(scenes) * len(contenders) * len(modes); len(all) != want {
		t.Errorf("%d trials, want %d", len(all), want)
	}
	seen := make(map[string]bool)
	for _, x := range all {
		if seen[x.String()] {
			t.Errorf("%v comes twice", x)
		}
		seen[x.String()] = true
		if _, err := os.Stat(filepath.Join("..", "..", "clients", x.script)); err != nil {
			t.Error(err)
		}
	}
	some := trials(regexp.MustCompile("^gsm/tiny/tls/outpost$"))
	if len(some) != 1 || some[0].calls != 2 || !strings.Contains(strings.Join(some[0].environment(), " "), "MODE=tls CALLS=2") {
		t.Errorf("selected %v", some)
	}
}

// A run as the other programs leave it: 1000 octets up, 2000 down at 8000 bit/s.
func TestResult(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"link.json": `{"preset":"gsm","one_way_delay_s":0.3,"first_unix":100.5,"link_s":5.2,"up":{"rate_bps":8000,"wire_bytes":1300,"mean_late_s":0.0001},
			"down":{"rate_bps":8000,"mean_late_s":0.003,"dropped":2},"flows":[{"proto":"tcp"},{"proto":"tcp"},{"proto":"udp"}]}`,
		"verify.json":        `{"ok":true,"out":{"intact":3},"left_on_server":1}`,
		"main/manifest.json": `{"profile":"tiny","out_bytes":1000,"in_bytes":2000}`,
	} {
		if err := os.MkdirAll(filepath.Join(dir, "main"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var f files
	if err := f.read(dir); err != nil {
		t.Fatal(err)
	}
	got := f.result(100, 105.5)
	want := result{Preset: "gsm", Profile: "tiny", OK: true, Out: tally{Intact: 3}, Left: 1, LinkS: 5.2, BoundS: 2.6, Ratio: 2, StartS: 0.5, ExitS: 5,
		UpB: 1300, Dropped: 2, LateMS: 3, TCP: 2, UDP: 1, OutB: 1000, InB: 2000}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := f.read(t.TempDir()); err == nil {
		t.Error("an empty folder is a run")
	}
}

func TestTable(t *testing.T) {
	var list []result
	for _, line := range []string{
		`{"preset":"gsm","profile":"tiny","mode":"plain","client":"fetchmail-postfix","ok":true,"link_s":66.66,"bound_s":5.91}`,
		`{"preset":"gsm","profile":"tiny","mode":"plain","client":"tuned","ok":true,"link_s":26,"bound_s":5.91}`,
		`{"preset":"gsm","profile":"tiny","mode":"tls","client":"tuned","ok":true,"link_s":70,"bound_s":5.91,"late_ms":2.5}`,
		`{"preset":"gsm","profile":"tiny","mode":"plain","client":"mpop-msmtp","ok":false,"link_s":20,"bound_s":5.91,"in":{"expected":5,"missing":2}}`,
		`{"preset":"gsm","profile":"tiny","mode":"plain","client":"outpost-first","ok":true,"link_s":14,"bound_s":5.91}`,
		`{"preset":"gsm","profile":"tiny","mode":"plain","client":"outpost","ok":true,"link_s":99,"bound_s":5.91}`,
		`{"preset":"gsm","profile":"tiny","mode":"plain","client":"outpost","ok":true,"link_s":13,"bound_s":5.91}`,
	} {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	var got strings.Builder
	newBoard(list).print(&got)
	want := `| line, mail | bound s | fetchmail, Postfix | tuned, 4 fetchmail | 4 mpop, 4 msmtp | Outpost, first call | Outpost, later | best peer / Outpost |
|---|--:|--:|--:|--:|--:|--:|--:|
| gsm tiny | 5.9 | 66.7 / – | 26.0 / 70.0? | FAIL / – | 14.0 / – | 13.0 / – | 2.0 / – |

- gsm tiny tls, tuned, 4 fetchmail: the simulator was 2.5 ms late on average
- gsm tiny plain, 4 mpop, 4 msmtp: FAIL after 20.0 s: out, of 0 0 missing, 0 twice, 0 altered; in, of 5 2 missing, 0 twice, 0 altered; 0 left in the boxes
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", &got, want)
	}
}
