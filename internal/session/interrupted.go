package session

import (
	"context"
	"time"

	"outpost/internal/tariff"
	"outpost/queue"
)

// CloseInterrupted closes the rows of calls that a crash or a power cut left
// without an end. It is called once every line is known to be on-hook. How long
// such a line was open is not known; the row holds the most it can have been,
// and what that costs by the line's tariff.
func CloseInterrupted(ctx context.Context, q *queue.Queue, tariffs map[string]tariff.Tariff) error {
	rows, err := q.Unfinished()
	if err != nil {
		return err
	}
	for _, row := range rows {
		t := tariffs[row.Line]
		row.Ended, row.OnHook = time.Now(), true
		row.Error = "the call was cut off when outpost stopped without ending it"
		if !row.Connected.IsZero() {
			row.Metered = row.Ended.Sub(row.Connected)
			charge := t.Charge(row.Metered)
			row.Units, row.Cost = charge.Units, t.Text(charge.Amount)
			row.Problems = append(row.Problems, "seconds and cost are the most they can be: when the line went down is not known")
		}
		if err := q.SaveCall(ctx, row); err != nil {
			return err
		}
	}
	return nil
}
