package peers_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"outpost/internal/peers"
)

// seen is a folder as an IMAP server shows it: UIDVALIDITY and UIDNEXT, then for each
// message what lasts. Both ask get it from one of the servers.
func seenBy(ask func(folder, command string) []string, folder string) []string {
	var list []string
	for _, line := range ask(folder, "STATUS "+folder+" (UIDVALIDITY UIDNEXT MESSAGES UNSEEN)") {
		if strings.HasPrefix(line, "STATUS") {
			_, facts, _ := strings.Cut(line, "(")
			words := strings.Fields(strings.TrimSuffix(facts, ")"))
			var pairs []string
			for i := 0; i+1 < len(words); i += 2 {
				pairs = append(pairs, words[i]+" "+words[i+1])
			}
			slices.Sort(pairs)
			list = append(list, strings.Join(pairs, ", "))
		}
	}
	for _, item := range []string{"FLAGS", "RFC822.SIZE", "INTERNALDATE", "BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[1]"} {
		for _, line := range ask(folder, "UID FETCH 1:* "+item) {
			if _, rest, ok := strings.Cut(line, "FETCH ("); ok && item == "FLAGS" {
				list = append(list, plainFlags(rest))
			} else if !ok || item != "FLAGS" {
				list = append(list, line)
			}
		}
	}
	return list
}

// plainFlags puts a line "UID n FLAGS (…))" into one form: without \Recent, in order.
func plainFlags(s string) string {
	s = strings.NewReplacer("(", " ", ")", " ").Replace(s)
	words := slices.DeleteFunc(strings.Fields(s), func(w string) bool { return w == `\Recent` || w == "FLAGS" || w == "UID" })
	slices.Sort(words)
	return strings.Join(words, " ")
}

func same(t *testing.T, what string, ours, dovecots []string) {
	t.Helper()
	for i := range max(len(ours), len(dovecots)) {
		our, his := "(nothing)", "(nothing)"
		if i < len(ours) {
			our = ours[i]
		}
		if i < len(dovecots) {
			his = dovecots[i]
		}
		if our != his {
			t.Fatalf("%s, line %d:\nours:    %q\nDovecot: %q", what, i, our, his)
		}
	}
}

// An office changes to Dovecot and back on the same files: each shows what the other has
// left, by the same UIDs.
func TestDovecotTakesOver(t *testing.T) {
	peers.Need(t, "dovecot", "imap")
	r := openReading(t)
	for _, m := range letters() {
		r.deliver("", m)
	}
	for i := range 20 {
		r.deliver("", letter(100+i, text(300)))
	}
	for _, command := range []string{
		`UID STORE 1:5 +FLAGS.SILENT (\Seen $Forwarded Important)`, `UID STORE 3:8 +FLAGS.SILENT (\Answered \Flagged zzz)`,
		`CREATE Entw&APw-rfe/2026`, `SUBSCRIBE Entw&APw-rfe/2026`, `UID COPY 2:9 Entw&APw-rfe/2026`, `UID MOVE 10:12 Archive`,
		`UID STORE 14,16 +FLAGS (\Deleted)`, `EXPUNGE`,
	} {
		r.ask("INBOX", command)
	}
	folders := []string{"INBOX", "Archive", "Entw&APw-rfe/2026"}
	ours := map[string][]string{}
	for _, f := range folders {
		ours[f] = seenBy(r.ask, f)
	}
	lists := func(ask func(string, string) []string) []string {
		list := ask("INBOX", `LIST (SUBSCRIBED) "" "*"`)
		for i, line := range list {
			_, name, _ := strings.Cut(line, ") ")
			list[i] = strings.ReplaceAll(name, `"`, "")
		}
		slices.Sort(list)
		return list
	}
	ourLists := lists(r.ask)

	d := peers.OpenDovecotIMAP(t, r.home)
	dovecotAsk := func(folder, command string) []string {
		d.Do("SELECT " + folder)
		return d.Do(command)
	}
	for _, f := range folders {
		same(t, f+" when Dovecot comes", ours[f], seenBy(dovecotAsk, f))
	}
	same(t, "subscriptions when Dovecot comes", ourLists, lists(dovecotAsk))
	// Dovecot works, while our server has the folders open too.
	for _, command := range []string{
		"SELECT INBOX", `UID STORE 5:6 -FLAGS (\Seen zzz)`, `UID STORE 7:9 +FLAGS (new-word \Draft)`, `UID STORE 17,18 +FLAGS (\Deleted)`,
		`EXPUNGE`, `UID COPY 20:22 INBOX`, `UID MOVE 1 Archive`, `CREATE From/Dovecot`, `UID COPY 20:25 From/Dovecot`,
		`SUBSCRIBE From/Dovecot`, `UNSUBSCRIBE Sent`,
	} {
		d.Do(command)
	}
	r.deliver("", letter(500, "delivered while Dovecot is there\r\n"))
	d.Adopt()
	d.Do("NOOP")
	folders = append(folders, "From/Dovecot")
	for _, f := range folders {
		same(t, f+" when we come back", seenBy(r.ask, f), seenBy(dovecotAsk, f))
	}
	same(t, "subscriptions when we come back", lists(r.ask), lists(dovecotAsk))

	// We work once more, and Dovecot must not find anything to complain about.
	r.ask("INBOX", `UID STORE 7 -FLAGS (new-word)`)
	r.ask("INBOX", `UID MOVE 20:21 From/Dovecot`)
	r.ask("INBOX", `RENAME From/Dovecot From/Outpost`)
	folders[3] = "From/Outpost"
	r.stop()
	r.start()
	d.Adopt()
	for _, f := range folders {
		same(t, f+" at the end", seenBy(r.ask, f), seenBy(dovecotAsk, f))
	}
	d.Close()
	for _, line := range strings.Split(d.Log(), "\n") {
		if strings.Contains(line, "Error") || strings.Contains(line, "Warning") || strings.Contains(line, "Panic") {
			t.Errorf("Dovecot says: %s", line)
		}
	}
}

