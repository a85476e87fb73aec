package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// Before implements [service.Lister]. In 2014 there were no units, so there is none to take over.
func (s *Systemd) Before(ctx context.Context, spec service.Spec) (service.Old, error) {
	home := s.home(spec.App)
	if owned, err := home.Owned(); owned || err != nil {
		return service.Old{}, err
	}
	_, err := os.Lstat(string(home))
	there, err := service.There(err)
	if err != nil {
		return service.Old{}, err
	}
	err = s.foreign(ctx, spec.App)
	if err == nil && there {
		err = fmt.Errorf("%s: %w", home, service.ErrForeign)
	}
	switch {
	case err == nil:
		return service.Old{}, nil
	case errors.Is(err, service.ErrForeign) || errors.Is(err, errMasked):
		return service.Old{There: true, Problem: err.Error()}, nil
	}
	return service.Old{}, err
}

// Adopt implements [service.Writer].
func (s *Systemd) Adopt(context.Context, service.Spec, service.Process) error {
	return errors.New("adopt service: no unit of 2014 is known")
}
