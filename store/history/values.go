package history

import "context"

// resolve fills in the values of commits.
func (l *Log) resolve(ctx context.Context, commits []Commit, head Head) error {
	for i := range commits {
		for j := range commits[i].Changes {
			x := &commits[i].Changes[j]
			if x.Op == Put && x.stored.how == whole {
				x.Value = x.stored.data
			}
		}
	}
	return nil
}

// fill fills in the values of a state.
func (l *Log) fill(ctx context.Context, s *State, head Head) error {
	for key, e := range s.entries {
		if e.how == whole {
			e.Data = e.stored.data
			s.entries[key] = e
		}
	}
	return nil
}
