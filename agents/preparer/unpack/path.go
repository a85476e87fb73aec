package unpack

import "strings"

// cleanName judges one name from an archive and returns it relative and slash-separated, without "./" and trailing
// slashes; "." stands for the root of the tree. Names with ".." are refused even where they would stay inside.
func cleanName(name string, lim Limits) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", refuse(name, Absolute)
	}
	if len(name) > lim.Name {
		return "", refusef(name, TooLong, "%d bytes, limit %d", len(name), lim.Name)
	}
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return "", refuse(name, BadName)
	}
	tidy := true
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", refuse(name, Parent)
		case part == "" || part == ".":
			tidy = false
			continue
		case len(part) > 255:
			return "", refusef(name, TooLong, "component of %d bytes, limit 255", len(part))
		}
		depth++
	}
	if depth > lim.Depth {
		return "", refusef(name, TooDeep, "%d components, limit %d", depth, lim.Depth)
	}
	if tidy {
		return name, nil
	}
	return normalize(name), nil
}

func normalize(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
	kept := parts[:0]
	for _, p := range parts {
		if p != "." {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		return "."
	}
	return strings.Join(kept, "/")
}

// checkSymlink judges the target of the symbolic link at name, a cleaned name whose parents are all real directories.
//
// A target made of leading ".." and then names cannot leave the tree if it climbs no higher than the link is deep:
// whatever link it meets on its way down obeys the same rule. A ".." behind a name is different, for that name may be
// a link to somewhere shallower; late reports that it needs a second look when all links are known.
func checkSymlink(name, target string, lim Limits) (deferred bool, err error) {
	switch {
	case strings.HasPrefix(target, "/"):
		return false, refusef(name, LinkAbsolute, "%.200q", target)
	case target == "" || strings.IndexByte(target, 0) >= 0:
		return false, refusef(name, BadName, "link target %.200q", target)
	case len(target) > lim.Name:
		return false, refusef(name, TooLong, "link target of %d bytes, limit %d", len(target), lim.Name)
	}
	level, descended := strings.Count(name, "/"), false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			deferred = deferred || descended
			if level--; level < 0 {
				return false, refusef(name, LinkEscapes, "%.200q", target)
			}
		default:
			descended = true
			level++
		}
	}
	return deferred, nil
}
