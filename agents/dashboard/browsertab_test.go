package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// tab is one page in a real browser.
type tab struct {
	t   testing.TB
	ctx context.Context
	url string
}

// browse starts Chromium and returns its first tab.
func (w *harness) browse(t testing.TB) *tab {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		t.Skip("needs chromium: scripts/deps.sh test")
	}
	scratch, err := os.MkdirTemp("", "browser-") // it leaves things behind where others keep what is temporary
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(scratch) })
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(hang), chromedp.Env("TMPDIR="+scratch))
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocated)
	t.Cleanup(end)
	return &tab{t, ctx, "http://" + w.listen}
}

// openPage furnishes a store, starts the dashboard on it, and opens one of its pages in a browser until it is live.
func openPage(t testing.TB, on func(testing.TB) server, path string) (*harness, *tab) {
	t.Helper()
	w := newHarnessOn(t, on(t))
	w.furnish()
	w.startDashboard()
	b := w.browse(t)
	b.open(path)
	b.until("live", live)
	return w, b
}

// another opens a second tab of the same browser.
func (b *tab) another() *tab {
	ctx, end := chromedp.NewContext(b.ctx)
	b.t.Cleanup(end)
	return &tab{b.t, ctx, b.url}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url + path))
}

// ask evaluates an expression in the page.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression of the page to be true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(hang); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ask[bool](b, "!!("+expression+")") {
			return
		}
	}
	b.t.Fatalf("never: %s\n%s", what, ask[string](b, "document.body.innerText"))
}

// dress makes the tab a window of that size that prefers light or dark.
func (b *tab) dress(width, height int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// shoot keeps a picture of the page for people, below PLATYPUS_SHOTS.
func (b *tab) shoot(name string) {
	dir := os.Getenv("PLATYPUS_SHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// card is the text of a machine's card, "" without one.
func card(name string) string {
	return fmt.Sprintf("(document.getElementById('m-%s')?.innerText ?? '')", name)
}

const live = "document.getElementById('link').dataset.state === 'live'"
