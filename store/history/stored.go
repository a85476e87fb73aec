package history

// how is the way in which a value is kept.
type how string

// The ways.
const (
	whole how = ""  // its bytes, in the record
	delta how = "d" // deflated with the value that commit anchor gave the same key as its dictionary, in the record
	blob  how = "b" // deflated, under its own hash
)

// stored is a value as a record keeps it.
type stored struct {
	how     how
	anchor  uint64 // of a delta
	created uint64 // CreateIndex of the key; 0: not known
	data    []byte // as kept
}
