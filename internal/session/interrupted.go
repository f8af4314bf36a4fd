package session

import (
	"context"
	"time"

	"outpost/internal/tariff"
	"outpost/queue"
)

// CloseInterrupted closes the rows of calls without an end: a crash or a power
// cut left them so, or a hang-up that could not be confirmed. It is called once
// every line is known to be on-hook. How long such a line was open is not known;
// the row holds the most it can have been, and what that costs by the line's
// tariff.
func CloseInterrupted(ctx context.Context, q *queue.Queue, tariffs map[string]tariff.Tariff) error {
	rows, err := q.Unfinished()
	if err != nil {
		return err
	}
	for _, row := range rows {
		row.Ended, row.OnHook = time.Now(), true
		if row.Error == "" {
			row.Error = "the call was cut off when outpost stopped without ending it"
		}
		t, known := tariffs[row.Line]
		switch {
		case row.Connected.IsZero():
			row.Problems = append(row.Problems, "whether the call was answered is not known; if it was, its cost is missing here")
		case !known:
			row.Metered = row.Ended.Sub(row.Connected)
			row.Problems = append(row.Problems, "the line is not in the configuration any more: its cost is missing here")
		default:
			row.Metered = row.Ended.Sub(row.Connected)
			charge := t.At(row.Connected).Charge(row.Metered)
			row.Units, row.Cost = charge.Units, t.Text(charge.Amount)
			row.Problems = append(row.Problems, "seconds and cost are the most they can be: when the line went down is not known")
		}
		if err := q.SaveCall(ctx, row); err != nil {
			return err
		}
	}
	return nil
}
