package runit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// Before implements [service.Lister]. A service folder of 2014 is one that its link leads to, and whose run script
// launches what is current.
func (r *Runit) Before(_ context.Context, spec service.Spec) (service.Old, error) {
	home := r.home(spec.App)
	if owned, err := home.Owned(); owned || err != nil {
		return service.Old{}, err
	}
	_, errHome := os.Lstat(string(home))
	folder, unseenHome := service.There(errHome)
	_, errLink := os.Lstat(r.link(spec.App))
	link, unseenLink := service.There(errLink)
	if err := errors.Join(unseenHome, unseenLink); err != nil || !folder && !link {
		return service.Old{}, err
	}
	target, err := os.Readlink(r.link(spec.App))
	linked, err := service.There(err)
	if err != nil {
		return service.Old{}, err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(r.services, target)
	}
	switch ours := linked && target == string(home); {
	case ours && !folder:
		return service.Old{}, nil // a link of ours that leads nowhere yet
	case !ours:
		return service.Old{There: true, Problem: fmt.Sprintf("%s or %s is %v", r.link(spec.App), home, service.ErrForeign)}, nil
	}
	return r.old(spec)
}

// old looks at the service folder of another hand that is linked like ours.
func (r *Runit) old(spec service.Spec) (service.Old, error) {
	home, old := r.home(spec.App), service.Old{There: true}
	run, err := os.ReadFile(filepath.Join(string(home), service.RunName))
	readable, err := service.There(err)
	if err != nil {
		return old, err
	}
	if !readable || !spec.Launches(run) {
		old.Problem = fmt.Sprintf("%s was not written by setlive and does not run %s: stop it, and move it away", home,
			filepath.Join(spec.Basedir, "current/bin/launch"))
	}
	s := supervise(home)
	alive, err := s.alive()
	if !alive {
		return old, err
	}
	now, err := s.status()
	if errors.Is(err, service.ErrUnseen) {
		return old, err
	}
	if err != nil || now.state != stateRun {
		return old, nil
	}
	p, problem, err := spec.Stranger(now.pid, now.since)
	old.Process = p
	if old.Problem == "" && problem != "" {
		old.Problem = fmt.Sprintf("%s is a service of 2014: %s", home, problem)
	}
	return old, err
}

// Adopt implements [service.Writer].
func (r *Runit) Adopt(ctx context.Context, spec service.Spec, p service.Process) error {
	now, err := r.Before(ctx, spec)
	if err != nil {
		return fmt.Errorf("adopt service %s: %w", spec.App, err)
	}
	if !now.There || now.Problem != "" || now.Process.Running() != p.Running() || p.Running() && !now.Process.Is(p) {
		return fmt.Errorf("adopt service %s: it is no longer what it was", spec.App)
	}
	if err := r.home(spec.App).Adopt(spec, p, logRun()); err != nil {
		return err
	}
	return r.Install(ctx, spec)
}
