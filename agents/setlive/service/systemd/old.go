package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// Before implements [service.Lister]. In 2014 there were no units, so there is none to take over.
func (s *Systemd) Before(ctx context.Context, spec service.Spec) service.Old {
	home := s.home(spec.App)
	if home.Owned() {
		return service.Old{}
	}
	err := s.foreign(ctx, spec.App)
	if _, errHome := os.Lstat(string(home)); err == nil && errHome == nil {
		err = fmt.Errorf("%s: %w", home, service.ErrForeign)
	}
	if err == nil {
		return service.Old{}
	}
	return service.Old{There: true, Problem: err.Error()}
}

// Adopt implements [service.Writer].
func (s *Systemd) Adopt(context.Context, service.Spec, service.Process) error {
	return errors.New("adopt service: no unit of 2014 is known")
}
