package embedded

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// openHere opens a store that the test closes itself.
func openHere(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, s *Store, key string, value []byte) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("PUT", "/v1/kv/"+key, bytes.NewReader(value)))
	if w.Code != http.StatusOK || w.Body.String() != "true" {
		t.Fatalf("put %s: %d %s", key, w.Code, w.Body)
	}
}

// values returns all keys with their values.
func values(t *testing.T, s *Store) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/kv/?recurse", nil))
	var pairs []struct {
		Key   string
		Value []byte
	}
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &pairs); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]string{}
	for _, pair := range pairs {
		all[pair.Key] = string(pair.Value)
	}
	return all
}

func sameValues(a, b map[string]string) bool {
	for key, value := range a {
		if other, found := b[key]; !found || other != value {
			return false
		}
	}
	return len(a) == len(b)
}

// forged are the records of the key x with the value y, as the disk keeps them.
var forged = []record{{bucketKV, "x", (&entry{Value: []byte("y"), indexes: indexes{1, 1}}).encode()}}

// firstFrame is a frame of the first format, padded to whole sectors.
func firstFrame(number uint64, records []record) []byte {
	b := appendRecords(make([]byte, firstHeader), records)
	binary.LittleEndian.PutUint32(b, firstMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-firstHeader))
	binary.LittleEndian.PutUint64(b[8:], number)
	binary.LittleEndian.PutUint32(b[16:], crc32.Update(crc32.Checksum(b[:16], crcTable), crcTable, b[firstHeader:]))
	return append(b, make([]byte, -len(b)&(sector-1))...)
}

// saltedFrame is a frame of the present format with a known salt.
func saltedFrame(number, round uint64, salt []byte) []byte {
	b := encodeFrame(nil, forged)
	fillFrameHeader(b, salt, number, round, sum{})
	return b
}

// aligned builds a value with frame images that start at journal sectors when the value belongs to app/blob.
func aligned(images []byte, header int) []byte {
	before := header + 1 + 1 + len("app/blob") + 3 + 5 // bucket, key, length of the value, five numbers of the entry
	return append(bytes.Repeat([]byte{'.'}, -before&(sector-1)), images...)
}

// TestJournal_ImagesOfFramesInValue_AreNotFrames overwrites the header of the frame around such a value, so that only
// the images are left of it, and reopens the store.
func TestJournal_ImagesOfFramesInValue_AreNotFrames(t *testing.T) {
	for name, image := range map[string]struct {
		frame  []byte
		header int
	}{
		"first format":        {firstFrame(1e9, forged), firstHeader},
		"first format, today": {firstFrame(1e9, forged), frameHeader},
		"no salt":             {saltedFrame(1e9, 1e9, nil), frameHeader},
		"salt of zeros":       {saltedFrame(1e9, 1e9, make([]byte, saltSize)), frameHeader},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openHere(t, dir)
			write(t, s, "warm", []byte("a"))
			blob := aligned(bytes.Repeat(image.frame, 600), image.header)
			write(t, s, "app/blob", append(blob, bytes.Repeat([]byte{'.'}, max(0, 400<<10-len(blob)))...))
			for i := range 3 {
				write(t, s, fmt.Sprintf("fill%d", i), bytes.Repeat([]byte{'z'}, 500<<10))
			}
			for i := range 6 {
				write(t, s, fmt.Sprintf("small%d", i), bytes.Repeat([]byte{'s'}, 9000))
			}
			want := values(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openHere(t, dir)
			defer s.Close()
			if got := values(t, s); !sameValues(got, want) {
				t.Errorf("%d keys, want %d", len(got), len(want))
			}
		})
	}
}

