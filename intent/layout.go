package intent

import "path"

// The layout on a host is the only interface between the agents: preparer puts installs where setlive looks for them.
// It is that of 2014.

// ArtifactName is the name of an artifact in a repository, without its ending: <app>/<app>_<version>.
func ArtifactName(app, version Name) string {
	return path.Join(string(app), string(app)+"_"+string(version))
}

// Installs is the directory that holds the installs below basedir.
func Installs(basedir string) string { return path.Join(basedir, "installs") }

// Install is the directory of one installed version.
func Install(basedir string, app, version Name) string {
	return path.Join(Installs(basedir), string(app)+"_"+string(version))
}

// Current is the link to the install that is live.
func Current(basedir string) string { return path.Join(basedir, "current") }

// Previous is the link to the install that was live and healthy before.
func Previous(basedir string) string { return path.Join(basedir, "previous") }

// Launch is what the supervisor runs, relative to an install.
const Launch = "bin/launch"

// Marker is the file, relative to an install, that preparer writes last: an install that has one is complete.
const Marker = ".platypus.json"
