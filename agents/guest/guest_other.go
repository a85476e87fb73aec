//go:build !wasip1

package guest

// Input returns nothing outside of a seed.
func Input() []byte { return nil }

// Output does nothing outside of a seed.
func Output(...[]byte) {}

// Log does nothing outside of a seed.
func Log(int, string) {}

// Meta knows nothing outside of a seed.
func Meta(string) string { return "" }

func call(string, []byte, int32) int64 { return int64(Unavailable) }
func tailCall(string, []byte) int32    { return int32(Unavailable) }
func httpFetch([]byte, int32) int64    { return int64(Unavailable) }
func replyRead(int32, []byte)          {}
func replyClose(int32)                 {}
func errorRead(into []byte) int        { return copy(into, `{"error":"this program is no seed"}`) }
