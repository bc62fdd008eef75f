package paligemma

import "pgc/models"

// tasks are what PaliGemma's prompts ask for. Releases follow the names of Google's checkpoints. The tag
// visual-question-answering is on cards of models for anything, and so on none here.
var tasks = []models.Task{
	{Name: "segment", Verbs: []string{"segment"}, Releases: []string{"seg"},
		Tags: []string{"image-segmentation", "semantic-segmentation", "instance-segmentation", "referring-segmentation"}},
	{Name: "detect", Verbs: []string{"detect"}, Tags: []string{"object-detection"}},
	{Name: "answer", Verbs: []string{"answer"}, Releases: []string{"vqa", "qa", "nlvr2"},
		Tags: []string{"document-question-answering", "vqa", "docvqa"},
		DataSets: []string{"docvqa", "vqav2", "okvqa", "aokvqa", "gqa", "textvqa", "ocrvqa", "infographicvqa", "infovqa", "scienceqa", "tallyqa",
			"chartqa", "vizwizvqa", "nlvr2"}},
	{Name: "caption", Verbs: []string{"caption", "cap", "describe"}, Releases: []string{"cap", "docci", "coco35l", "xm3600", "screen2words"},
		Tags:     []string{"image-captioning"},
		DataSets: []string{"textcaps", "cococaptions", "nocaps", "screen2words", "scicap", "xm3600", "docci", "flickr8k", "flickr30k"}},
	{Name: "ocr", Verbs: []string{"ocr"}},
}

// several are the data sets of several images, or of frames of a video, that checkpoints were fine-tuned on.
var several = []string{"nlvr2", "marvl", "activitynet", "msrvtt", "msvd", "vatex"}
