package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"go.bug.st/serial"

	"outpost/internal/session"
	"outpost/modem"
)

func modemProbeCommand() *cobra.Command {
	var name string
	var baud int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Find serial ports and modems, and propose a [[line]] for each",
		Long: `Looks at every serial port, or at the one of --port: asks whether a modem is
there, at the usual rates, and what it is; then prints what to put into the
configuration. A port that is locked, or that another program has open, is left
alone, and so is the system's console. Nothing is dialled.

Whatever else is on a port gets to read AT commands at several rates.`,
		Example: `  outpost modem probe
  outpost modem probe --port /dev/ttyS0 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ports, err := portsToProbe(name)
			if err != nil {
				return err
			}
			results := probeAll(cmd.Context(), ports, baud)
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(results); err != nil {
					return err
				}
			} else {
				printProbed(cmd.OutOrStdout(), results)
			}
			return verdict(results)
		},
	}
	cmd.Flags().StringVar(&name, "port", "", "look at this port only: a device, a link to one, or usb:VID:PID")
	cmd.Flags().IntVar(&baud, "baud", 0, "try this rate only, in bit/s")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was found as JSON")
	return cmd
}

// probed is what came of one port.
type probed struct {
	modem.PortInfo
	Modem  *modem.Found `json:"modem,omitempty"` // nil: none was found
	Error  string       `json:"error,omitempty"` // why not
	Hint   string       `json:"hint,omitempty"`
	InUse  string       `json:"in_use_by,omitempty"`
	Notes  []string     `json:"notes,omitempty"`  // what is not as it should be with the port
	Config string       `json:"config,omitempty"` // a [[line]] for the configuration
}

// portsToProbe are all, or what is known of the named one.
func portsToProbe(name string) ([]modem.PortInfo, error) {
	if name != "" {
		if err := modem.CheckPortName(name); err != nil {
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("--port %s: %w", name, err)}
		}
	}
	all, err := modem.Ports()
	if name == "" && err != nil {
		return nil, &exitError{code: exitFailed, err: fmt.Errorf("looking for serial ports: %w", err), hint: "name one with --port"}
	}
	if name == "" {
		return all, nil
	}
	device, err := modem.Device(name)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(device); err == nil {
		device = real
	}
	if i := slices.IndexFunc(all, func(p modem.PortInfo) bool { return p.Name == device }); i >= 0 {
		return all[i : i+1], nil
	}
	return []modem.PortInfo{{Name: name}}, nil
}

// probeAll looks at all ports at the same time: a silent one takes ten seconds.
func probeAll(ctx context.Context, ports []modem.PortInfo, baud int) []probed {
	results := make([]probed, len(ports))
	var all sync.WaitGroup
	for i, p := range ports {
		all.Go(func() { results[i] = probe(ctx, p, baud) })
	}
	all.Wait()
	names := make(map[string]int)
	for i := range results {
		if r := &results[i]; r.Modem != nil {
			names[r.Modem.Profile]++
			r.Config = lineFor(r.PortInfo, *r.Modem, names[r.Modem.Profile])
		}
	}
	return results
}

func probe(ctx context.Context, p modem.PortInfo, baud int) probed {
	r := probed{PortInfo: p}
	if p.Console {
		r.Error = "the system's console, left alone"
		return r
	}
	bauds := p.ProbeBauds()
	if baud > 0 {
		bauds = []int{baud}
	}
	found, err := modem.Probe(ctx, bauds, func(baud int) (serial.Port, error) {
		return modem.OpenPort(modem.PortOptions{Name: p.Name, Baud: baud, OnlyFree: true, Note: func(text string) {
			if !slices.Contains(r.Notes, text) {
				r.Notes = append(r.Notes, text)
			}
		}})
	})
	var refused *modem.OpenError
	switch {
	case err == nil:
		r.Modem = &found
	case errors.As(err, &refused) && refused.User != nil:
		r.Error, r.InUse, r.Hint = err.Error(), refused.User.String(), refused.Hint
		if refused.User.Name == daemonName {
			r.Hint = "that is the daemon, or another command of Outpost: wait until its call is over"
		}
	default:
		r.Error, r.Hint = err.Error(), session.Advice(err)
	}
	return r
}

// daemonName is what the system calls our processes.
const daemonName = "outpost"

// verdict is the exit: what was asked for is a modem.
func verdict(results []probed) error {
	if slices.ContainsFunc(results, func(r probed) bool { return r.Modem != nil }) {
		return nil
	}
	switch len(results) {
	case 0:
		return &exitError{code: exitFailed, err: errors.New("there is no serial port"), hint: "is the modem plugged in? some USB sticks need usb-modeswitch first"}
	case 1:
		return &exitError{code: exitFailed, err: errors.New("no modem was found"), hint: results[0].Hint}
	}
	return &exitError{code: exitFailed, err: fmt.Errorf("no modem was found on %d ports", len(results)), hint: "is it switched on? a modem on line from an earlier call does not answer; a handset may want another rate, see --port and --baud"}
}

func printProbed(w io.Writer, results []probed) {
	devices := make(map[string]string)
	var blocks []string
	for _, r := range results {
		fmt.Fprintln(w, r.PortInfo)
		for _, l := range r.Links {
			fmt.Fprintf(w, "  always:   %s\n", l)
		}
		if r.Modem == nil {
			fmt.Fprintf(w, "  %s\n", strings.TrimPrefix(r.Error, "modem: "))
		} else {
			fmt.Fprintf(w, "  modem:    %s, at %d bit/s\n", r.Modem.Identity, r.Modem.Baud)
			fmt.Fprintf(w, "  profile:  %s\n", r.Modem.Profile)
			blocks = append(blocks, r.Config)
			if u := r.USB; u != nil {
				device := fmt.Sprintf("%v:%v:%s", u.Vendor, u.Product, u.Serial)
				if first := devices[device]; first != "" {
					fmt.Fprintf(w, "  note:     this may be the modem of %s again\n", first)
				} else {
					devices[device] = r.Name
				}
			}
		}
		for _, n := range r.Notes {
			fmt.Fprintf(w, "  note:     %s\n", n)
		}
		if r.Modem == nil && r.Hint != "" {
			fmt.Fprintf(w, "  hint:     %s\n", r.Hint)
		}
	}
	if len(blocks) > 0 {
		fmt.Fprintf(w, "\nFor the configuration; account and tariff are yours to fill in:\n\n%s", strings.Join(blocks, "\n"))
	}
}

// lineFor is a line of the configuration for a modem, the nth of its profile. Where the
// number is the provider's it stays empty, so that `outpost check` asks for it: an
// invented one would be dialled.
func lineFor(p modem.PortInfo, found modem.Found, nth int) string {
	name := found.Profile
	if nth > 1 {
		name += fmt.Sprintf("-%d", nth)
	}
	number, rate, trip := `"" # the provider's number`, 33600, 150
	switch found.Profile {
	case "gsm":
		number, rate, trip = `"*99#"`, 0, 600
	case "iridium":
		number, rate, trip = `"008816000025"`, 2400, 1800
	case "thuraya":
		rate, trip = 9600, 1000
	case "bgan":
		number, rate, trip = `"*99***{cid}#"`, 0, 1200
	}
	return fmt.Sprintf(`# %s
[[line]]
name = %q
port = %q
baud = %d
modem = %q
number = %s
#user = ""
#password = ""
rate_bps = %d
round_trip_ms = %d
`, strings.Join(strings.Fields(found.Identity.String()), " "), name, p.Lasting(), found.Baud, found.Profile, number, rate, trip)
}
