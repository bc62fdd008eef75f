package hf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// license returns what a checkpoint says about its use: the texts of its license files, and the lines about the license
// in the front matter of its README.md. It is empty where there is neither.
func license(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var parts []string
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if !isLicense(e.Name()) || err == nil && info.IsDir() {
			continue
		}
		text, err := readFile(dir, e.Name(), maxLicense)
		if err != nil {
			return "", err
		}
		parts = append(parts, strings.TrimRight(string(text), "\n")+"\n")
	}
	if readme, err := readFile(dir, readmeFile, maxLicense); err == nil {
		if lines := licenseLines(string(readme)); lines != "" {
			parts = append(parts, lines)
		}
	}
	return strings.Join(parts, "\n"), nil
}

// isLicense reports whether a file of that name holds a license.
func isLicense(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{"LICENSE", "LICENCE", "NOTICE", "GEMMA_TERMS", "GEMMA TERMS", "USE_POLICY", "COPYING"},
		func(start string) bool { return strings.HasPrefix(name, start) })
}

// licenseLines are the lines about the license (license, license_name, license_link, …) of a README.md's front matter.
func licenseLines(readme string) string {
	var out strings.Builder
	for _, e := range frontMatter(readme) {
		if strings.HasPrefix(e.key, "license") || strings.HasPrefix(e.key, "licence") {
			out.WriteString(strings.Join(e.lines, "\n") + "\n")
		}
	}
	return out.String()
}
