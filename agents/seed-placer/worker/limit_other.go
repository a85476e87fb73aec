//go:build !linux

package worker

import "os"

// limitProcess does what can be done without Linux: nothing of the environment stays. Limits of resources need Linux.
func limitProcess() error {
	os.Clearenv()
	return nil
}
