package config

import (
	"slices"
	"time"

	"outpost/internal/tariff"
)

// Hold says what mail is so big that a person decides when it crosses the line.
type Hold struct {
	InAboveBytes  int64       `toml:"in_above_bytes"`
	OutAboveBytes int64       `toml:"out_above_bytes"`
	Hours         []HoldHours `toml:"hours"`
	ExpireDays    int         `toml:"expire_days"`
	NoteLines     int         `toml:"note_lines"`
	Manager       string      `toml:"manager"`
}

// HoldHours are hours with other limits, by the schedule's clock.
type HoldHours struct {
	Days          string `toml:"days"`
	From          string `toml:"from"`
	To            string `toml:"to"`
	InAboveBytes  *int64 `toml:"in_above_bytes"`
	OutAboveBytes *int64 `toml:"out_above_bytes"`
}

// Bounce says when a sender is told that his mail waits, and when it is given up.
type Bounce struct {
	DelayCalls  int `toml:"delay_calls"`
	DelayHours  int `toml:"delay_hours"`
	GiveUpDays  int `toml:"give_up_days"`
	GiveUpCalls int `toml:"give_up_calls"`
}

// Rule is something that is done with mail of some kind.
type Rule struct {
	Name             string   `toml:"name"`
	Origin           string   `toml:"origin"`
	Box              []string `toml:"box"`
	From             []string `toml:"from"`
	To               []string `toml:"to"`
	Subject          []string `toml:"subject"`
	ListID           []string `toml:"list_id"`
	Header           []string `toml:"header"`
	LargerThanBytes  int64    `toml:"larger_than_bytes"`
	SmallerThanBytes int64    `toml:"smaller_than_bytes"`
	DeliverTo        []string `toml:"deliver_to"`
	CopyTo           []string `toml:"copy_to"`
	Folder           string   `toml:"folder"`
	Hold             bool     `toml:"hold"`
	Forward          []string `toml:"forward"`
	Discard          bool     `toml:"discard"`
	Stop             bool     `toml:"stop"`
}

// The words of a rule's origin key; "" is both.
const (
	OriginCollected = "collected"
	OriginOffice    = "office"
)

// Delay is after how many hours a sender is told that his mail waits; 0: hours alone
// don't tell him.
func (b Bounce) Delay() time.Duration { return time.Duration(b.DelayHours) * time.Hour }

// GiveUp is how long mail is tried at least; 0: for ever.
func (b Bounce) GiveUp() time.Duration { return days(b.GiveUpDays) }

// HoldIn gives the octets above which a message of a box is looked at before it is collected; 0: none is. The box's own
// limit counts, else those of the users it delivers to: their own, or that of the hour, or [hold]'s. Where they have
// different limits, the highest counts: what one of them need not wait for crosses the line anyway. Where it isn't known for
// whom a message is (a catch-all box, a list), it is the lowest, and Wants says what then comes all the same.
func (c *Config) HoldIn(b Box, at time.Time) int64 {
	if b.HoldAboveBytes != nil {
		return *b.HoldAboveBytes
	}
	limits := make([]int64, 0, len(b.DeliverTo))
	for _, name := range b.DeliverTo {
		if !c.isUser(name) && slices.ContainsFunc(c.Lists, func(l List) bool { return l.Name == name }) {
			return c.lowestIn(at)
		}
		limits = append(limits, c.limitIn(name, at))
	}
	switch {
	case len(limits) == 0:
		return c.lowestIn(at)
	case slices.Contains(limits, 0):
		return 0
	}
	return slices.Max(limits)
}

// Wants says that a message of that size, over HoldIn, is collected all the same, as it is for somebody who need not wait for
// it. users are those whom it is for; none: [hold]'s limit decides.
func (c *Config) Wants(b Box, users []string, octets int64, at time.Time) bool {
	if b.HoldAboveBytes != nil {
		return false
	}
	if len(users) == 0 {
		users = []string{""}
	}
	return slices.ContainsFunc(users, func(name string) bool {
		limit := c.limitIn(name, at)
		return limit == 0 || octets <= limit
	})
}

func (c *Config) isUser(name string) bool {
	return slices.ContainsFunc(c.Users, func(u User) bool { return u.Name == name })
}

// limitIn is the limit for mail to a user; the general one for any other name.
func (c *Config) limitIn(name string, at time.Time) int64 {
	if i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == name }); i >= 0 && c.Users[i].HoldInAboveBytes != nil {
		return *c.Users[i].HoldInAboveBytes
	}
	if h := c.hoursAt(at, func(h HoldHours) bool { return h.InAboveBytes != nil }); h != nil {
		return *h.InAboveBytes
	}
	return c.Hold.InAboveBytes
}

// lowestIn is the lowest limit that anybody has; 0: nobody has one.
func (c *Config) lowestIn(at time.Time) int64 {
	lowest := c.limitIn("", at)
	for _, u := range c.Users {
		if own := u.HoldInAboveBytes; own != nil && *own > 0 && (lowest == 0 || *own < lowest) {
			lowest = *own
		}
	}
	return lowest
}

// HoldOut gives the octets above which a message of a user is not sent unasked at a
// moment; 0: none is held. The user's own limit counts, else that of the hour, else
// [hold]'s.
func (c *Config) HoldOut(u User, at time.Time) int64 {
	if u.HoldOutAboveBytes != nil {
		return *u.HoldOutAboveBytes
	}
	if h := c.hoursAt(at, func(h HoldHours) bool { return h.OutAboveBytes != nil }); h != nil {
		return *h.OutAboveBytes
	}
	return c.Hold.OutAboveBytes
}

// HoldExpire is after how long a held message of a box is deleted at the provider; 0:
// never.
func (c *Config) HoldExpire(b Box) time.Duration {
	if b.HoldExpireDays != nil {
		return days(*b.HoldExpireDays)
	}
	return days(c.Hold.ExpireDays)
}

// hoursAt gives the first hours that a moment lies in, of those that say something.
func (c *Config) hoursAt(at time.Time, says func(HoldHours) bool) *HoldHours {
	at = at.In(c.Schedule.Location())
	for i, h := range c.Hold.Hours {
		hours, err := tariff.ParseHours(h.Days, h.From, h.To)
		if err == nil && says(h) && hours.Contains(at) {
			return &c.Hold.Hours[i]
		}
	}
	return nil
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
