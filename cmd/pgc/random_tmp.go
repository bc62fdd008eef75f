package main

type randomCmd struct{}

func (randomCmd) Run() error { return nil }

type benchCmd struct{}

func (benchCmd) Run() error { return nil }
