package modem

import (
	"strconv"
	"strings"
)

// Result is what a line of the modem says. The zero value, None, is a line that is
// no result code: information text, or noise.
type Result int

// The result codes of ITU-T V.250 §5.7.1 and those of common modems.
const (
	None           Result = iota
	OK                    // OK, 0
	Connect               // CONNECT with whatever follows, 1
	Ring                  // RING, 2: somebody calls
	NoCarrier             // NO CARRIER, 3
	Error                 // ERROR, 4
	NoDialTone            // NO DIALTONE and NO DIAL TONE, 6
	Busy                  // BUSY, 7
	NoAnswer              // NO ANSWER, 8
	Ringing               // RINGING, RRING: the far telephone rings; not the end of a dial
	Voice                 // VOICE: a person picked up
	Delayed               // DELAYED [time]: the modem will not dial this number for a while
	Blacklisted           // BLACKLISTED, BLACKLIST FULL: nor before somebody clears its list
	EquipmentError        // +CME ERROR, +CMS ERROR: GSM and satellite modems
	Timeout               // never said by a modem: nothing final came in time
)

// String returns the code as modems spell it.
func (r Result) String() string {
	names := [...]string{
		None: "no result", OK: "OK", Connect: "CONNECT", Ring: "RING", NoCarrier: "NO CARRIER", Error: "ERROR",
		NoDialTone: "NO DIALTONE", Busy: "BUSY", NoAnswer: "NO ANSWER", Ringing: "RINGING", Voice: "VOICE",
		Delayed: "DELAYED", Blacklisted: "BLACKLISTED", EquipmentError: "+CME ERROR", Timeout: "time-out",
	}
	if r < 0 || int(r) >= len(names) {
		return "Result(" + strconv.Itoa(int(r)) + ")"
	}
	return names[r]
}

// parseNumber knows the codes of V0 on which modems agree. Above 10 they do not (11
// is RINGING to one and CONNECT 4800 to another), so those are None.
func parseNumber(line string) (r Result, detail string) {
	switch line {
	case "0":
		return OK, ""
	case "1":
		return Connect, ""
	case "2":
		return Ring, ""
	case "3":
		return NoCarrier, ""
	case "4":
		return Error, ""
	case "5":
		return Connect, "1200"
	case "6":
		return NoDialTone, ""
	case "7":
		return Busy, ""
	case "8":
		return NoAnswer, ""
	case "10":
		return Connect, "2400"
	}
	return None, ""
}

// parseWord knows the codes that stand alone.
func parseWord(line string) Result {
	switch line {
	case "OK":
		return OK
	case "NO CARRIER":
		return NoCarrier
	case "ERROR":
		return Error
	case "NO DIALTONE", "NO DIAL TONE":
		return NoDialTone
	case "BUSY":
		return Busy
	case "NO ANSWER":
		return NoAnswer
	case "RINGING", "RRING":
		return Ringing
	case "VOICE":
		return Voice
	}
	return None
}

// ParseResult reads one line, without its line end, as a result code in either
// dialect. The detail is what follows the code: "33600/ARQ/V34" for CONNECT, the time
// for DELAYED, "FULL" for BLACKLIST FULL, the number or text of an equipment error.
// Surrounding blanks do not matter, nor does the case of letters. A line that only
// begins like a result code ("OKAY", "CONNECTED TO") is None.
func ParseResult(line string) (r Result, detail string) {
	line = strings.TrimSpace(line)
	if isNumber(line) {
		return parseNumber(line)
	}
	upper := asciiUpper(line)
	if r := parseWord(upper); r != None {
		return r, ""
	}
	for _, p := range []struct {
		text string
		r    Result
	}{
		{"CONNECT", Connect}, {"DELAYED", Delayed}, {"BLACKLISTED", Blacklisted}, {"BLACKLIST", Blacklisted},
		{"+CME ERROR", EquipmentError}, {"+CMS ERROR", EquipmentError}, {"RING", Ring},
	} {
		if rest, ok := strings.CutPrefix(upper, p.text); ok && (rest == "" || strings.IndexByte(" :/\t", rest[0]) >= 0) {
			return p.r, strings.TrimLeft(line[len(p.text):], " :/\t")
		}
	}
	return None, ""
}

// isNumber says whether a line is digits and nothing else: a code of V0, or a piece
// of information.
func isNumber(line string) bool {
	return line != "" && strings.Trim(line, "0123456789") == ""
}

// asciiUpper keeps the length, which strings.ToUpper does not promise.
func asciiUpper(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 'a' + 'A'
		}
		return c
	}, s)
}

// connectRate finds the rate in what follows CONNECT, 0 when there is none. It may
// be the rate of the line or that of the serial port: modems differ.
func connectRate(detail string) int {
	for _, word := range strings.FieldsFunc(detail, func(c rune) bool { return strings.ContainsRune(" /:,", c) }) {
		if n, err := strconv.Atoi(word); err == nil && n > 0 {
			return n
		}
	}
	return 0
}
