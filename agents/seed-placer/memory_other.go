//go:build !linux

package main

import "github.com/platypus-platform/platypus/intent"

// machineMemory is not known without Linux: there, --memory says what seeds may have, or nothing bounds them.
func machineMemory() intent.Size { return 0 }
