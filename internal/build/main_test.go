package build

import (
	"os"
	"testing"

	"pgc/codegen/llvm/llctest"
)

func TestMain(m *testing.M) { os.Exit(llctest.Main(m)) }
