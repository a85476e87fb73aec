package engine

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/platypus-platform/platypus/intent/wasm"
)

// reply is the reply to a call that a seed made, kept until the seed closes it.
type reply struct {
	data []byte
	open bool
}

// hostFunctions are the functions of the import module pln; [wasm.HostTypes] has their types.
var hostFunctions = map[string]func(i *instance, m api.Module, stack []uint64){
	"input_len":    func(i *instance, _ api.Module, stack []uint64) { stack[0] = uint64(len(i.call.Input)) },
	"input_read":   (*instance).inputRead,
	"output_write": (*instance).outputWrite,
	"meta":         (*instance).meta,
	"log":          (*instance).logLine,
	"call":         (*instance).callOther,
	"tail_call":    (*instance).tailCall,
	"http_fetch":   (*instance).fetch,
	"reply_read":   (*instance).replyRead,
	"reply_close":  (*instance).replyClose,
	"error_read":   (*instance).errorRead,
}

// addHostModule adds the import module pln to the seed's runtime.
func (s *Seed) addHostModule(ctx context.Context) error {
	module := s.runtime.NewHostModuleBuilder(wasm.Host)
	for name, do := range hostFunctions {
		from, to := typesOf(wasm.HostTypes[name])
		module = module.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			do(ctx.Value(instanceKey{}).(*instance), m, stack)
		}), from, to).Export(name)
	}
	_, err := module.Instantiate(ctx)
	return err
}

// typesOf parses a type in the syntax of [wasm.HostTypes].
func typesOf(text string) (from, to []api.ValueType) {
	into := &from
	for at := 0; at < len(text); at++ {
		switch {
		case text[at] == '>':
			into = &to
		case text[at] == 'i':
			kind := api.ValueTypeI32
			if text[at:at+3] == "i64" {
				kind = api.ValueTypeI64
			}
			*into = append(*into, kind)
		}
	}
	return from, to
}

func signed(n int32) uint64 { return uint64(uint32(n)) }

// copyOut copies as much of data from off on to the guest's memory as fits into size. It returns the number of bytes,
// or TooLarge if the memory is out of range.
func copyOut(m api.Module, data []byte, ptr, off, size uint32) uint64 {
	if uint64(off) > uint64(len(data)) {
		return 0
	}
	part := data[off:]
	part = part[:min(len(part), int(size))]
	if !m.Memory().Write(ptr, part) {
		return signed(int32(TooLarge))
	}
	return uint64(len(part))
}

func (i *instance) inputRead(m api.Module, stack []uint64) {
	stack[0] = copyOut(m, i.call.Input, uint32(stack[0]), uint32(stack[1]), uint32(stack[2]))
}

func (i *instance) outputWrite(m api.Module, stack []uint64) {
	part, ok := m.Memory().Read(uint32(stack[0]), uint32(stack[1]))
	if !ok || len(i.call.Output)+len(part) > MaxOutput {
		i.outputExceeded = true
		stack[0] = signed(int32(TooLarge))
		return
	}
	i.call.Output = append(i.call.Output, part...)
	stack[0] = uint64(len(part))
}

// meta returns the value of a key: caller, request, chain (a JSON array), deadline_ms (what is left), seed.
func (i *instance) meta(m api.Module, stack []uint64) {
	key, ok := m.Memory().Read(uint32(stack[0]), uint32(stack[1]))
	if !ok || len(key) > 64 {
		stack[0] = signed(int32(NotFound))
		return
	}
	var value []byte
	switch string(key) {
	case "caller":
		value = []byte(i.call.Meta.Caller)
	case "request":
		value = []byte(i.call.Meta.Request)
	case "chain":
		value, _ = json.Marshal(i.call.Meta.Chain)
	case "deadline_ms":
		value = strconv.AppendInt(nil, time.Until(i.call.Deadline).Milliseconds(), 10)
	case "seed":
		value = []byte(i.seed.Name)
	default:
		stack[0] = signed(int32(NotFound))
		return
	}
	copyOut(m, value, uint32(stack[2]), 0, uint32(stack[3]))
	stack[0] = uint64(len(value))
}

func (i *instance) logLine(m api.Module, stack []uint64) {
	size := min(uint32(stack[2]), maxLine)
	if line, ok := m.Memory().Read(uint32(stack[1]), size); ok {
		i.seed.writeLog(int(int32(stack[0])), line)
	}
}

func (i *instance) errorRead(m api.Module, stack []uint64) {
	copyOut(m, []byte(i.lastError), uint32(stack[0]), 0, uint32(stack[1]))
	stack[0] = uint64(len(i.lastError))
}
