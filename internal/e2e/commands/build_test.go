package commands

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/passes"
)

// TestBuild: an executable that tests share is the one that the compiler makes, byte by byte.
func TestBuild(t *testing.T) {
	dir, checkpoint := t.TempDir(), filepath.Join(golden.Dir(), "colpali-odd")
	want, first, second := filepath.Join(dir, "want"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	o := build.Options{CPU: "x86-64-v3"}
	report, err := build.Compile(t.Context(), checkpoint, want, e2e.Runtime(t), o)
	if err != nil {
		t.Fatal(err)
	}
	e2e.Build(t, first, checkpoint, e2e.Runtime(t), o)
	if err := os.WriteFile(second, []byte("an earlier file"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := e2e.Build(t, second, checkpoint, e2e.Runtime(t), o)
	if report.Seconds, again.Seconds, report.Output = nil, nil, second; !reflect.DeepEqual(again, report) {
		t.Errorf("the report is %+v, expected %+v", again, report)
	}
	file, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{first, second} {
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, file) {
			t.Errorf("%s differs from what the compiler makes: %v", path, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode()&0o100 == 0 {
			t.Errorf("%s cannot be run: %v, %v", path, info.Mode(), err)
		}
	}
}

// TestIdentity: every option, every file and the runtime matter to what an executable is, and what cannot be told apart is not
// shared.
func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path)
	}
	checkpoint := write("c/config.json", "{}")
	seen := map[string]string{}
	differs := func(what string, rt string, o build.Options) {
		t.Helper()
		id, ok := e2e.Identity(checkpoint, []byte(rt), o)
		again, _ := e2e.Identity(checkpoint, []byte(rt), o)
		if !ok || !bytes.Equal(id, again) {
			t.Errorf("%s: no identity", what)
		} else if other := seen[string(id)]; other != "" {
			t.Errorf("%s is the same as %s", what, other)
		}
		seen[string(id)] = what
	}
	differs("nothing", "rt", build.Options{})
	differs("another runtime", "rt2", build.Options{})
	write("c/config.json", "{ }")
	differs("another file of the checkpoint", "rt", build.Options{})
	write("c/more/x", "")
	differs("one more", "rt", build.Options{})
	a, b := write("a/x", "1"), write("b/x", "1")
	differs("an adapter", "rt", build.Options{Adapter: a})
	differs("one of another name", "rt", build.Options{Adapter: b})
	write("b/x", "2")
	differs("with another file", "rt", build.Options{Adapter: b})

	// Every field that holds plain values, those of structures in it, too.
	var o build.Options
	plain := 0
	var each func(name string, v reflect.Value)
	each = func(name string, v reflect.Value) {
		if !v.CanSet() {
			return
		}
		zero := reflect.New(v.Type()).Elem()
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				each(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
			return
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int:
			v.SetInt(7)
		case reflect.String:
			text := "x"
			if name == ".Adapter" || name == ".Tokenizer" || name == ".Masks" {
				text = a
			}
			v.SetString(text)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			if name == ".Adapters" {
				v.Index(0).Field(1).SetString(a)
			}
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf("x"), reflect.ValueOf(true))
		default:
			return
		}
		if plain++; name != ".Adapter" {
			differs(name, "rt", o)
		}
		v.Set(zero)
	}
	each("", reflect.ValueOf(&o).Elem())
	if plain < 20 {
		t.Errorf("%d fields were tried", plain)
	}
	base := write("d/adapter_config.json", "{}")
	for what, o := range map[string]build.Options{
		"this processor":        {CPU: "x86-64-v3,native"},
		"an adapter by name":    {Adapter: "someone/adapter"},
		"a function":            {Note: func(string) {}},
		"a function for passes": {Passes: passes.Options{Observe: func(passes.Step) {}}},
		"a budget":              {Passes: passes.Options{Budget: &passes.Budget{}}},
	} {
		if _, ok := e2e.Identity(checkpoint, nil, o); ok {
			t.Errorf("%s has an identity", what)
		}
	}
	if _, ok := e2e.Identity(base, nil, build.Options{}); ok {
		t.Error("an adapter without its base has an identity")
	}
}
