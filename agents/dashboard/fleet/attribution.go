package fleet

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Commit is what the history of intent says of one change.
type Commit struct {
	At      time.Time
	By      string
	Message string
	Keys    []string // below the intent prefix
}

// attributionWindow is how far apart the writing of a change and its noticing here may be.
const attributionWindow = 10 * time.Second

// Attribute takes the newest commits of the history, newest first: who changed intent, and why. What was noticed here and
// what the history tells of it are one change.
func (r *Reader) Attribute(commits []Commit) { r.commits = commits[:min(len(commits), maxChanges)] }

// kindsOfKeys are the kinds of change by the folder of a key.
var kindsOfKeys = map[string]string{"regions": "region", "machines": "machine", "vms": "vm"}

// attributed returns what was noticed with what the history adds to it, and the commits that nobody noticed.
func (r *Reader) attributed() []Change {
	list := append([]Change{}, r.changeLog...)
	told := make([]bool, len(r.commits))
	for i, seen := range list {
		nearest := -1
		for j, c := range r.commits {
			if !c.matches(seen) {
				continue
			}
			told[j] = true
			if nearest < 0 || seen.At.Sub(c.At).Abs() < seen.At.Sub(r.commits[nearest].At).Abs() {
				nearest = j
			}
		}
		if nearest >= 0 {
			list[i].Text = Clip(seen.Text + r.commits[nearest].by())
		}
	}
	for j, c := range r.commits {
		if !told[j] && len(c.Keys) > 0 {
			list = append(list, c.change())
		}
	}
	return list
}

// matches reports whether the commit is what was noticed.
func (c Commit) matches(seen Change) bool {
	if seen.At.Sub(c.At).Abs() > attributionWindow || seen.Kind == "" {
		return false
	}
	same := 0
	for _, key := range c.Keys {
		folder, below, _ := strings.Cut(key, "/")
		if kindsOfKeys[folder] != seen.Kind {
			continue
		}
		same++
		if below[strings.LastIndexByte(below, '/')+1:] == seen.Subject {
			return true
		}
	}
	return same > 1 && strings.HasPrefix(seen.Subject, fmt.Sprint(same, " ")) // many at once, told in one line
}

func (c Commit) by() string {
	text := ""
	if c.By != "" {
		text = " · by " + c.By
	}
	if c.Message != "" {
		text += ": " + c.Message
	}
	return text
}

// change is a commit as a line of its own.
func (c Commit) change() Change {
	folder, below, _ := strings.Cut(c.Keys[0], "/")
	change := Change{At: c.At, Kind: cmp.Or(kindsOfKeys[folder], "intent"), Subject: below[strings.LastIndexByte(below, '/')+1:]}
	if kindsOfKeys[folder] == "" {
		change.Subject = c.Keys[0]
	} else if change.Kind == "machine" {
		change.Machine = change.Subject
	}
	if more := len(c.Keys) - 1; more > 0 {
		change.Subject, change.Machine = fmt.Sprint(len(c.Keys), " keys"), ""
	}
	change.Text, change.Subject = Clip("declared"+c.by()), Clip(change.Subject)
	return change
}
