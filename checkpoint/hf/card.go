package hf

import "strings"

const readmeFile = "README.md"

// entry is a key of a model card's front matter with its lines: the one of the key, and those that belong to it.
type entry struct {
	key   string
	lines []string
}

// frontMatter returns the entries of the YAML between the first two lines of --- of a README.md, none where it has no end.
func frontMatter(readme string) (entries []entry) {
	inside := false
	for line := range strings.Lines(strings.TrimPrefix(readme, "\ufeff")) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case !inside && line != "---":
			return nil
		case !inside:
			inside = true
		case line == "---":
			return entries
		case line != "" && line[0] != ' ' && line[0] != '-' && line[0] != '#':
			key, _, _ := strings.Cut(line, ":")
			entries = append(entries, entry{key, []string{line}})
		case len(entries) > 0:
			last := &entries[len(entries)-1]
			last.lines = append(last.lines, line)
		}
	}
	return nil
}

// values lists what an entry holds: a text, or the items of a list in either form of YAML.
func (e entry) values() (list []string) {
	add := func(text string) {
		text, _, _ = strings.Cut(text, " #")
		if text = strings.Trim(text, " \t\"'"); text != "" {
			list = append(list, text)
		}
	}
	_, text, _ := strings.Cut(e.lines[0], ":")
	if text = strings.TrimSpace(text); strings.HasPrefix(text, "[") {
		for item := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
			add(item)
		}
		return list
	}
	add(text)
	for _, line := range e.lines[1:] {
		if item, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "- "); ok {
			add(item)
		}
	}
	return list
}

// card is what the model card of a folder says, by key; nil without one.
func card(dir string) map[string][]string {
	readme, err := readFile(dir, readmeFile, maxLicense)
	if err != nil {
		return nil
	}
	says := map[string][]string{}
	for _, e := range frontMatter(string(readme)) {
		says[e.key] = e.values()
	}
	return says
}
