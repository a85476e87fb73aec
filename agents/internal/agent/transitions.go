package agent

import (
	"fmt"
	"maps"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// Bounds of the transitions that are kept.
const (
	maxTransitions = 20       // of one subject
	maxSubjects    = 300      // subjects; the least recently changed are dropped first
	maxText        = 160      // bytes of a reason
	maxReportBytes = 48 << 10 // approximate bytes of all transitions in one report, which must stay small
)

// transitionLog keeps the recent transitions of each subject. It is a cache in the state directory, written when
// something changes; losing it is harmless.
type transitionLog struct {
	agent     *Agent
	bySubject map[string][]intent.Transition
	fault     string
}

func newTransitionLog(a *Agent) *transitionLog {
	h := &transitionLog{agent: a}
	if !a.loadCache(h.path(), &h.bySubject) || h.bySubject == nil {
		h.bySubject = map[string][]intent.Transition{}
	}
	maps.DeleteFunc(h.bySubject, func(_ string, past []intent.Transition) bool { return len(past) == 0 })
	return h
}

func (h *transitionLog) path() string { return filepath.Join(h.agent.StateDir, "transitions.json") }

// record adds what changed, and sets the transitions of each subject.
func (h *transitionLog) record(subjects map[string]intent.State, now time.Time) {
	now = now.UTC().Truncate(time.Millisecond)
	changed := false
	for name, s := range subjects {
		changed = h.add(name, transition(s, now)) || changed
	}
	for name, past := range h.bySubject {
		if _, still := subjects[name]; !still && past[len(past)-1].Phase != intent.Gone {
			changed = h.add(name, intent.Transition{At: now, Phase: intent.Gone}) || changed
		}
	}
	if changed {
		h.save()
	}
	depth := h.depth(subjects)
	for name, s := range subjects {
		past := h.bySubject[name]
		s.Transitions = append([]intent.Transition(nil), past[max(0, len(past)-depth):]...)
		subjects[name] = s
	}
}

// transition is the entry for a state. It leaves out reasons that change while a step is running.
func transition(s intent.State, now time.Time) intent.Transition {
	text := s.Error
	if text == "" && s.Phase != converge.Converged && s.Phase != converge.Working {
		text = s.Reason
	}
	if len(text) > maxText {
		cut := maxText
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return intent.Transition{At: now, Phase: s.Phase, Want: s.Want, Text: text}
}

// add appends a transition if it differs from the last one, and reports whether it did.
func (h *transitionLog) add(name string, t intent.Transition) bool {
	past := h.bySubject[name]
	if len(past) > 0 {
		last := past[len(past)-1]
		if last.Phase == t.Phase && last.Want == t.Want && (last.Text == t.Text || t.Phase != converge.Failed) {
			return false
		}
	}
	past = append(past, t)
	h.bySubject[name] = past[max(0, len(past)-maxTransitions):]
	return true
}

// depth is how many transitions of each subject fit into a report.
func (h *transitionLog) depth(subjects map[string]intent.State) int {
	for depth := maxTransitions; depth > 1; depth-- {
		bytes := 0
		for name := range subjects {
			past := h.bySubject[name]
			for _, t := range past[max(0, len(past)-depth):] {
				bytes += 70 + len(t.Want) + len(t.Text)
			}
		}
		if bytes <= maxReportBytes {
			return depth
		}
	}
	return 1
}

// save writes the cache. It logs a failure once.
func (h *transitionLog) save() {
	for len(h.bySubject) > maxSubjects {
		oldest := ""
		for name, past := range h.bySubject {
			if oldest == "" || past[len(past)-1].At.Before(h.bySubject[oldest][len(h.bySubject[oldest])-1].At) {
				oldest = name
			}
		}
		delete(h.bySubject, oldest)
	}
	fault := ""
	if err := host.WriteCache(h.path(), h.bySubject); err != nil {
		fault = fmt.Sprintf("remember transitions: %v", err)
	}
	if fault != "" && fault != h.fault {
		h.agent.Log.Warn("", fault)
	}
	h.fault = fault
}
