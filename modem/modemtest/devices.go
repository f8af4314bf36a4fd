package modemtest

import "time"

// Courier is a US Robotics Courier on a telephone line.
func Courier() Options {
	return Options{
		Echo: true, Accept: []string{"&A", "&B", "&H", "&I"}, DialTime: 25 * time.Second,
		Up: 33600, Down: 33600, Delay: 75 * time.Millisecond, ConnectLine: "CONNECT 33600",
	}
}

// GSM is a stick for GSM, 3G and LTE, with packet data. It is registered 8 s after its
// card was open, and says so for the packet side as for the other.
func GSM() Options {
	return Options{
		Echo: true, DialTime: 2 * time.Second, Delay: 150 * time.Millisecond, ConnectLine: "CONNECT 21600000",
		SIM:          SIM{Busy: 2 * time.Second},
		Registration: []Registered{{0, 2}, {8 * time.Second, 1}}, Operator: "Safaricom", Signal: "18,99",
		Unsolicited: []string{"^RSSI:18"}, // such sticks talk when they like
	}
}

// GSMCSD is a GSM module that makes a circuit-switched data call.
func GSMCSD() Options {
	o := GSM()
	o.Refuse = []string{"+CEREG", "+CPINR"} // older than both
	o.Up, o.Down, o.Delay, o.DialTime = 9600, 9600, 300*time.Millisecond, 20*time.Second
	o.ConnectLine = "CONNECT 9600/RLP"
	return o
}

// Iridium is an Iridium module under an open sky.
func Iridium() Options {
	return Options{
		Echo: true, Compact: true, DialTime: 30 * time.Second, Burst: 90 * time.Millisecond,
		Up: 2400, Down: 2400, Delay: 850 * time.Millisecond, Jitter: 400 * time.Millisecond,
		ConnectLine:  "CONNECT 19200", // the cable's rate
		Registration: []Registered{{0, 2}, {20 * time.Second, 1}}, Signal: "4",
		Refuse: []string{"+CEREG", "+CGREG", "+CPINR", "+CMEE", "+CGDCONT"},
	}
}

// Thuraya is a Thuraya handset.
func Thuraya() Options {
	o := GSMCSD()
	o.Delay = 500 * time.Millisecond
	o.Refuse = append(o.Refuse, "+CGREG")
	o.Operator = "Thuraya"
	return o
}

// BGAN is an Inmarsat BGAN terminal with packet data.
func BGAN() Options {
	o := GSM()
	o.Delay, o.Operator = 600*time.Millisecond, "Inmarsat"
	o.Refuse = []string{"+CEREG", "+CPINR"}
	o.Unsolicited = nil
	return o
}
