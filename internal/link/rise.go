package link

import (
	"context"
	"fmt"
)

// rise is a line's Up, whatever its kind: two steps, told as they begin. It is cut
// short when the call's life ends, for Down may come at any time. onPhase may be nil.
func rise(ctx, life context.Context, onPhase func(phase string), dial, establish func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(life, func() { cancel(ErrClosed) })() //nolint:contextcheck // Down's side of the call
	for _, step := range []struct {
		phase string
		do    func(context.Context) error
	}{{PhaseDialling, dial}, {PhaseLinking, establish}} {
		if onPhase != nil {
			onPhase(step.phase)
		}
		err := step.do(ctx)
		if err == nil && life.Err() != nil {
			err = ErrClosed
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.phase, err)
		}
	}
	return nil
}
