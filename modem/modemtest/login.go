package modemtest

import (
	"context"
	"errors"
	"io"
)

// Login is a far end that asks for a log-in in text before it starts PPP, as access
// servers and their predecessors do. The zero value asks for an empty user and password.
type Login struct {
	Wait           bool   // say nothing before a CR has come
	Banner         string // said first
	Prompt         string // "": "login: "
	PasswordPrompt string // "": "Password: "
	User, Password string
	Welcome        string // said when both were right; "": "\r\nEntering PPP mode.\r\n"
	Refusal        string // said when not; "": "\r\nLogin incorrect\r\n"
	Tries          int    // before it hangs up; 0: 3
	Echo           bool   // it echoes what is typed, the password not
	EchoPassword   bool   // nor does it keep the password to itself
	EchoBreak      int    // a line end comes after so many octets of an echo; 0: not
}

func (l Login) withDefaults() Login {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&l.Prompt, "login: "}, {&l.PasswordPrompt, "Password: "},
		{&l.Welcome, "\r\nEntering PPP mode.\r\n"}, {&l.Refusal, "\r\nLogin incorrect\r\n"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if l.Tries <= 0 {
		l.Tries = 3
	}
	return l
}

// errRefused is a caller who did not know the password.
var errRefused = errors.New("modemtest: log-in refused")

// Serve holds the dialogue on a call. Nil: the caller is let in, and what comes next is
// PPP.
func (l Login) Serve(call io.ReadWriter) error {
	l = l.withDefaults()
	if l.Wait {
		if _, err := l.line(call, false); err != nil {
			return err
		}
	}
	if err := say(call, l.Banner); err != nil {
		return err
	}
	for range l.Tries {
		user, err := l.ask(call, l.Prompt, l.Echo)
		if err != nil {
			return err
		}
		password, err := l.ask(call, l.PasswordPrompt, l.EchoPassword)
		if err != nil {
			return err
		}
		if user == l.User && password == l.Password {
			return say(call, l.Welcome)
		}
		if err := say(call, l.Refusal); err != nil {
			return err
		}
	}
	return errRefused
}

func say(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

func (l Login) ask(call io.ReadWriter, prompt string, echo bool) (string, error) {
	if err := say(call, prompt); err != nil {
		return "", err
	}
	return l.line(call, echo)
}

// line reads up to a CR.
func (l Login) line(call io.ReadWriter, echo bool) (string, error) {
	var line []byte
	var one [1]byte
	for {
		if _, err := io.ReadFull(call, one[:]); err != nil {
			return "", err
		}
		switch b := one[0]; {
		case b == '\r':
			return string(line), say(call, "\r\n")
		case b == '\n' || len(line) >= maxLine:
			continue
		}
		line = append(line, one[0])
		if !echo {
			continue
		}
		if err := say(call, string(one[:])); err != nil {
			return "", err
		}
		if len(line) == l.EchoBreak {
			if err := say(call, "\r\n"); err != nil {
				return "", err
			}
		}
	}
}

// Doorman is a modem behind which a Login stands.
type Doorman struct {
	login Login
	modem *Modem
}

// At puts the log-in in front of every call that m answers.
func (l Login) At(m *Modem) *Doorman { return &Doorman{login: l, modem: m} }

// Accept waits for the next caller who was let in, as [Modem.Accept] does for a call. The
// others are hung up on.
func (d *Doorman) Accept(ctx context.Context) (io.ReadWriteCloser, error) {
	for {
		call, err := d.modem.Accept(ctx)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = call.Close() })
		err = d.login.Serve(call)
		if stop() && err == nil {
			return call, nil
		}
		_ = call.Close()
	}
}
