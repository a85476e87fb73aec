package intent

import "path"

// The layout on a host is the only interface between the agents: preparer writes installs where setlive looks for them.
// It is the layout of 2014.

// ArtifactName returns the name of an artifact in a repository, without its extension: <app>/<app>_<version>.
func ArtifactName(app, version Name) string {
	return path.Join(string(app), string(app)+"_"+string(version))
}

// Installs is the directory that holds the installs below basedir.
func Installs(basedir string) string { return path.Join(basedir, "installs") }

// Install is the directory of one installed version.
func Install(basedir string, app, version Name) string {
	return path.Join(Installs(basedir), string(app)+"_"+string(version))
}

// Current is the link to the active install.
func Current(basedir string) string { return path.Join(basedir, "current") }

// Previous is the link to the previous install that was active and healthy.
func Previous(basedir string) string { return path.Join(basedir, "previous") }

// Launch is what the supervisor runs, relative to an install.
const Launch = "bin/launch"

// Marker is the file, relative to an install, that preparer writes last: an install with it is complete.
const Marker = ".platypus.json"
