package modem

// Advice is the hint for a person, "" when there is none.
func (e *OpenError) Advice() string { return e.Hint }

// Advice is the hint for a person, "" when there is none.
func (e *CommandError) Advice() string { return e.Hint }

// Advice is the hint for a person, "" when there is none.
func (e *DialError) Advice() string { return e.Hint }

// Advice is the hint for a person, "" when there is none.
func (e *HangupError) Advice() string { return e.Hint }
