package intent

import (
	"bytes"
	"encoding/json"
)

// Reaction is what becomes of a running process when its app's settings change and its version does not. Setlive acts on
// it and the command line predicts it, so both ask the same function.
type Reaction string

// The reactions.
const (
	ReactionNone    Reaction = ""        // nothing that a process knows has changed
	ReactionRestart Reaction = "restart" // another process takes its place
	ReactionSignal  Reaction = "signal"  // the file with user_config changes, then it gets a signal
	ReactionFile    Reaction = "file"    // the file with user_config changes, and it reads that when it pleases
)

// Reaction decides what a change needs: settings reports whether anything but user_config that a process gets at its
// start differs (basedir, run_as), userConfig whether that does.
func (o OnConfig) Reaction(settings, userConfig bool) Reaction {
	_, signals := o.Signal()
	switch {
	case settings:
		return ReactionRestart
	case !userConfig:
		return ReactionNone
	case signals:
		return ReactionSignal
	case o == OnConfigNothing:
		return ReactionFile
	}
	return ReactionRestart
}

// SettleConfig returns a user_config with its white space and the order of its members settled, {} for none: two that
// are settled alike are the same to an app.
func SettleConfig(config []byte) []byte {
	if len(bytes.TrimSpace(config)) == 0 {
		return []byte("{}")
	}
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return config
	}
	settled, err := json.Marshal(value)
	if err != nil {
		return config
	}
	return settled
}
