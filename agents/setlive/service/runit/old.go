package runit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// Before implements [service.Lister]. A service folder of 2014 is one that its link leads to, and whose run script
// launches what is current.
func (r *Runit) Before(_ context.Context, spec service.Spec) service.Old {
	home := r.home(spec.App)
	if home.Owned() {
		return service.Old{}
	}
	_, errHome := os.Lstat(string(home))
	target, errLink := os.Readlink(r.link(spec.App))
	if _, err := os.Lstat(r.link(spec.App)); errors.Is(err, fs.ErrNotExist) && errors.Is(errHome, fs.ErrNotExist) {
		return service.Old{}
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(r.services, target)
	}
	if errLink == nil && target == string(home) && errors.Is(errHome, fs.ErrNotExist) {
		return service.Old{} // a link of ours that leads nowhere yet
	}
	if errLink != nil || target != string(home) {
		return service.Old{There: true, Problem: fmt.Sprintf("%s or %s is %v", r.link(spec.App), home, service.ErrForeign)}
	}
	old := service.Old{There: true}
	run, err := os.ReadFile(filepath.Join(string(home), service.RunName))
	if err != nil || !spec.Launches(run) {
		old.Problem = fmt.Sprintf("%s was not written by setlive and does not run %s: stop it, and move it away", home,
			filepath.Join(spec.Basedir, "current/bin/launch"))
	}
	s := supervise(home)
	if now, err := s.status(); err == nil && s.alive() && now.state == stateRun {
		p, problem := spec.Stranger(now.pid)
		old.Process = p
		if old.Problem == "" && problem != "" {
			old.Problem = fmt.Sprintf("%s is a service of 2014: %s", home, problem)
		}
	}
	return old
}

// Adopt implements [service.Writer].
func (r *Runit) Adopt(ctx context.Context, spec service.Spec, p service.Process) error {
	if now := r.Before(ctx, spec); !now.There || now.Problem != "" || now.Process.Running() != p.Running() || p.Running() && !now.Process.Is(p) {
		return fmt.Errorf("adopt service %s: it is no longer what it was", spec.App)
	}
	if err := r.home(spec.App).Adopt(spec, p, logRun()); err != nil {
		return err
	}
	return r.Install(ctx, spec)
}
