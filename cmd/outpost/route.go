package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"outpost/internal/config"
	"outpost/internal/mailroom"
	"outpost/internal/route"
	"outpost/spool"
)

// asked is what a person tells of a message besides its content.
type asked struct {
	box  string
	from string
	to   []string
}

func routeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "route",
		Short: "Say where mail goes, and why",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(explainCommand())
	return cmd
}

func explainCommand() *cobra.Command {
	var what asked
	cmd := &cobra.Command{
		Use:   "explain MESSAGE",
		Short: "Say in plain words why a message goes where it goes, by the configuration as it is now",
		Long: `MESSAGE is a file, - for standard input, or the ID of a message that was delivered,
as the log and "outpost queue" show it. Of one that was delivered it is also said why
it went where it went then. Nothing is sent or changed, and the daemon need not run.

Mail from a box is told by --box (of a delivered message it is known); other mail is
taken as handed in by staff: --from and --to are its envelope, else those of the header.`,
		Example: `  outpost route explain letter.eml --box office
  outpost route explain 01kb2n6v7p0q3r5s8t9w1x2y4z
  outpost route explain - --from ann@clinic.example --to everybody@clinic.example < letter.eml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			text, err := readMessage(cmd.InOrStdin(), cfg, args[0])
			if err != nil {
				return err
			}
			return explain(cmd.OutOrStdout(), cfg, text, what)
		},
	}
	cmd.Flags().StringVar(&what.box, "box", "", "the box that the message was in")
	cmd.Flags().StringVar(&what.from, "from", "", "the envelope's sender")
	cmd.Flags().StringSliceVar(&what.to, "to", nil, "the envelope's recipients")
	return cmd
}

// readMessage reads a file, standard input, or what was delivered under an ID.
func readMessage(in io.Reader, cfg *config.Config, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(in)
	}
	if id := spool.ID(name); id.Valid() {
		if _, err := os.Stat(name); err != nil {
			return readDelivered(cfg, id)
		}
	}
	return os.ReadFile(name)
}

// readDelivered finds a message in the mailboxes. It is the same in all of them.
func readDelivered(cfg *config.Config, id spool.ID) ([]byte, error) {
	found := ""
	err := filepath.WalkDir(filepath.Join(cfg.Storage.Dir, "mail"), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.IsDir() && mailroom.IDOf(d.Name()) == id:
			found = path
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if found == "" {
		return nil, &exitError{
			code: exitFailed, err: fmt.Errorf("no mailbox here has the message %s", id),
			hint: "it may still be in the queue, or was deleted; a copy of it in a file will do",
		}
	}
	return os.ReadFile(found)
}

// routedBy is how the reasons of a collected message begin.
var routedBy = regexp.MustCompile(`^box "([^"]+)"`)

func explain(w io.Writer, cfg *config.Config, text []byte, what asked) error {
	table, err := route.New(routeOptions(cfg, cfg.Users))
	if err != nil {
		return err
	}
	// A Maildir has bare LFs.
	text = []byte(strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n", "\r\n"))
	header, err := route.ReadHeader(strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "message:  %q from %s, %s\n", header.Text("Subject"), cmp.Or(legible(header.Text("From")), "nobody that it names"), size(int64(len(text))))
	if deliveredHere(header, table) {
		then := header.Text(mailroom.RouteField)
		fmt.Fprintf(w, "then:     %s\n", legible(then))
		if m := routedBy.FindStringSubmatch(then); m != nil && what.box == "" {
			what.box = m[1]
		}
		if header, err = withoutOurs(text); err != nil {
			return err
		}
	}
	in := route.Incoming{Box: what.box, From: what.from, Header: header, Size: int64(len(text))}
	var d route.Decision
	if what.box != "" {
		if !hasBox(cfg, what.box) {
			return &exitError{code: exitUsage, err: fmt.Errorf("there is no box %q in the configuration", what.box)}
		}
		d = table.Collected(in)
	} else {
		if len(what.to) == 0 {
			what.to = append(header.Addresses("To"), header.Addresses("Cc")...)
		}
		if len(what.to) == 0 {
			fmt.Fprintln(w, "now:      it names nobody whom it is for; --to says it, or --box, if it was collected")
			return nil
		}
		d = decideOffice(cfg, table, in, what.to, w)
	}
	for _, line := range d.Explain() {
		fmt.Fprintf(w, "now:      %s\n", line)
	}
	return nil
}

// deliveredHere says that the reasons in a header are ours: they are if nothing stands above them but what a delivery writes with them.
// Further down the sender may have written what he likes.
func deliveredHere(h route.Header, table *route.Table) bool {
	_, gate, _ := strings.Cut(table.DeliveredTo(table.Unplaced()), "@")
	for _, f := range h.Fields {
		switch {
		case strings.EqualFold(f.Name, mailroom.RouteField):
			return true
		case strings.EqualFold(f.Name, "Return-Path"):
		case strings.EqualFold(f.Name, "Delivered-To") && strings.HasSuffix(f.Value(), "@"+gate):
		default:
			return false
		}
	}
	return false
}

// legible is what a stranger wrote, fit for a terminal.
func legible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// withoutOurs is the header as it was before the delivery put its lines on top: by them it
// would look like a message that goes in circles.
func withoutOurs(text []byte) (route.Header, error) {
	_, rest, _ := strings.Cut(string(text), mailroom.RouteField+":") // the first is ours: see deliveredHere
	for {
		line, after, found := strings.Cut(rest, "\r\n")
		rest = after
		if !found || line == "" || after == "" || after[0] != ' ' && after[0] != '\t' {
			break
		}
	}
	return route.ReadHeader(strings.NewReader(rest))
}

func hasBox(cfg *config.Config, name string) bool {
	for _, b := range cfg.Boxes {
		if b.Name == name {
			return true
		}
	}
	return false
}

// outward says what becomes of a message to somebody outside, as mailroom.Submit decides it.
// What the smarthost takes is known to the daemon only.
func outward(cfg *config.Config, sender route.User, in route.Incoming) string {
	hold := holdOut(cfg, sender.Name, time.Now())
	switch {
	case sender.Internal:
		return sender.Name + " may send within the office only, and is told"
	case sender.MaxOut > 0 && in.Size > sender.MaxOut:
		return fmt.Sprintf("%s may send %s at most there, and is told", sender.Name, size(sender.MaxOut))
	case hold > 0 && in.Size > hold:
		return fmt.Sprintf("it is larger than %s, and waits until %s lets it go", size(hold), cmp.Or(cfg.Hold.Manager, "the manager"))
	}
	return "it waits for the next call"
}

// decideOffice decides on mail of the staff.
func decideOffice(cfg *config.Config, table *route.Table, in route.Incoming, to []string, w io.Writer) route.Decision {
	if in.From == "" {
		if list := in.Header.Addresses("From"); len(list) > 0 {
			in.From = list[0]
		}
	}
	sender, _ := table.Sender("", in.From)
	for _, addr := range to {
		targets := table.Expand(addr)
		if len(targets) == 0 {
			fmt.Fprintf(w, "now:      %s: there is nobody with this address in the office; the sender is told\n", addr)
		}
		for _, t := range targets {
			switch {
			case t.Place != "":
				fmt.Fprintf(w, "now:      %s is %s\n", addr, t.Place)
				in.To = append(in.To, t.Place)
			default:
				fmt.Fprintf(w, "now:      %s is outside: %s\n", t.Addr, outward(cfg, sender, in))
			}
		}
		in.Rcpts = append(in.Rcpts, addr)
	}
	return table.Office(in)
}
