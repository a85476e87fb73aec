package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/platypus-platform/platypus/intent"
)

// TestWithoutScripts: what matters is there before any script has run, and when none ever does.
func TestWithoutScripts(t *testing.T) {
	w := newHarness(t)
	w.furnish()
	w.startDashboard()
	b := w.browse(t)
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	b.open("/")
	text := ask[string](b, "document.body.innerText")
	for _, want := range []string{"Singapore", "184", "no machine in SIN has 33 cores free", "slug", "As of now"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	b.shoot("plain")
	b.do(chromedp.Click("#t-SIN"))
	b.until("the region", "document.querySelectorAll('.card').length === 3")
	b.do(chromedp.Click(`.card[title^="metal-1"]`))
	b.until("the machine", "document.querySelector('.machine')?.innerText.includes('web.1')")
}

// TestLive follows a change from the store to the eye: no reload, a flash, and the flash fades.
func TestLive(t *testing.T) {
	for kind, on := range servers {
		t.Run(kind, func(t *testing.T) { followsLive(t, on) })
	}
}

func followsLive(t *testing.T, on func(testing.TB) server) {
	w, b := openPage(t, on, "/?region=SIN")
	second := b.another()
	second.open("/?region=SIN&machine=metal-2.sin.example.net")
	for _, tab := range []*tab{b, second} {
		tab.until("live", live)
		ask[bool](tab, "window.same = true")
	}
	ask[bool](b, `(window.seen = new Set(), new MutationObserver((all) => all.forEach((m) => {
		if (m.target.hasAttribute(m.attributeName)) seen.add(m.attributeName + ' ' + m.target.closest('[id]').id);
	})).observe(document.body, {subtree: true, attributes: true, attributeFilter: ['data-flash', 'data-glow']}), true)`)
	w.hold("SIN", "metal-2.sin.example.net", 3)
	for _, tab := range []*tab{b, second} {
		tab.until("the new number", card("metal-2.sin.example.net")+".includes('20 of 32 free')")
	}
	second.until("the vms", "document.querySelector('.machine').innerText.includes('web.2')")
	b.until("a flash", "seen.has('data-flash m-metal-2.sin.example.net') && seen.has('data-glow m-metal-2.sin.example.net')")
	b.shoot("flash")
	if ask[bool](b, "[...seen].some((s) => s.includes('metal-3') || s.includes('r-NRT'))") {
		t.Error("what did not change flashes too")
	}
	b.until("the flash has faded", "!document.querySelector('[data-flash], [data-glow]')")
	w.put(w.tree.Machine("SIN", "metal-3.sin.example.net"), intent.Machine{Cores: 32, Memory: intent.TB, State: intent.MachineCordoned})
	w.put(w.tree.Machine("SIN", "metal-4.sin.example.net"), intent.Machine{Cores: 8, Memory: intent.TB})
	b.until("cordoned", card("metal-3.sin.example.net")+".includes('cordoned')")
	b.until("a new machine, last in its order", "[...document.querySelectorAll('.card')].at(-1).id === 'm-metal-4.sin.example.net'")
	b.until("the change is news", "document.getElementById('changes').innerText.includes('cordoned, was ready')")
	if err := w.store.Delete(context.Background(), w.tree.Machine("SIN", "metal-1.sin.example.net")); err != nil {
		t.Fatal(err)
	}
	b.until("a machine with vms and no record is shown", card("metal-1.sin.example.net")+".includes('gone')")
	for _, tab := range []*tab{b, second} {
		if !ask[bool](tab, "window.same === true") {
			t.Error("the page was loaded anew")
		}
	}
}

// TestAway takes the dashboard away, and then the store: the page says so, and catches up by itself.
func TestAway(t *testing.T) {
	w, b := openPage(t, embeddedServer, "/?region=SIN")
	ask[bool](b, "window.same = true")
	w.stopDashboard()
	b.until("the loss is said", "document.getElementById('link').dataset.state === 'lost' && !document.getElementById('banner').hidden")
	b.shoot("lost")
	w.hold("SIN", "metal-3.sin.example.net", 5)
	w.startDashboard()
	b.until("live again", live)
	b.until("caught up", card("metal-3.sin.example.net")+".includes('12 of 32 free')")
	w.server.stop()
	b.until("the store's absence is said", "document.getElementById('link').dataset.state === 'down' && document.getElementById('banner').innerText.includes('does not answer')")
	b.shoot("down")
	if !ask[bool](b, card("metal-3.sin.example.net")+".includes('12 of 32 free')") {
		t.Error("what was known is gone with the store")
	}
	w.server.start()
	w.hold("SIN", "metal-3.sin.example.net", 6)
	b.until("caught up with the store", card("metal-3.sin.example.net")+".includes('8 of 32 free')")
	b.until("live at last", live+" && document.getElementById('banner').hidden")
	if !ask[bool](b, "window.same === true") {
		t.Error("the page was loaded anew")
	}
}

// TestKeyboard goes everywhere without a mouse.
func TestKeyboard(t *testing.T) {
	_, b := openPage(t, embeddedServer, "/")
	b.dress(1440, 1000, "light")
	press := func(keys string) { b.do(chromedp.KeyEvent(keys)) }
	press("/")
	b.until("the find box has the focus", "document.activeElement.id === 'find'")
	ask[string](b, "document.activeElement.value = ''") // chromedp types the character that a browser would not
	press("metal-2" + kb.Enter)
	b.until("what was found", "document.querySelectorAll('.card').length === 2 && location.search === '?q=metal-2' && "+live)
	press(kb.Escape)
	b.until("the fleet again", "location.search === '' && document.querySelectorAll('.tile').length === 2 && "+live)
	press(kb.ArrowRight)
	b.until("the first tile", "document.activeElement.matches('.tile')")
	press(kb.ArrowLeft)
	b.until("the rail", "document.activeElement.matches('.region')")
	press(kb.ArrowRight)
	press(kb.Enter)
	b.until("a region", "document.querySelectorAll('.card').length === 3 && "+live)
	press(kb.ArrowRight)
	b.until("the first card", "document.activeElement === document.querySelector('.card')")
	if outline := ask[string](b, "getComputedStyle(document.activeElement).outlineStyle"); outline == "none" {
		t.Error("the focus cannot be seen")
	}
	b.shoot("keyboard")
	press(kb.Enter)
	b.until("a machine", "document.querySelector('.machine') && "+live)
	press(kb.Escape)
	b.until("the region again", "!document.querySelector('.machine') && document.querySelectorAll('.card').length === 3")
}

// TestSizes looks at the page on a phone and on a desk, in light and in dark: nothing sticks out, and it is not the
// same picture.
func TestSizes(t *testing.T) {
	w := newHarness(t)
	w.furnish()
	long := intent.Name("m-" + strings.Repeat("x", 120))
	w.put(w.tree.Region("SIN"), intent.Region{Location: strings.Repeat("Llanfairpwllgwyngyll", 10), Status: strings.Repeat("Rainy ", 30)})
	w.put(w.tree.Machine("SIN", long), intent.Machine{Cores: 1, Memory: intent.GB, Labels: map[intent.Name]string{"about": strings.Repeat("y", 200)}})
	w.put(w.tree.PlacedVM(intent.Instance{VM: "patient"}), intent.Placement{State: intent.Pending, Reason: strings.Repeat("z", 3000)})
	w.startDashboard()
	b := w.browse(t)
	grounds := map[string]string{}
	for _, size := range [][2]int64{{360, 740}, {820, 1180}, {1440, 1000}, {2400, 1300}} {
		for _, scheme := range []string{"light", "dark"} {
			b.dress(size[0], size[1], scheme)
			for name, path := range map[string]string{"fleet": "/", "region": "/?region=SIN", "machine": "/?region=SIN&machine=" + string(long), "none": "/?region=XXX&machine=nobody"} {
				b.open(path)
				b.until("live", live)
				if wide := ask[int64](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
					t.Errorf("%s at %d: %d pixels stick out", path, size[0], wide)
				}
				b.shoot(fmt.Sprintf("%s-%d-%s", name, size[0], scheme))
			}
			grounds[scheme] = ask[string](b, "getComputedStyle(document.body).backgroundColor")
		}
	}
	if grounds["light"] == grounds["dark"] {
		t.Errorf("light and dark are both %s", grounds["light"])
	}
}

// TestHostile fills the store with what must never become markup.
func TestHostile(t *testing.T) {
	w := newHarness(t)
	w.furnish()
	evil := `</script><script>window.taken=1</script><img src=x onerror="window.taken=1">"'><svg onload=window.taken=1>{{.}}`
	worse := evil + "\u202e\u2066\x00\x1b[31m\u200bزلابية 🦆" + strings.Repeat("W", 200)
	w.put(w.tree.Region("EVL"), intent.Region{Location: evil, Status: evil})
	w.put(w.tree.Machine("EVL", "m1"), intent.Machine{Cores: 4, Memory: intent.TB, Address: evil, Datacenter: "javascript:alert(1)", Labels: map[intent.Name]string{"a": evil}})
	w.put(w.tree.PlacedVM(intent.Instance{VM: "v"}), intent.Placement{State: intent.Pending, Reason: worse, Refused: map[string]int{worse: 3}})
	w.put(w.tree.Status("setlive", "m1"), intent.Report{Agent: worse, Node: "m1", Version: worse, Subjects: map[string]intent.State{worse: {Phase: worse, Reason: worse, Want: worse, Have: evil, Error: worse, Since: time.Now()}}})
	long := strings.Repeat("Ab-", 42) + "z9" // as long as a name may be
	w.put(w.tree.Machine("EVL", intent.Name(long)), intent.Machine{Cores: 4, Memory: intent.TB})
	w.put(w.tree.Ledger("EVL", intent.Name(long)), intent.Ledger{Entries: []intent.Entry{{VM: long[:120] + ".0", Cores: 1, Memory: intent.GB}}})
	w.put(w.tree.Machine("EVL", "m2"), evil)
	w.put(string(w.tree.Machines())+"EVL/"+evil[:60], "{}")
	w.put(string(w.tree.Statuses())+"x/"+evil[:60], evil)
	w.startDashboard()
	b := w.browse(t)
	for _, path := range []string{"/", "/?region=EVL", "/?region=EVL&machine=m1", "/?region=EVL&machine=" + long, "/?q=%3Cscript%3Ewindow.taken%3D1%3C%2Fscript%3E", "/?region=%22%3E%3Cscript%3E", "/?machine=%3Cimg%3E"} {
		b.open(path)
		b.until("live", live)
		w.put(w.tree.Region("EVL"), intent.Region{Location: evil + path, Status: evil})
		b.until("the change is there", "document.getElementById('rail').innerText.includes('window.taken')")
		if ask[bool](b, "window.taken !== undefined || document.querySelectorAll('script').length !== 1 || document.querySelector('img[src=x], svg[onload]') !== null") {
			t.Errorf("%s: markup of the store became markup of the page", path)
		}
		if ask[bool](b, `/[\u202e\u2066\u200b\u001b]/.test(document.documentElement.outerHTML)`) {
			t.Errorf("%s: what cannot be seen turns or hides what can", path)
		}
		for _, width := range []int64{390, 1440} {
			b.dress(width, 900, "light")
			if wide := ask[int64](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
				t.Errorf("%s at %d: %d pixels stick out", path, width, wide)
			}
		}
	}
	b.shoot("hostile")
}
