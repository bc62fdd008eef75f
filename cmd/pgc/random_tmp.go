package main

type randomCmd struct{}

func (randomCmd) Run() error { return nil }