// tornWrite copies a data directory without some sectors of the last write.
func tornWrite(t *testing.T, random *rand.Rand, before, after string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "torn")
	if err := os.CopyFS(to, os.DirFS(after)); err != nil {
		t.Fatal(err)
	}
	for i := range journalFiles {
		old, _ := os.ReadFile(journalPath(before, i))
		now, _ := os.ReadFile(journalPath(after, i))
		var changed []int
		for at := 0; at < len(now); at += sector {
			if !bytes.Equal(old[at:at+sector], now[at:at+sector]) {
				changed = append(changed, at)
			}
		}
		if len(changed) == 0 {
			continue
		}
		cut, mood := random.IntN(len(changed)+1), random.IntN(3)
		for n, at := range changed {
			if mood == 0 && n >= cut || mood == 1 && n < cut || mood == 2 && random.IntN(2) == 0 {
				copy(now[at:], old[at:at+sector])
			}
		}
		if err := os.WriteFile(journalPath(to, i), now, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// images are values full of frames: copies of the journals at any alignment, and forged ones.
func images(random *rand.Rand, dir string, number uint64) []byte {
	var b []byte
	switch random.IntN(3) {
	case 0:
		b, _ = os.ReadFile(journalPath(dir, random.IntN(journalFiles)))
		b = bytes.TrimRight(b[journalHeaderSize:], "\x00")
	case 1:
		b = bytes.Repeat(firstFrame(number+uint64(random.IntN(3)), forged), 300)
	case 2:
		b = bytes.Repeat(saltedFrame(number+1, number+1, []byte("not the salt")), 300)
	}
	b = b[:min(len(b), 450<<10)]
	if random.IntN(2) == 0 {
		return append(make([]byte, random.IntN(sector)), b...)
	}
	return aligned(b, frameHeader)
}

// TestJournal_KilledAnywhereAmongImages_KeepsWhatWasAcknowledged writes such values and small ones, and reopens what
// each write leaves when the process is killed after it or the power fails during it.
func TestJournal_KilledAnywhereAmongImages_KeepsWhatWasAcknowledged(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	s := openHere(t, dir)
	defer func() { _ = s.Close() }()
	copyHere := func() string {
		to := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return to
	}
	acknowledged := map[string]string{}
	before := copyHere()
	for n := range 60 {
		key, value := "app/blob", images(random, dir, s.disk.frameNumber)
		if random.IntN(3) > 0 {
			key, value = fmt.Sprintf("small%d", random.IntN(9)), bytes.Repeat([]byte{byte('a' + n%26)}, random.IntN(9000))
		}
		write(t, s, key, value)
		if s.disk.flushDone != nil { // so that a copy shows one state of the data file
			if err := s.disk.waitFlush(); err != nil {
				t.Fatal(err)
			}
		}
		earlier := map[string]string{}
		for k, v := range acknowledged {
			earlier[k] = v
		}
		acknowledged[key] = string(value)
		after := copyHere()
		for _, left := range []string{tornWrite(t, random, before, after), after} {
			again, err := Open(left, Options{Node: "n1"})
			if err != nil {
				t.Fatalf("write %d: %v", n, err)
			}
			got := values(t, again)
			if !sameValues(got, acknowledged) && (left == after || !sameValues(got, earlier)) {
				t.Fatalf("write %d, torn %v: %d keys, want %d", n, left != after, len(got), len(acknowledged))
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
		before = copyHere()
	}
}

// TestJournal_Zeros_AreDamage: a journal of zeros once held acknowledged writes.
func TestJournal_Zeros_AreDamage(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"zeros":                func(b []byte) []byte { return make([]byte, len(b)) },
		"zeros, first format":  func([]byte) []byte { return make([]byte, firstSize) },
		"no head":              func(b []byte) []byte { clear(b[:journalHeaderSize]); return b },
		"first frame is zeros": func(b []byte) []byte { clear(b[journalHeaderSize : journalHeaderSize+sector]); return b },
		"another salt":         func(b []byte) []byte { copy(b, encodeJournalHeader(make([]byte, saltSize))); return b },
		"empty":                func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
			s := openHere(t, dir)
			defer s.Close()
			for i := range 5 {
				write(t, s, fmt.Sprintf("k%d", i), []byte("v"))
			}
			if err := os.CopyFS(to, os.DirFS(dir)); err != nil { // as kill -9 leaves it
				t.Fatal(err)
			}
			b, err := os.ReadFile(journalPath(to, 0))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(journalPath(to, 0), damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := Open(to, Options{Node: "n1"})
			if err == nil {
				t.Fatalf("it opens with %d of 5 keys", len(values(t, again)))
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), to) || !strings.Contains(err.Error(), "journal") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestJournal_OfFirstFormat_OpensAndIsUpgraded opens a data directory of the first format, with the frames of one round
// in journal 0 and of the next one in journal 1, over the remains of a value full of images.
func TestJournal_OfFirstFormat_OpensAndIsUpgraded(t *testing.T) {
	set := func(key, value string, index uint64) record {
		return record{bucketKV, key, (&entry{Key: key, Value: []byte(value), indexes: indexes{index, index}}).encode()}
	}
	make1 := func(t *testing.T) string {
		dir := t.TempDir()
		db := filepath.Join(dir, dataFile)
		if err := createDataFile(db, nil); err != nil {
			t.Fatal(err)
		}
		data, err := bolt.Open(db, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = data.Update(func(tx *bolt.Tx) error {
			return errors.Join(writeRecord(tx, set("old", "moved", 2)), writeRecord(tx, record{bucketMeta, metaFrame, []byte{7}}))
		})
		if err = errors.Join(err, data.Close()); err != nil {
			t.Fatal(err)
		}
		one, two := make([]byte, firstSize), make([]byte, firstSize)
		at := copy(one, firstFrame(8, []record{set("a", "1", 3)}))
		at += copy(one[at:], firstFrame(9, []record{set("b", "2", 4)}))
		copy(one[at:], firstFrame(2, forged)) // of an earlier round
		at = copy(two, firstFrame(10, []record{set("a", "3", 5), {bucketMeta, metaIndexes, (&snapshot{index: 5, kvIndex: 5}).encodeIndexes()}}))
		copy(two[at:], bytes.Repeat(firstFrame(1e9, forged), 300))
		for i, b := range [][]byte{one, two} {
			if err := os.WriteFile(journalPath(dir, i), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	want := map[string]string{"old": "moved", "a": "3", "b": "2"}
	t.Run("whole", func(t *testing.T) {
		dir := make1(t)
		for range 2 {
			s := openHere(t, dir)
			if got := values(t, s); !sameValues(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			write(t, s, "new", []byte("1"))
			want["new"] = "1"
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"journal.0", "journal.1"} {
			at, err := os.Stat(filepath.Join(dir, name))
			if err != nil || at.Size() != journalSize || at.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v %v", name, at, err)
			}
		}
		delete(want, "new")
	})
	t.Run("killed while it is renewed", func(t *testing.T) {
		dir := make1(t)
		d, err := openDisk(dir)
		if err != nil {
			t.Fatal(err)
		}
		d.journals[1].salt = []byte("the other journal is not renewed any more")
		if _, err := d.load(); err != nil {
			t.Fatal(err)
		}
		err = d.update(func(tx *bolt.Tx) error { return writeRecord(tx, record{bucketMeta, metaJournals, nil}) })
		if err = errors.Join(err, d.close()); err != nil {
			t.Fatal(err)
		}
		s := openHere(t, dir)
		defer s.Close()
		if got := values(t, s); !sameValues(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("a frame is damaged", func(t *testing.T) {
		dir := make1(t)
		b, err := os.ReadFile(journalPath(dir, 0))
		if err != nil {
			t.Fatal(err)
		}
		b[firstHeader] ^= 1
		if err := os.WriteFile(journalPath(dir, 0), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{Node: "n1"}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "frame 8 is missing") {
			t.Errorf("got %v", err)
		}
	})
}
