package main

import (
	"context"
	"time"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
	"github.com/platypus-platform/platypus/store/history"
)

// maxCommits is how many commits of the history are told.
const maxCommits = 40

// followHistory reads the newest commits of the history whenever it is asked to, and hands them over when they are
// others. A store without a history, or a token that may not read it, has nothing to tell: the page then goes without.
func (s *dashboard) followHistory(ctx context.Context, asked <-chan struct{}, out chan<- []fleet.Commit) {
	log := history.Open(s.agent.Store, s.agent.Tree)
	var newest uint64
	for {
		select {
		case <-asked:
		case <-ctx.Done():
			return
		}
		reading, end := context.WithTimeout(ctx, time.Minute)
		var commits []fleet.Commit
		first := newest
		for c, err := range log.Commits(reading, history.Query{}) {
			if err != nil || len(commits) == maxCommits || c.Seq == first && len(commits) == 0 {
				break
			}
			newest = max(newest, c.Seq)
			told := fleet.Commit{At: c.At, By: c.Note.Author.Name, Message: c.Note.Message}
			for _, change := range c.Changes {
				told.Keys = append(told.Keys, change.Key)
			}
			commits = append(commits, told)
		}
		end()
		if len(commits) == 0 {
			continue
		}
		select {
		case out <- commits:
		case <-ctx.Done():
			return
		}
	}
}
