package link

// Advice is the hint for a person, "" when there is none.
func (e *Error) Advice() string { return e.Hint }
