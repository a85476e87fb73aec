package embedded

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const (
	maxValue = 512 << 10 // bytes
	maxKey   = 32 << 10  // bytes; the bbolt file cannot store longer keys
)

func (c *call) kv() (any, error) {
	if err := checkKey(c.suffix); err != nil {
		return nil, err
	}
	switch c.r.Method {
	case http.MethodPut:
		return c.kvPut()
	case http.MethodDelete:
		return c.kvDelete()
	}
	if c.has("keys") {
		return c.kvKeys()
	}
	if c.has("recurse") {
		return c.kvList()
	}
	return c.kvGet()
}

func (c *call) kvGet() (any, error) {
	var e *entry
	if c.suffix == "" {
		if _, err := c.queryOptions(); err != nil {
			return nil, err
		}
		return nil, badRequest("Missing key name")
	}
	alive, err := c.read(func(snap *snapshot) readResult {
		var f readResult
		e, f.index, f.changed = snap.get(c.suffix)
		f.missing = e == nil
		return f
	})
	if !alive {
		return nil, err
	}
	if e == nil {
		c.w.WriteHeader(http.StatusNotFound)
		return nil, nil
	}
	if c.has("raw") {
		c.writeRaw(e.Value)
		return nil, nil
	}
	return entries{e}, nil
}

// writeRaw sends a value so that browsers treat it as plain text.
func (c *call) writeRaw(value []byte) {
	c.setHeader("Content-Length", strconv.Itoa(len(value)))
	c.setHeader("Content-Type", "text/plain")
	c.setHeader("X-Content-Type-Options", "nosniff")
	c.setHeader("Content-Security-Policy", "sandbox")
	_, _ = c.w.Write(value)
}

func (c *call) kvList() (any, error) {
	var list entries
	alive, err := c.read(func(snap *snapshot) readResult {
		var f readResult
		list = list[:0]
		f.index, f.changed = snap.list(c.suffix, func(e *entry) { list = append(list, e) })
		return f
	})
	if !alive {
		return nil, err
	}
	if len(list) == 0 {
		c.w.WriteHeader(http.StatusNotFound)
		return nil, nil
	}
	return list, nil
}

func (c *call) kvKeys() (any, error) {
	separator := c.query.Get("seperator")
	if c.has("separator") {
		separator = c.query.Get("separator")
	}
	var names []string
	alive, err := c.read(func(snap *snapshot) readResult {
		var f readResult
		names, f.index, f.changed = snap.keys(c.suffix, separator)
		return f
	})
	if !alive {
		return nil, err
	}
	if len(names) == 0 && c.suffix != "" {
		c.w.WriteHeader(http.StatusNotFound)
		return nil, nil
	}
	return names, nil
}

// atMostOne rejects a request with more than one of the named parameters.
func (c *call) atMostOne(names ...string) error {
	given := 0
	for _, name := range names {
		if c.has(name) {
			given++
		}
	}
	if given > 1 {
		return badRequest("Conflicting flags: %s", c.query.Encode())
	}
	return nil
}

// readValue reads the body as a value, at most maxValue bytes.
func (c *call) readValue() ([]byte, error) {
	if size := c.r.ContentLength; size > maxValue {
		return nil, tooLarge(size, maxValue)
	}
	value, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxValue))
	if len(value) == 0 {
		value = nil
	}
	return value, err
}

func tooLarge(size, limit int64) error {
	return httpError{http.StatusRequestEntityTooLarge,
		fmt.Sprintf("Request body(%d bytes) too large, max size: %d bytes.", size, limit)}
}

func (c *call) kvPut() (any, error) {
	if _, err := c.queryOptions(); err != nil {
		return nil, err
	}
	if c.suffix == "" {
		return nil, badRequest("Missing key name")
	}
	if err := c.atMostOne("cas", "acquire", "release"); err != nil {
		return nil, err
	}
	flags, err := c.uintParam("flags")
	if err != nil {
		return nil, err
	}
	index, err := c.uintParam("cas")
	if err != nil {
		return nil, err
	}
	value, err := c.readValue()
	if err != nil {
		return nil, err
	}
	return c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		switch {
		case c.has("cas"):
			_, ok := m.compareAndSet(c.suffix, value, flags, index)
			return ok, nil
		case c.has("acquire"):
			if c.store.delays.active(c.suffix) {
				return false, nil
			}
			_, ok, err := m.lock(c.suffix, value, flags, c.query.Get("acquire"))
			return ok, err
		case c.has("release"):
			_, ok, err := m.unlock(c.suffix, value, flags, c.query.Get("release"))
			return ok, err
		}
		m.set(c.suffix, value, flags)
		return true, nil
	})
}

func (c *call) kvDelete() (any, error) {
	if _, err := c.queryOptions(); err != nil {
		return nil, err
	}
	if err := c.atMostOne("recurse", "cas"); err != nil {
		return nil, err
	}
	if c.suffix == "" && !c.has("recurse") {
		return nil, badRequest("Missing key name")
	}
	index, err := c.uintParam("cas")
	if err != nil {
		return nil, err
	}
	return c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		switch {
		case c.has("recurse"):
			m.deleteTree(c.suffix)
		case c.has("cas"):
			return m.compareAndDelete(c.suffix, index), nil
		default:
			m.delete(c.suffix)
		}
		return true, nil
	})
}
