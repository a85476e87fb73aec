package guest

import "unsafe"

//go:wasmimport pln input_len
func plnInputLen() int32

//go:wasmimport pln input_read
func plnInputRead(ptr unsafe.Pointer, off, size int32) int32

//go:wasmimport pln output_write
func plnOutputWrite(ptr unsafe.Pointer, size int32) int32

//go:wasmimport pln meta
func plnMeta(key unsafe.Pointer, keySize int32, ptr unsafe.Pointer, size int32) int32

//go:wasmimport pln log
func plnLog(level int32, ptr unsafe.Pointer, size int32)

//go:wasmimport pln call
func plnCall(uri unsafe.Pointer, uriSize int32, ptr unsafe.Pointer, size, timeout int32) int64

//go:wasmimport pln tail_call
func plnTailCall(uri unsafe.Pointer, uriSize int32, ptr unsafe.Pointer, size int32) int32

//go:wasmimport pln http_fetch
func plnHTTPFetch(ptr unsafe.Pointer, size, timeout int32) int64

//go:wasmimport pln reply_read
func plnReplyRead(handle int32, ptr unsafe.Pointer, off, size int32) int32

//go:wasmimport pln reply_close
func plnReplyClose(handle int32) int32

//go:wasmimport pln error_read
func plnErrorRead(ptr unsafe.Pointer, size int32) int32

func at(p []byte) (unsafe.Pointer, int32) { return unsafe.Pointer(unsafe.SliceData(p)), int32(len(p)) }

func of(s string) (unsafe.Pointer, int32) { return unsafe.Pointer(unsafe.StringData(s)), int32(len(s)) }

// Input returns what this call was given.
func Input() []byte {
	data := make([]byte, plnInputLen())
	ptr, size := at(data)
	plnInputRead(ptr, 0, size)
	return data
}

// Output answers. What is answered in parts is put together.
func Output(parts ...[]byte) {
	for _, p := range parts {
		plnOutputWrite(at(p))
	}
}

// Log says something in the log of the node.
func Log(level int, text string) {
	ptr, size := of(text)
	plnLog(int32(level), ptr, size)
}

// Meta returns what is known of this call: "caller" (a seed), "request", "chain" (the seeds on the way, in JSON), "seed"
// (the name of this one), "deadline_ms" (how long it may still take). What is not known is "".
func Meta(key string) string {
	buffer := make([]byte, 1<<10)
	k, keySize := of(key)
	ptr, size := at(buffer)
	n := plnMeta(k, keySize, ptr, size)
	return string(buffer[:max(0, min(n, size))])
}

func call(uri string, input []byte, timeout int32) int64 {
	u, uriSize := of(uri)
	ptr, size := at(input)
	return plnCall(u, uriSize, ptr, size, timeout)
}

func tailCall(uri string, input []byte) int32 {
	u, uriSize := of(uri)
	ptr, size := at(input)
	return plnTailCall(u, uriSize, ptr, size)
}

func httpFetch(request []byte, timeout int32) int64 {
	ptr, size := at(request)
	return plnHTTPFetch(ptr, size, timeout)
}

func replyRead(handle int32, into []byte) {
	ptr, size := at(into)
	plnReplyRead(handle, ptr, 0, size)
}

func replyClose(handle int32) { plnReplyClose(handle) }

func errorRead(into []byte) int {
	ptr, size := at(into)
	return int(plnErrorRead(ptr, size))
}
