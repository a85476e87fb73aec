package service

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// script returns what a supervisor runs. It resolves the link current once, notes which version this very process
// (its id and start time survive the exec) is about to become, and becomes the app. The note is what tells setlive
// later what runs, so it must be the last thing but one. Everything in it is part of a bare Debian; nothing of it is
// a part of Platypus, which may be absent when the machine boots.
func script(home string, s Spec) ([]byte, error) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("#!/bin/sh")
	line("# Written by Platypus setlive for %s, and written anew when it differs: change the intent instead.", s.App)
	line("exec 2>&1")
	line("home=%s", quote(home))
	line("cd -P %s || exit 1", quote(filepath.Join(s.Basedir, "current")))
	line("version=${PWD##*/}")
	line(`case $version in %[1]s_*) version=${version#%[1]s_} ;; *) version=- ;; esac`, s.App)
	line("# The name of a process, before the last parenthesis, may hold anything, also a newline.")
	line(`stat=$(cat /proc/$$/stat) || exit 1`)
	line("set -- ${stat##*) }")
	line("leader=$3 started=${20} boot=- pid= since= restarts= was= e1= e2= e3=")
	line("[ ! -r %[1]s ] || read -r boot <%[1]s", bootIDFile)
	line(`[ ! -r "$home/%[1]s" ] || read -r pid since c d restarts e was e1 e2 e3 f <"$home/%[1]s"`, noteName)
	line("# What is noted of the time before the machine booted says nothing of the processes of now.")
	line(`case $was in '' | "$boot") ;; *) pid= since= restarts= e1= e2= e3= ;; esac`)
	line(`case $restarts in '' | *[!0-9]*) restarts=-1 ;; esac`)
	line("# The process before this one still runs when its supervisor was killed: two must never run.")
	line(`case $pid in '' | *[!0-9]* | $$) pid=none ;; esac`)
	line("if [ -r /proc/$pid/stat ] && stat=$(cat /proc/$pid/stat); then")
	line("\tset -- ${stat##*) }")
	line(`	if [ "${20}" = "$since" ]; then`)
	line(`		kill -s KILL -- "-$pid" "$pid" 2>/dev/null`)
	line("		# What the old ones hold, such as a port, is free only once the kernel is done with them.")
	line(`		n=0`)
	line(`		while [ $n -lt 20 ] && kill -s 0 -- "-$pid" 2>/dev/null; do n=$((n + 1)); sleep 0.1; done`)
	line(`	fi`)
	line("fi")
	line(`echo "$$ $started $version %s $((restarts + 1)) %s $boot $since $e1 $e2 $e3" >"$home/%[3]s.new" && mv -f "$home/%[3]s.new" "$home/%[3]s"`,
		s.Settings(), s.Core(), noteName)
	line(`export PLATYPUS_APP=%s %s="$version" %s="$home/%s"`, quote(s.App), envVersion, envConfig, configName)
	line(`set -- "$PWD/bin/launch"`)
	if err := become(line, s.RunAs); err != nil {
		return nil, err
	}
	line(`[ "$leader" = $$ ] || set -- setsid "$@"`)
	line(`echo "%s$version"`, startMark)
	line(`exec "$@"`)
	return []byte(b.String()), nil
}

// become adds what changes the user. setpriv is in util-linux, which every Debian has.
func become(line func(string, ...any), runAs string) error {
	if runAs == "" {
		return nil
	}
	u, err := lookup(runAs)
	if err != nil {
		return err
	}
	if me := os.Geteuid(); me != 0 {
		if u.Uid != fmt.Sprint(me) {
			return fmt.Errorf("run as %s: only root can", runAs)
		}
		return nil
	}
	name := quote(u.Username)
	line("group=$(id -g %s) || exit 1", name)
	line("HOME=~%s USER=%s LOGNAME=%s", u.Username, name, name)
	line("export HOME USER LOGNAME")
	line(`set -- setpriv --reuid=%s --regid="$group" --init-groups -- "$@"`, name)
	return nil
}

// lookup finds a user by name or number.
func lookup(name string) (*user.User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if byID, errID := user.LookupId(name); errID == nil {
			return byID, nil
		}
		return nil, fmt.Errorf("find user %s: %w", name, err)
	}
	return u, nil
}

// UserID returns the id of a user by name or number; that of root for "".
func UserID(name string) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	u, err := lookup(name)
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read id of %s: %w", name, err)
	}
	return uint32(id), nil
}

// users are the ids that processes of a service have: that of the user it runs as, and of the one before it, which its
// processes may have until they are stopped.
func (h Home) users(s Spec) ([]uint32, error) {
	id := uint32(os.Geteuid())
	if s.RunAs != "" {
		var err error
		if id, err = UserID(s.RunAs); err != nil {
			return nil, err
		}
	}
	before, err := h.marker()
	if _, err := There(err); err != nil {
		return nil, err
	}
	users := []uint32{id}
	for _, other := range before.Users {
		if other != id && len(users) < 2 {
			users = append(users, other)
		}
	}
	return users, nil
}

// quote makes a word safe for the shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
