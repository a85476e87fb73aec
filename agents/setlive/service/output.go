package service

import "strings"

// startMark begins the line that the run script prints, with the version, before it becomes the app. It tells the output
// of one process from that of the process before it.
const startMark = "platypus: starting version "

// LastOutput returns the last n lines that a process of the newest version in a log printed, oldest first. Output of
// versions before it is not returned: it would be taken for the reason of what happened to this one.
func LastOutput(log []string, n int) []string {
	var lines []string
	version := ""
	for i := len(log) - 1; i >= 0; i-- {
		line := strings.TrimRight(log[i], "\r\n")
		started, isMark := strings.CutPrefix(line, startMark)
		switch {
		case !isMark && strings.TrimSpace(line) != "":
			lines = append([]string{line}, lines...)
		case isMark && len(lines) > 0 && (version == "" || started == version):
			return lines[max(0, len(lines)-n):]
		case isMark && version != "" && started != version:
			return nil // this version printed nothing
		case isMark:
			version, lines = started, nil
		}
	}
	if version != "" {
		return nil
	}
	return lines[max(0, len(lines)-n):]
}
