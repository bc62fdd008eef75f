package pgc

import "strings"

// verbs are the words that PaliGemma's prompts begin with, and their tasks.
var verbs = map[string]string{"caption": "caption", "cap": "caption", "describe": "caption", "detect": "detect", "segment": "segment", "answer": "answer", "ocr": "ocr"}

// taskOf returns the task that a prompt names by its first word, or "".
func taskOf(prompt string) string {
	word, _, _ := strings.Cut(strings.TrimLeft(prompt, " "), " ")
	return verbs[strings.ToLower(strings.Trim(word, "\n.:"))]
}

// severalImages are parts of the names of data sets of several images or of frames of a video.
var severalImages = []string{"nlvr2", "marvl", "activitynet", "msrvtt", "msvd", "vatex"}

// readsSeveral reports whether a checkpoint's name says that it was trained on several images at a time.
func readsSeveral(name string) bool {
	for _, part := range severalImages {
		if strings.Contains(strings.ToLower(name), part) {
			return true
		}
	}
	return false
}
