package imapd

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// worker is a client that keeps its own account of what the server tells it.
type worker struct {
	*client
	rng     *rand.Rand
	mailbox string
	uids    []string // by sequence number; "" where it was not told yet
}

func (w *worker) open(mailbox string) {
	w.mailbox, w.uids = mailbox, nil
	w.heed(w.ok("SELECT " + mailbox))
	w.learn()
}

// heed follows the untagged answers.
func (w *worker) heed(untagged []string) {
	for _, line := range untagged {
		var n int
		var what string
		if _, err := fmt.Sscanf(line, "%d %s", &n, &what); err != nil {
			continue
		}
		switch what {
		case "EXISTS":
			if n < len(w.uids) {
				w.t.Errorf("EXISTS %d after %d", n, len(w.uids))
			}
			for len(w.uids) < n {
				w.uids = append(w.uids, "")
			}
		case "EXPUNGE":
			if n > len(w.uids) {
				w.t.Errorf("EXPUNGE %d of %d", n, len(w.uids))
				return
			}
			w.uids = append(w.uids[:n-1], w.uids[n:]...)
		case "FETCH":
			_, after, ok := strings.Cut(line, "UID ")
			if !ok || n > len(w.uids) {
				continue
			}
			uid := strings.TrimRight(strings.Fields(after)[0], ")")
			if have := w.uids[n-1]; have != "" && have != uid {
				w.t.Errorf("message %d was UID %s, is %s", n, have, uid)
			}
			w.uids[n-1] = uid
		}
	}
}

// learn asks for all UIDs.
func (w *worker) learn() {
	untagged, _ := w.do("UID FETCH 1:* UID")
	w.heed(untagged)
}

// work does something at random.
func (w *worker) work() {
	if len(w.uids) == 0 || w.rng.IntN(20) == 0 {
		w.open([]string{"INBOX", "Archive"}[w.rng.IntN(2)])
		return
	}
	n := w.rng.IntN(len(w.uids))
	other := "Archive"
	if w.mailbox == "Archive" {
		other = "INBOX"
	}
	var commands []string
	switch w.rng.IntN(8) {
	case 0, 1:
		commands = []string{fmt.Sprintf("MOVE %d %s", n+1, other)}
	case 2:
		commands = []string{fmt.Sprintf("UID MOVE %s:%s %s", cmp.Or(w.uids[n], "1"), cmp.Or(w.uids[n], "1"), other)}
	case 3:
		commands = []string{fmt.Sprintf(`STORE %d +FLAGS (\Seen w%d)`, n+1, w.rng.IntN(5))}
	case 4:
		commands = []string{fmt.Sprintf(`STORE %d:* -FLAGS.SILENT (\Seen)`, max(n, 1))}
	case 5:
		commands = []string{"NOOP", fmt.Sprintf("FETCH %d (UID FLAGS)", n+1)}
	case 6:
		// What may go is marked by its sender.
		commands = []string{"UID SEARCH RETURN (SAVE) SUBJECT mayfly", `UID STORE $ +FLAGS.SILENT (\Deleted)`, "UID EXPUNGE 1:*"}
	case 7:
		commands = []string{fmt.Sprintf("FETCH %d (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])", n+1)}
	}
	for _, command := range commands {
		untagged, end := w.do(command)
		w.heed(untagged)
		if !strings.HasPrefix(end, "OK") && !strings.HasPrefix(end, "NO [EXPUNGEISSUED]") {
			w.t.Errorf("%s: %s", command, end)
		}
	}
}

// Eight clients move, flag and remove in the same two mailboxes while mail comes in and
// another program renames: no message is lost or doubled, and no client is told nonsense.
func TestManyAtOnce(t *testing.T) {
	r := newRig(t, nil)
	const messages, rounds = 120, 150
	subject := func(i int) string {
		if i%4 == 0 {
			return fmt.Sprintf("mayfly %d.", i)
		}
		return fmt.Sprintf("stays %d.", i)
	}
	for i := range messages / 2 {
		r.deliver("ann", "", "Subject: "+subject(i)+"\r\n\r\nx\r\n")
	}
	r.login("ann") // Makes the folders.
	var all sync.WaitGroup
	for n := range 8 {
		w := &worker{client: r.login("ann"), rng: rand.New(rand.NewPCG(uint64(n), 7))}
		all.Go(func() {
			for range rounds {
				w.work()
			}
			w.ok("LOGOUT")
		})
	}
	all.Go(func() {
		for i := messages / 2; i < messages; i++ {
			r.deliver("ann", "", "Subject: "+subject(i)+"\r\n\r\nx\r\n")
		}
	})
	all.Go(func() { // mutt, say
		root := r.dir("ann").Root
		for range 200 {
			entries, _ := os.ReadDir(filepath.Join(root, "cur"))
			for _, e := range entries[:min(len(entries), 3)] {
				base, _, _ := strings.Cut(e.Name(), ":")
				_ = os.Rename(filepath.Join(root, "cur", e.Name()), filepath.Join(root, "cur", base+":2,F"))
			}
		}
	})
	all.Wait()
	count := map[string]int{}
	c := r.login("ann")
	for _, mailbox := range []string{"INBOX", "Archive", "Sent", "Trash"} {
		c.ok("SELECT " + mailbox)
		for _, line := range c.ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]") {
			_, s, ok := strings.Cut(line, "Subject: ")
			if s, _, ok2 := strings.Cut(s, "\r\n"); ok && ok2 {
				count[s]++
			}
		}
	}
	for i := range messages {
		n := count[subject(i)]
		if n > 1 || n == 0 && !strings.HasPrefix(subject(i), "mayfly") {
			t.Errorf("%q is there %d times", subject(i), n)
		}
		delete(count, subject(i))
	}
	if len(count) > 0 {
		t.Errorf("there is also %v", count)
	}
}
