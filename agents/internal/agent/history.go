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

// Bounds of what is remembered of the past, for people.
const (
	maxTransitions = 20       // of one subject
	maxRemembered  = 300      // subjects; those that changed longest ago go first
	maxText        = 160      // bytes of a reason
	maxPast        = 48 << 10 // bytes, about, of all transitions in one report, which must stay small
)

// history remembers how each subject came to where it stands. It is a cache in the state directory, written when
// something changes, and forgotten without harm.
type history struct {
	agent *Agent
	of    map[string][]intent.Transition
	fault string
}

func newHistory(a *Agent) *history {
	h := &history{agent: a}
	if !a.recall(h.path(), &h.of) || h.of == nil {
		h.of = map[string][]intent.Transition{}
	}
	maps.DeleteFunc(h.of, func(_ string, past []intent.Transition) bool { return len(past) == 0 })
	return h
}

func (h *history) path() string { return filepath.Join(h.agent.StateDir, "transitions.json") }

// follow notes what changed and tells each subject its past.
func (h *history) follow(subjects map[string]intent.State, now time.Time) {
	now = now.UTC().Truncate(time.Millisecond)
	changed := false
	for name, s := range subjects {
		changed = h.enter(name, transition(s, now)) || changed
	}
	for name, past := range h.of {
		if _, still := subjects[name]; !still && past[len(past)-1].Phase != intent.Gone {
			changed = h.enter(name, intent.Transition{At: now, Phase: intent.Gone}) || changed
		}
	}
	if changed {
		h.save()
	}
	depth := h.depth(subjects)
	for name, s := range subjects {
		past := h.of[name]
		s.Transitions = append([]intent.Transition(nil), past[max(0, len(past)-depth):]...)
		subjects[name] = s
	}
}

// transition is what a state would be remembered as. Words that change while something is under way are not news.
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

// enter adds a transition unless it is none.
func (h *history) enter(name string, t intent.Transition) bool {
	past := h.of[name]
	if len(past) > 0 {
		last := past[len(past)-1]
		if last.Phase == t.Phase && last.Want == t.Want && (last.Text == t.Text || t.Phase != converge.Failed) {
			return false
		}
	}
	past = append(past, t)
	h.of[name] = past[max(0, len(past)-maxTransitions):]
	return true
}

// depth is how many transitions of each subject have room in a report.
func (h *history) depth(subjects map[string]intent.State) int {
	for depth := maxTransitions; depth > 1; depth-- {
		bytes := 0
		for name := range subjects {
			past := h.of[name]
			for _, t := range past[max(0, len(past)-depth):] {
				bytes += 70 + len(t.Want) + len(t.Text)
			}
		}
		if bytes <= maxPast {
			return depth
		}
	}
	return 1
}

// save keeps the past. That it cannot is said once.
func (h *history) save() {
	for len(h.of) > maxRemembered {
		oldest := ""
		for name, past := range h.of {
			if oldest == "" || past[len(past)-1].At.Before(h.of[oldest][len(h.of[oldest])-1].At) {
				oldest = name
			}
		}
		delete(h.of, oldest)
	}
	fault := ""
	if err := host.WriteCache(h.path(), h.of); err != nil {
		fault = fmt.Sprintf("remember transitions: %v", err)
	}
	if fault != "" && fault != h.fault {
		h.agent.Log.Warn("", fault)
	}
	h.fault = fault
}
