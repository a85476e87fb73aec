package intent

import (
	"bytes"
	"encoding/json"
)

// Reaction is what happens to a running process if the settings of its app change and its version does not. Setlive
// acts on it and the command line predicts it, so both use this function.
type Reaction string

// The reactions.
const (
	ReactionNone    Reaction = ""        // nothing visible to the process changed
	ReactionRestart Reaction = "restart" // the process is replaced
	ReactionSignal  Reaction = "signal"  // the file with user_config changes, then it gets a signal
	ReactionFile    Reaction = "file"    // the file with user_config changes; the process reads it whenever it wants
)

// Reaction returns the reaction to a change. settings reports whether a start setting other than user_config (basedir,
// run_as) differs, userConfig whether user_config does.
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

// SettleConfig returns a user_config in canonical form (white space and order of members), {} for none: equal forms
// mean the same to an app.
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
