package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/platypus-platform/platypus/intent"
)

// TestPictures draws every kind of page for people to look at, below PLATYPUS_SHOTS.
func TestPictures(t *testing.T) {
	if os.Getenv("PLATYPUS_SHOTS") == "" {
		t.Skip("for people: name a directory in PLATYPUS_SHOTS")
	}
	page, b := busy().shown(t)
	draw := func(name, path string, width, height int64, scheme string) {
		b.dress(width, height, scheme)
		b.open(path)
		b.until("live", live)
		b.shoot(name)
	}
	draw("fleet-light", "/", 1440, 1000, "light")
	draw("fleet-dark", "/", 1440, 1000, "dark")
	draw("fleet-tall", "/", 1440, 2600, "light")
	draw("fleet-phone", "/", 390, 3400, "dark")
	draw("region-light", "/?region=SIN", 1440, 1000, "light")
	draw("region-phone", "/?region=GIG", 390, 2600, "light")
	draw("machine-light", "/?region=IAD&machine=metal-01.iad.example.net", 1440, 1000, "light")
	draw("machine-phone", "/?machine=metal-01.ams.example.net", 390, 2000, "dark")
	draw("fault-phone", "/?machine=metal-01.iad.example.net", 390, 2600, "light")
	draw("nodes-light", "/?region=-", 1440, 700, "light")
	draw("nothing-found", "/?q=nosuchthing", 1440, 700, "light")
	page.status.record("", errGone)
	b.dress(1440, 900, "light")
	b.open("/")
	b.until("down", "document.getElementById('link').dataset.state === 'down'")
	b.shoot("down-light")
	_, b = newShelf().shown(t)
	draw("empty-light", "/", 1440, 700, "light")
	_, b = bare().shown(t)
	for _, scheme := range []string{"light", "dark"} {
		draw("bare-"+scheme, "/", 1400, 900, scheme)
		draw("bare-phone-"+scheme, "/", 390, 1600, scheme)
	}
	draw("bare-machine-phone", "/?machine=web2", 390, 1600, "light")
	_, b = unanswered().shown(t)
	draw("unanswered-light", "/", 1400, 900, "light")
	draw("unanswered-phone", "/", 390, 1200, "dark")
	_, b = large(5000).shown(t)
	draw("large-fleet", "/", 1440, 1000, "light")
	draw("large-region", "/?region=R07", 1440, 1000, "light")
	draw("large-found", "/?q=metal", 1440, 1000, "dark")
}

// faint lists every visible text whose contrast is below what WCAG 2 calls AA.
const faint = `(() => {
	const paper = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
	const rgba = (color) => {
		paper.clearRect(0, 0, 1, 1);
		paper.fillStyle = color;
		paper.fillRect(0, 0, 1, 1);
		const [r, g, b, a] = paper.getImageData(0, 0, 1, 1).data;
		return [r, g, b, a / 255];
	};
	const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
	const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => {
		const v = c[i] / 255;
		return sum + share * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	}, 0);
	const found = new Map();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const el = walk.currentNode.parentElement, style = getComputedStyle(el);
		if (!walk.currentNode.nodeValue.trim() || !el.checkVisibility() || el.matches('.skip')) continue;
		let ground = [255, 255, 255, 1], opacity = 1;
		const line = [];
		for (let e = el; e; e = e.parentElement) line.unshift(e);
		for (const e of line) { ground = over(rgba(getComputedStyle(e).backgroundColor), ground); opacity *= getComputedStyle(e).opacity; }
		const ink = rgba(style.color);
		ink[3] *= opacity;
		const [a, b] = [light(over(ink, ground)), light(ground)].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
		const least = size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5;
		if (ratio < least) found.set(el.className + ' ' + style.color, ratio.toFixed(2) + ' ' + walk.currentNode.nodeValue.trim().slice(0, 40));
	}
	return [...found].map(([where, what]) => where + ': ' + what);
})()`

// TestContrast: whatever the page says can be read, in light and in dark, with good news and with bad.
func TestContrast(t *testing.T) {
	page, b := busy().shown(t)
	for _, scheme := range []string{"light", "dark"} {
		b.dress(1440, 1000, scheme)
		for _, path := range []string{"/", "/?region=SIN", "/?region=IAD&machine=metal-01.iad.example.net", "/?q=nosuchthing", "/?q=" + overcommitted} {
			b.open(path)
			b.until("live", live)
			if list := ask[[]string](b, faint); len(list) > 0 {
				t.Errorf("%s in %s is too faint:\n%s", path, scheme, strings.Join(list, "\n"))
			}
		}
		page.status.record("", errGone)
		b.until("down", "document.getElementById('link').dataset.state === 'down'")
		if list := ask[[]string](b, faint); len(list) > 0 {
			t.Errorf("bad news in %s is too faint:\n%s", scheme, strings.Join(list, "\n"))
		}
		page.status.record("", nil)
	}
}

