package intent

// History is the prefix of the commit log of what people declare.
func (t Tree) History() Prefix { return t.managed.Join("history", "intent") }

// Forks is the prefix below which the forks of this tree lie, each a root of its own.
func (t Tree) Forks() Prefix { return t.managed.Join("forks") }

// Fork is the tree of a fork: its intent, its history and what agents that were pointed at it write.
func (t Tree) Fork(name Name) Tree {
	root := t.Forks().Join(name)
	return Tree{intent: root.Join("intent"), managed: root}
}

// Root is what [ParseRoot] makes this tree of.
func (t Tree) Root() string {
	if t.intent == "" {
		return ""
	}
	return string(t.managed)
}

// Declared are the prefixes that hold all that people declare. With the layout of 2014 the top of the store holds much
// besides; there it is what that layout knew.
func (t Tree) Declared() []Prefix {
	if t.intent == "" {
		return []Prefix{"clusters/", "nodes/"}
	}
	return []Prefix{t.intent}
}
