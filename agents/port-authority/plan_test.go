package main

import "pgregory.net/rapid"

var _ = rapid.Check