// TestOdds: what the head of the page says needs a look can be looked at, and is as many as it says.
func TestOdds(t *testing.T) {
	_, b := busy().shown(t)
	b.open("/")
	b.until("live", live)
	type link struct{ Text, Href string }
	links := ask[[]link](b, "[...document.querySelectorAll('.odds a')].map((a) => ({Text: a.innerText, Href: a.getAttribute('href')}))")
	said := ""
	for _, l := range links {
		said += l.Text + "; "
		if id, is := strings.CutPrefix(l.Href, "#"); is {
			if !ask[bool](b, fmt.Sprintf("!!document.getElementById('%s')?.checkVisibility()", id)) {
				t.Errorf("%s leads nowhere: %s", l.Text, l.Href)
			}
		}
	}
	if want := "1 machine dead; 1 machine gone; 1 machine unreadable; 13 machines over-committed; slug not well on 4 nodes; resize not well on 1 node; " +
		"orphan on no node; 4 vms pending; 1 machine silent; 1 value that cannot be used; 1 machine draining; 1 machine cordoned; "; said != want {
		t.Errorf("%s\nwant\n%s", said, want)
	}
	for _, l := range links {
		if !strings.HasPrefix(l.Href, "/") {
			continue
		}
		b.open(l.Href)
		n, _ := strconv.Atoi(strings.Fields(l.Text)[0])
		if cards := ask[int](b, "document.querySelectorAll('.card').length"); cards != n {
			t.Errorf("%s leads to %d machines", l.Text, cards)
		}
	}
}

// TestFocusOrder follows the tab key: nothing is skipped, the focus can be seen, and the head of the page never hides
// it.
func TestFocusOrder(t *testing.T) {
	_, b := busy().shown(t)
	b.dress(1440, 1000, "light")
	b.open("/?region=IAD&machine=metal-01.iad.example.net")
	b.until("live", live)
	var order []string
	for range 45 {
		b.do(chromedp.KeyEvent(kb.Tab))
		at := ask[string](b, `(() => {
			const el = document.activeElement, box = el.getBoundingClientRect(), top = document.querySelector('.top');
			const hidden = !top.contains(el) && !el.matches('.skip') && box.top < top.getBoundingClientRect().bottom - 1 || box.bottom > innerHeight + 1 && box.height < innerHeight;
			const plain = getComputedStyle(el).outlineStyle === 'none' && !el.matches('.skip');
			return (el.id === 'find' ? 'find' : el.classList[0] || el.nodeName) + (hidden ? ' hidden' : '') + (plain ? ' unseen' : '');
		})()`)
		if len(order) == 0 || order[len(order)-1] != at {
			order = append(order, at)
		}
	}
	if got, want := strings.Join(order, " "), "skip brand find region A close scroll card mono SUMMARY mono SUMMARY "; !strings.HasPrefix(got, want) || strings.Contains(got, "hidden") || strings.Contains(got, "unseen") {
		t.Errorf("%s, want %s and no more that is hidden or unseen", got, want)
	}
}

// TestOpenedStaysOpen: what a person opened stays open while what is in it changes.
func TestOpenedStaysOpen(t *testing.T) {
	s := busy()
	page, b := s.shown(t)
	b.open("/")
	b.until("live", live)
	at := "document.getElementById('app-" + digest("search") + "')"
	b.do(chromedp.Click("#app-" + digest("search") + " summary"))
	b.until("it is open", at+".querySelector('details').open")
	s.report("setlive", "metal-01.ams.example.net", map[string]intent.State{"search": {Want: "v3", Have: "v3", Phase: "converged", Since: time.Now()}})
	page.publish(s.reader(time.Now).Fleet())
	b.until("the new version", at+".innerText.includes('v3')")
	if !ask[bool](b, at+".querySelector('details').open && "+at+".querySelector('.well').innerText.includes('v3')") {
		t.Error("it closed itself, or does not tell")
	}
}

// TestMany: a page of 5,000 machines is one that a browser can hold, and all of them can be reached.
func TestMany(t *testing.T) {
	_, b := large(5000).shown(t)
	for path, want := range map[string]string{"/": ".tile 35", "/?region=R07": ".card 143", "/?q=metal": ".card 240", "/?q=metal&page=20": ".card 200", "/?q=metal-4999": ".card 1"} {
		b.open(path)
		b.until("live", live)
		kind, n, _ := strings.Cut(want, " ")
		if got := ask[int](b, fmt.Sprintf("document.querySelectorAll('%s').length", kind)); strconv.Itoa(got) != n {
			t.Errorf("%s: %d of %s, want %s", path, got, kind, n)
		}
		if all := ask[int](b, "document.querySelectorAll('*').length"); all > 15000 {
			t.Errorf("%s: %d elements", path, all)
		}
	}
	b.open("/?q=metal")
	b.do(chromedp.Click("a[rel=next]"))
	b.until("the next page", "document.getElementById('title')?.innerText.includes('241 to 480')")
}
