package intent

// History is the prefix of the commit log of what people declare.
func (t Tree) History() Prefix { return t.managed.Join("history", "intent") }

// Forks is the prefix of the forks of this tree, each with its own root.
func (t Tree) Forks() Prefix { return t.managed.Join("forks") }

// Fork is the tree of a fork: its intent, its history and what its agents write.
func (t Tree) Fork(name Name) Tree {
	root := t.Forks().Join(name)
	return Tree{intent: root.Join("intent"), managed: root}
}

// Root returns the argument of [ParseRoot] for this tree.
func (t Tree) Root() string {
	if t.intent == "" {
		return ""
	}
	return string(t.managed)
}

// Declared returns the prefixes that hold everything that people declare. With the layout of 2014, the top of the store
// also holds other keys; there it returns the prefixes of that layout.
func (t Tree) Declared() []Prefix {
	if t.intent == "" {
		return []Prefix{"clusters/", "nodes/"}
	}
	return []Prefix{t.intent}
}
