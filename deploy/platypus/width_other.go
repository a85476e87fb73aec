//go:build !unix

package main

import "os"

// terminalWidth is unknown on this platform.
func terminalWidth(*os.File) int { return 0 }
