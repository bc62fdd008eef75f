package bench

import (
	"os"
	"testing"

	"pgc/internal/e2e"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }
