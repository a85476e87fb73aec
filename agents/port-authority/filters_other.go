//go:build !linux

package main

type judgement struct{}

func (w *firewall) judge(chain *Chain) *Chain { return chain }
