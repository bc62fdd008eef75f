package archtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// policy is what docs/ARCHITECTURE.md says about imports: one table a layer, lower layers first.
type policy struct {
	layers []string
	rows   []row
}

// row lets its packages import the packages, layers and modules that it names.
type row struct {
	line     int
	layer    string
	cells    []string // packages, job, imports as the page has them
	packages []string
	imports  []string
}

var (
	layerHeading = regexp.MustCompile("^### `([a-z]+)`")
	tableRow     = regexp.MustCompile(`^\| (.+?) \| (.+?) \| (.+?) \|$`)
	names        = regexp.MustCompile("^(`[^`]+`|\\*\\*[a-z]+\\*\\*)(, (`[^`]+`|\\*\\*[a-z]+\\*\\*))*$")
	braces       = regexp.MustCompile(`^(.*)\{(.*)\}(.*)$`)
)

// parsePolicy reads the tables under headings "### `layer`". A row is
//
//	| `package`, … | its job | `import`, …, **layer** |
func parsePolicy(text string) (policy, error) {
	var p policy
	layer := ""
	for i, line := range strings.Split(text, "\n") {
		if m := layerHeading.FindStringSubmatch(line); m != nil {
			layer = m[1]
			p.layers = append(p.layers, layer)
			continue
		}
		if strings.HasPrefix(line, "#") {
			layer = ""
		}
		if layer == "" || !strings.HasPrefix(line, "| `") {
			continue
		}
		m := tableRow.FindStringSubmatch(line)
		if m == nil || !names.MatchString(m[1]) || m[3] != "–" && !names.MatchString(m[3]) {
			return p, fmt.Errorf("line %d: expected | `package`, … | its job | `import`, …, **layer** | or – for no imports, found %s", i+1, line)
		}
		r := row{line: i + 1, layer: layer, cells: m[1:], packages: expand(m[1])}
		if m[3] != "–" {
			r.imports = expand(m[3])
		}
		p.rows = append(p.rows, r)
	}
	return p, nil
}

// expand splits a list of names; `a/{b,c}` stands for `a/b` and `a/c`.
func expand(list string) (out []string) {
	for _, name := range strings.Split(list, ", ") {
		m := braces.FindStringSubmatch(name)
		if m == nil {
			out = append(out, strings.Trim(name, "`"))
			continue
		}
		for _, part := range strings.Split(m[2], ",") {
			out = append(out, strings.Trim(m[1]+part+m[3], "`"))
		}
	}
	return out
}

// violations compares the policy with the packages of the module and the modules of go.mod. Each says what to edit.
func (p policy) violations(list []pkg, modules []string) (out []string) {
	failf := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	rowOf := map[string]*row{}
	for i := range p.rows {
		r := &p.rows[i]
		for _, name := range r.packages {
			if other := rowOf[name]; other != nil {
				failf("line %d: %s is in line %d, too, expected one row", r.line, name, other.line)
			}
			rowOf[name] = r
			if !slices.ContainsFunc(list, func(q pkg) bool { return q.name() == name }) {
				failf("line %d: there is no package %s, expected names of packages only", r.line, name)
			}
		}
	}
	missing, used := map[*row][]string{}, map[*row]map[string]bool{}
	for _, q := range list {
		r := rowOf[q.name()]
		if r == nil {
			failf("%s has no row: add to the table of its layer\n| `%s` | its job | %s |", q.name(), q.name(), cell(q.imports(q.Imports, modules)))
			continue
		}
		if used[r] == nil {
			used[r] = map[string]bool{}
		}
		for _, i := range q.imports(q.Imports, modules) {
			at := slices.IndexFunc(r.imports, func(a string) bool { return a == i || rowOf[i] != nil && a == "**"+rowOf[i].layer+"**" })
			if at >= 0 {
				used[r][r.imports[at]] = true
			} else if !slices.Contains(missing[r], i) {
				failf("line %d: %s imports %s, which its row does not allow", r.line, q.name(), i)
				missing[r] = append(missing[r], i)
			}
		}
		for _, i := range q.imports(slices.Concat(q.TestImports, q.XTestImports), modules) {
			if to := rowOf[i]; to != nil && to.layer != "tests" && slices.Index(p.layers, to.layer) > slices.Index(p.layers, r.layer) {
				failf("a test of %s imports %s, a package of a higher layer: move the test to %s", q.name(), i, to.layer)
			}
		}
	}
	for i := range p.rows {
		r := &p.rows[i]
		var keep []string
		for _, name := range r.imports {
			layer := strings.Trim(name, "*")
			if to := rowOf[name]; to != nil {
				layer = to.layer
			}
			at := slices.Index(p.layers, layer)
			switch {
			case at < 0 && !slices.Contains(modules, name):
				failf("line %d: %s is no package, layer or module of go.mod", r.line, name)
			case at > slices.Index(p.layers, r.layer):
				failf("line %d: %s is of a higher layer, expected imports of %s and the layers before it only", r.line, name, r.layer)
			case !used[r][name]:
				failf("line %d: none of the row's packages imports %s", r.line, name)
			default:
				keep = append(keep, name)
			}
		}
		if len(keep) < len(r.imports) || len(missing[r]) > 0 {
			failf("line %d: as the code is, the row would be\n| %s | %s | %s |", r.line, r.cells[0], r.cells[1], cell(append(keep, missing[r]...)))
		}
	}
	return out
}

// cell writes the third cell of a row.
func cell(imports []string) string {
	if len(imports) == 0 {
		return "–"
	}
	var names []string
	for _, i := range imports {
		if !strings.HasPrefix(i, "*") {
			i = "`" + i + "`"
		}
		names = append(names, i)
	}
	return strings.Join(names, ", ")
}