// Both at work on the same folders at the same time: no message is lost or doubled, and in
// the end both see the same. Dovecot moves nothing here: it copies and removes, and so doubles
// what somebody else moves in between, another Dovecot too.
func TestBesideDovecot(t *testing.T) {
	peers.Need(t, "dovecot", "imap")
	r := openReading(t)
	const messages = 60
	for i := range messages {
		r.deliver([]string{"", "Archive"}[i%2], letter(i, "x\r\n"))
		r.deliver("Theirs", letter(1000+i, "y\r\n"))
	}
	folders := []string{"INBOX", "Archive"}
	for _, folder := range append(folders, "Theirs") {
		r.ask(folder, `UID STORE 1:* +FLAGS.SILENT (one two)`) // The keywords' files are there.
	}
	d := peers.OpenDovecotIMAP(t, r.home)
	var ours sync.WaitGroup
	ours.Go(func() {
		for i := range 40 {
			from, to := folders[i%2], folders[(i+1)%2]
			r.ask(from, `UID STORE 1:* +FLAGS (one)`)
			r.ask(from, fmt.Sprintf("UID MOVE %d:%d %s", 1+i*3, 30+i*5, to))
		}
	})
	for i := range messages {
		to := folders[i%2]
		d.Do("SELECT Theirs")
		d.Do(fmt.Sprintf("COPY %d %s", i+1, to))
		d.Do("SELECT " + to)
		d.Try(`STORE 3:* FLAGS (two \Seen)`)
	}
	ours.Wait()
	d.Adopt()
	dovecotAsk := func(folder, command string) []string {
		d.Do("SELECT " + folder)
		return d.Do(command)
	}
	found := map[string]int{}
	for _, folder := range folders {
		same(t, folder, seenBy(r.ask, folder), seenBy(dovecotAsk, folder))
		for _, line := range r.ask(folder, "FETCH 1:* BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]") {
			if strings.HasPrefix(line, "Message-ID") {
				found[line]++
			}
		}
	}
	for id, n := range found {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	if len(found) != 2*messages {
		t.Errorf("%d messages, want %d", len(found), 2*messages)
	}
	if log := d.Log(); strings.Contains(log, "uidlist: ") {
		t.Errorf("Dovecot says: %s", log)
	}
}
