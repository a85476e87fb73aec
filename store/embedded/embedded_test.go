package embedded_test

import (
	"testing"

	"github.com/platypus-platform/platypus/store/conformance"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, launch(t, t.TempDir(), "127.0.0.1:0").addr)
}
