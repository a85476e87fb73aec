package embedded

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const (
	maxValue = 512 << 10 // bytes of one value
	maxKey   = 32 << 10  // bytes of one key, which the log cannot exceed
)

func (c *call) kv() (any, error) {
	if err := checkKey(c.rest); err != nil {
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
	if c.rest == "" {
		if _, err := c.options(); err != nil {
			return nil, err
		}
		return nil, badRequest("Missing key name")
	}
	alive, err := c.read(func(v *view) found {
		var f found
		e, f.index, f.changed = v.get(c.rest)
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
		c.raw(e.Value)
		return nil, nil
	}
	return entries{e}, nil
}

// raw sends a value in a way that no browser takes for anything but text.
func (c *call) raw(value []byte) {
	c.set("Content-Length", strconv.Itoa(len(value)))
	c.set("Content-Type", "text/plain")
	c.set("X-Content-Type-Options", "nosniff")
	c.set("Content-Security-Policy", "sandbox")
	_, _ = c.w.Write(value)
}

func (c *call) kvList() (any, error) {
	var list entries
	alive, err := c.read(func(v *view) found {
		var f found
		list = list[:0]
		f.index, f.changed = v.list(c.rest, func(e *entry) { list = append(list, e) })
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
	alive, err := c.read(func(v *view) found {
		var f found
		names, f.index, f.changed = v.keys(c.rest, separator)
		return f
	})
	if !alive {
		return nil, err
	}
	if len(names) == 0 && c.rest != "" {
		c.w.WriteHeader(http.StatusNotFound)
		return nil, nil
	}
	return names, nil
}

// only refuses a request that gives more than one of the named parameters.
func (c *call) only(names ...string) error {
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

// value reads a body that is a value, and never more of it than a value may have.
func (c *call) value() ([]byte, error) {
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
	return status{http.StatusRequestEntityTooLarge,
		fmt.Sprintf("Request body(%d bytes) too large, max size: %d bytes.", size, limit)}
}

func (c *call) kvPut() (any, error) {
	if _, err := c.options(); err != nil {
		return nil, err
	}
	if c.rest == "" {
		return nil, badRequest("Missing key name")
	}
	if err := c.only("cas", "acquire", "release"); err != nil {
		return nil, err
	}
	flags, err := c.number("flags")
	if err != nil {
		return nil, err
	}
	index, err := c.number("cas")
	if err != nil {
		return nil, err
	}
	value, err := c.value()
	if err != nil {
		return nil, err
	}
	return c.store.propose(c.r.Context(), func(x *change) (any, error) {
		switch {
		case c.has("cas"):
			_, ok := x.setIf(c.rest, value, flags, index)
			return ok, nil
		case c.has("acquire"):
			if c.store.delays.active(c.rest) {
				return false, nil
			}
			_, ok, err := x.lock(c.rest, value, flags, c.query.Get("acquire"))
			return ok, err
		case c.has("release"):
			_, ok, err := x.unlock(c.rest, value, flags, c.query.Get("release"))
			return ok, err
		}
		x.set(c.rest, value, flags)
		return true, nil
	})
}

func (c *call) kvDelete() (any, error) {
	if _, err := c.options(); err != nil {
		return nil, err
	}
	if err := c.only("recurse", "cas"); err != nil {
		return nil, err
	}
	if c.rest == "" && !c.has("recurse") {
		return nil, badRequest("Missing key name")
	}
	index, err := c.number("cas")
	if err != nil {
		return nil, err
	}
	return c.store.propose(c.r.Context(), func(x *change) (any, error) {
		switch {
		case c.has("recurse"):
			x.deleteTree(c.rest)
		case c.has("cas"):
			return x.deleteIf(c.rest, index), nil
		default:
			x.delete(c.rest)
		}
		return true, nil
	})
}
