package quality

import (
	"os"
	"testing"

	"pgc/codegen/cpu/cputest"
)

func TestMain(m *testing.M) { os.Exit(cputest.Main(m)) }
